"""Progress: what a person sees on stderr while a run goes on.

On a terminal one moving line (`live_line`); elsewhere a line at the start, one every 30 s at most, one at the end, and
each warning as it comes. With --json nothing.

    with screen(json=False) as view: view.begin("web1 default"); view.show(message); view.tick(now); view.end("web1 …")
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from borgctl.console.ending import silence
from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.progress_text import position, sentences

_EVERY = 30.0  # seconds


class Screen(Protocol):
    """Where progress goes."""

    def begin(self, title: str) -> None:
        """Show that a run starts."""

    def show(self, said: Message | Counts | Step | None) -> None:
        """Show one thing of the client's, or keep it for the next tick."""

    def tick(self, now: float) -> None:
        """Draw again if it is time (`now` is monotonic)."""

    def due(self) -> float | None:
        """Return when to call `tick` next."""

    def end(self, line: str) -> None:
        """Show how the run ended, and forget it."""


class Quiet:
    """Show nothing."""

    def begin(self, title: str) -> None: ...
    def show(self, said: Message | Counts | Step | None) -> None: ...
    def tick(self, now: float) -> None: ...
    def due(self) -> float | None: ...
    def end(self, line: str) -> None: ...


class Plain:
    """Print lines, for a file or a journal."""

    def __init__(self, file: TextIO, columns: int | None = None) -> None:
        self._file, self._title, self._columns = file, "", columns
        self._now: Counts | Step | None = None
        self._next = 0.0

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._title, self._now, self._next = title, None, time.monotonic() + _EVERY
        self._write(f"{title}: started")

    def show(self, said: Message | Counts | Step | None) -> None:
        """Print a message now, and a count later."""
        if isinstance(said, Message):
            for row in sentences(said, self._title, self._columns):
                self._write(row)
        elif said is not None:
            self._now = said

    def tick(self, now: float) -> None:
        """Print the last count, if the last time was long ago."""
        if now < self._next:
            return
        self._next = now + _EVERY
        if self._now is not None:
            self._write(f"{self._title}: {position(self._now)}")
            self._now = None

    def due(self) -> float | None:
        """Return when the next count may be printed."""
        return self._next if self._now is not None else None

    def end(self, line: str) -> None:
        """Print how the run ended."""
        self._write(line)

    def _write(self, line: str) -> None:
        print(line, file=self._file, flush=True)


class Tolerant:
    """Use another screen until it cannot be written to: no run ends because nobody reads it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._attempt(lambda: self._screen.begin(title))

    def show(self, said: Message | Counts | Step | None) -> None:
        """Show one thing of the client's."""
        self._attempt(lambda: self._screen.show(said))

    def tick(self, now: float) -> None:
        """Draw again."""
        self._attempt(lambda: self._screen.tick(now))

    def due(self) -> float | None:
        """Return when to call `tick` next."""
        return self._screen.due()

    def end(self, line: str) -> None:
        """Print how the run ended."""
        self._attempt(lambda: self._screen.end(line))

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError:
            self._screen = Quiet()
            silence(sys.stderr)


class Deferred:
    """Make another screen at the first tick, or where a run ends before that; keep what is shown until then.

    The first tick comes when the run's processes have started, so they do not wait for what the screen has to import.
    """

    def __init__(self, make: Callable[[], Screen]) -> None:
        self._make = make
        self._screen: Screen | None = None
        self._kept: list[Callable[[Screen], None]] = []

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._tell(lambda screen: screen.begin(title))

    def show(self, said: Message | Counts | Step | None) -> None:
        """Show one thing of the client's."""
        self._tell(lambda screen: screen.show(said))

    def tick(self, now: float) -> None:
        """Draw again."""
        self._made().tick(now)

    def due(self) -> float | None:
        """Return when to call `tick` next: at once where there is no screen yet."""
        return 0.0 if self._screen is None else self._screen.due()

    def end(self, line: str) -> None:
        """Show how the run ended."""
        self._made().end(line)

    def _tell(self, act: Callable[[Screen], None]) -> None:
        if self._screen is None:
            self._kept.append(act)
        else:
            act(self._screen)

    def _made(self) -> Screen:
        if self._screen is None:
            self._screen = self._make()
            for act in self._kept:
                act(self._screen)
        return self._screen


def screen(json: bool) -> Screen:
    """Return the screen that fits: none for --json, a moving line on a terminal, lines elsewhere."""
    if json or sys.stderr is None:
        return Quiet()
    if not sys.stderr.isatty():
        return Tolerant(Plain(sys.stderr))
    return Tolerant(Deferred(_on_terminal))


def _on_terminal() -> Screen:
    """Return a moving line, or lines where the terminal or rich can do no better: no run ends because of its screen."""
    try:
        from rich.console import Console  # noqa: PLC0415 - 55 ms, for terminals only

        from borgctl.pull.report.live_line import Live  # noqa: PLC0415

        console = Console(stderr=True, highlight=False)
        live = console.is_terminal and not console.is_dumb_terminal
        return Live(console) if live else Plain(sys.stderr, console.width)
    except ImportError:  # perhaps it is upgraded just now
        return Plain(sys.stderr, os.get_terminal_size(sys.stderr.fileno()).columns)
