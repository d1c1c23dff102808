"""Screens: choose where progress goes, and let no run end by it.

On a terminal a moving line or table; elsewhere a line at the start, one every 30 s at most, one at the end, and each
warning as it comes. With a log format, lines for a log. With --json nothing.

    view = View(screen("console", json=False))
"""

import os
import sys
from collections.abc import Callable

from borgctl.console.ending import silence
from borgctl.pull.report.progress import Plain, Quiet, Screen, Shown
from borgctl.pull.report.report import RunReport

FORMATS = ("console", "logfmt", "json")
Past = Callable[[str], int | None]


class Tolerant:
    """Use another screen until it fails, as nobody reads it any more: no run ends by its screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._attempt(lambda: self._screen.begin(title))

    def bind(self, title: str, run: str) -> None:
        """Note the client's id of a run."""
        self._attempt(lambda: self._screen.bind(title, run))

    def show(self, title: str, said: Shown) -> None:
        """Show one thing of the client's."""
        self._attempt(lambda: self._screen.show(title, said))

    def tick(self, now: float) -> None:
        """Draw again."""
        self._attempt(lambda: self._screen.tick(now))

    def due(self) -> float | None:
        """Return when to call `tick` next."""
        return self._screen.due()

    def report(self, title: str, report: RunReport) -> None:
        """Show how a run ended."""
        self._attempt(lambda: self._screen.report(title, report))

    def end(self, title: str, line: str) -> None:
        """Show a line."""
        self._attempt(lambda: self._screen.end(title, line))

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
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

    def bind(self, title: str, run: str) -> None:
        """Note the client's id of a run."""
        self._tell(lambda screen: screen.bind(title, run))

    def show(self, title: str, said: Shown) -> None:
        """Show one thing of the client's."""
        self._tell(lambda screen: screen.show(title, said))

    def tick(self, now: float) -> None:
        """Draw again."""
        self._made().tick(now)

    def due(self) -> float | None:
        """Return when to call `tick` next: at once where there is no screen yet."""
        return 0.0 if self._screen is None else self._screen.due()

    def report(self, title: str, report: RunReport) -> None:
        """Show how a run ended."""
        self._made().report(title, report)

    def end(self, title: str, line: str) -> None:
        """Show a line."""
        self._made().end(title, line)

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


def screen(log_format: str = "console", *, json: bool = False, past: Past = lambda title: None) -> Screen:
    """Return the screen that fits: none for --json; `past` tells how many bytes the last run of a title saved.

    For `console`, a moving table on a terminal and lines elsewhere; for another of FORMATS, lines for a log.
    """
    if json or sys.stderr is None:
        return Quiet()
    if log_format != "console":
        return Tolerant(Deferred(lambda: _log(log_format)))
    if not sys.stderr.isatty():
        return Tolerant(Plain(sys.stderr))
    return Tolerant(Deferred(lambda: _on_terminal(past)))


def _log(log_format: str) -> Screen:
    from borgctl.pull.report.log_lines import LogLines  # noqa: PLC0415 - structlog, where somebody wants it

    return LogLines(sys.stderr, log_format)


def _on_terminal(past: Past) -> Screen:
    """Return a moving table, or lines where the terminal or rich can do no better: no run ends by its screen."""
    try:
        from rich.console import Console  # noqa: PLC0415 - 55 ms, for terminals only

        from borgctl.pull.report.live_table import Live  # noqa: PLC0415

        console = Console(stderr=True, highlight=False)
        live = console.is_terminal and not console.is_dumb_terminal
        return Live(console, past) if live else Plain(sys.stderr, console.width)
    except ImportError:  # perhaps it is upgraded just now
        return Plain(sys.stderr, os.get_terminal_size(sys.stderr.fileno()).columns)
