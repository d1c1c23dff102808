"""Progress: what a person sees while a run goes on, on stderr.

On a terminal one moving line (rich, loaded only then); elsewhere a line at the start, one every 30 s at most, one at
the end, and each warning as it comes. With --json there is nothing. All of the client's words are escaped here.

    with screen(json=False) as view: view.begin("web1 default"); view.show(message); view.tick(now); view.end("web1 …")
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from borgctl.console.text import elapsed
from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.text import printable_excerpt, rows, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_EVERY = 30.0
_REFRESH = 0.125
_MOST_LINES = 20


class Screen(Protocol):
    """Where progress goes."""

    def begin(self, title: str) -> None:
        """Say that a run starts."""

    def show(self, said: Message | Counts | Step | None) -> None:
        """Say, or keep for the next tick, one thing of the client's."""

    def tick(self, now: float) -> None:
        """Draw again if it is time to (`now` is monotonic)."""

    def due(self) -> float | None:
        """Return when `tick` wants to be called next."""

    def end(self, line: str) -> None:
        """Say how the run ended, and forget it."""


class Quiet:
    """Say nothing."""

    def begin(self, title: str) -> None: ...
    def show(self, said: Message | Counts | Step | None) -> None: ...
    def tick(self, now: float) -> None: ...
    def due(self) -> float | None: ...
    def end(self, line: str) -> None: ...


class Plain:
    """Say lines, for a file or a journal."""

    def __init__(self, file: TextIO, columns: int | None = None) -> None:
        self._file, self._title, self._columns = file, "", columns
        self._now: Counts | Step | None = None
        self._next = 0.0

    def begin(self, title: str) -> None:
        """Say that a run starts."""
        self._title, self._now, self._next = title, None, time.monotonic() + _EVERY
        self._write(f"{title}: started")

    def show(self, said: Message | Counts | Step | None) -> None:
        """Say a message now, and a count later."""
        if isinstance(said, Message):
            for row in sentences(said, self._title, self._columns):
                self._write(row)
        elif said is not None:
            self._now = said

    def tick(self, now: float) -> None:
        """Say the last count, if the last time was long ago."""
        if now < self._next:
            return
        self._next = now + _EVERY
        if self._now is not None:
            self._write(f"{self._title}: {position(self._now)}")
            self._now = None

    def due(self) -> float | None:
        """Return when the next count may be said."""
        return self._next if self._now is not None else None

    def end(self, line: str) -> None:
        """Say how the run ended."""
        self._write(line)

    def _write(self, line: str) -> None:
        print(line, file=self._file, flush=True)


class Live:
    """Draw one moving line on a terminal; everything else stands above it. Drawn by `tick`, so there is no thread."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live as Region  # noqa: PLC0415 - 55 ms, for terminals only
        from rich.spinner import Spinner  # noqa: PLC0415

        self._console, self._spinner, self._region = console, Spinner("dots"), Region
        self._live: Region | None = None
        self._title, self._since, self._next = "", 0.0, 0.0
        self._now: Counts | Step | None = None

    def begin(self, title: str) -> None:
        """Start the moving line."""
        self._title, self._since, self._now, self._next = title, time.monotonic(), None, 0.0
        self._live = self._region(self._spinner, console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, said: Message | Counts | Step | None) -> None:
        """Write a message above the line, and keep a count for it."""
        if isinstance(said, Message):
            for row in sentences(said, self._title, self._console.width):
                self._write(row)
        elif said is not None:
            self._now = said

    def tick(self, now: float) -> None:
        """Move."""
        if self._live is None or now < self._next:
            return
        self._next = now + _REFRESH
        where = [self._title, *([position(self._now)] if self._now else []), elapsed(now - self._since)]
        row = rows("", ", ".join(where), self._console.width - 4)[0]  # a second one would begin with the client's words
        self._spinner.update(text=self._text(row))
        self._live.refresh()

    def due(self) -> float | None:
        """Return when to move next."""
        return self._next if self._live is not None else None

    def end(self, line: str) -> None:
        """Take the moving line away and say how the run ended."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._write(line)

    def _write(self, line: str) -> None:
        self._console.print(self._text(line), soft_wrap=True)

    def _text(self, line: str) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - a Text has no markup to be injected

        return Text(line)


class Forgiving:
    """Say it on another screen, until that cannot be written to any more: no run ends because nobody looks on."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def begin(self, title: str) -> None:
        """Say that a run starts."""
        self._say(lambda: self._screen.begin(title))

    def show(self, said: Message | Counts | Step | None) -> None:
        """Say one thing of the client's."""
        self._say(lambda: self._screen.show(said))

    def tick(self, now: float) -> None:
        """Draw again."""
        self._say(lambda: self._screen.tick(now))

    def due(self) -> float | None:
        """Return when `tick` wants to be called next."""
        return self._screen.due()

    def end(self, line: str) -> None:
        """Say how the run ended."""
        self._say(lambda: self._screen.end(line))

    def _say(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError:
            self._screen = Quiet()
            silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Let what else goes to a stream that cannot be written to go nowhere, also what is in its buffer."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def screen(json: bool) -> Screen:
    """Return the screen that fits: none for --json, a moving line on a terminal, lines elsewhere."""
    if json or sys.stderr is None:
        return Quiet()
    if not sys.stderr.isatty():
        return Forgiving(Plain(sys.stderr))
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal
    return Forgiving(Live(console) if live else Plain(sys.stderr, console.width))


def sentences(message: Message, title: str, columns: int | None = None) -> list[str]:
    """Write a message for people; one of several lines is as many, each saying after `title` whose words it is."""
    whose = "ssh or client" if message.source == "unframed" else f"{message.source}: {message.level.lower()}"
    parts = message.text.split("\n", _MOST_LINES - 1)  # what is too much stays one, escaped
    lines = map(printable_excerpt, parts)
    return [row for line in lines if line for row in rows(f"{title}: {whose}: ", line, columns)] or [
        f"{title}: {whose}: "
    ]


def position(now: Counts | Step) -> str:
    """Write how far a run is; what borg says it is busy with are the client's words, and marked so."""
    if isinstance(now, Step):
        return f"borg: {printable_excerpt(now.text)[:80]}"
    return f"{now.files} files, {size(now.original)} original, {size(now.new)} new"
