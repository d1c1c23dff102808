"""Progress: what a person sees on stderr while runs go on, one or many at once.

`screens` chooses where it goes: nowhere or as lines (here), into a moving table (`live_table`) or a log (`log_lines`).

    view = View(Plain(sys.stderr)); view.begin("web1 default"); view.show(message); view.report(report)
"""

from typing import Protocol, TextIO

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.pace import Pace
from borgctl.pull.report.progress_text import position, sentences
from borgctl.pull.report.report import RunReport, summary

Shown = Message | Counts | Step | None


class Screen(Protocol):
    """Where the progress of all runs goes; a run is known by its title, which no other has at the same time."""

    def begin(self, title: str) -> None:
        """Show that a run starts."""

    def bind(self, title: str, run: str) -> None:
        """Note the client's id of a run."""

    def show(self, title: str, said: Shown) -> None:
        """Show one thing of the client's, or keep it for the next tick."""

    def tick(self, now: float) -> None:
        """Draw again if it is time (`now` is monotonic)."""

    def due(self) -> float | None:
        """Return when to call `tick` next."""

    def report(self, title: str, report: RunReport) -> None:
        """Show how a run ended, and forget it."""

    def end(self, title: str, line: str) -> None:
        """Show a line of ours about a run, and forget the run."""


class View:
    """The part of a screen that one run has; `another` is that of the next one."""

    def __init__(self, screen: Screen) -> None:
        self._screen, self._title = screen, ""

    def another(self) -> "View":
        """Return a part for another run."""
        return View(self._screen)

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._title = title
        self._screen.begin(title)

    def bind(self, run: str) -> None:
        """Note the client's id of the run."""
        self._screen.bind(self._title, run)

    def show(self, said: Shown) -> None:
        """Show one thing of the client's, or keep it for the next tick."""
        self._screen.show(self._title, said)

    def tick(self, now: float) -> None:
        """Draw all again if it is time (`now` is monotonic)."""
        self._screen.tick(now)

    def due(self) -> float | None:
        """Return when to call `tick` next."""
        return self._screen.due()

    def report(self, report: RunReport) -> None:
        """Show how the run ended."""
        self._screen.report(self._title, report)

    def end(self, line: str) -> None:
        """Show a line of ours; the run has ended, if one had begun."""
        self._screen.end(self._title, line)


class Quiet:
    """Show nothing."""

    def begin(self, title: str) -> None: ...
    def bind(self, title: str, run: str) -> None: ...
    def show(self, title: str, said: Shown) -> None: ...
    def tick(self, now: float) -> None: ...
    def due(self) -> float | None: ...
    def report(self, title: str, report: RunReport) -> None: ...
    def end(self, title: str, line: str) -> None: ...


class Plain:
    """Print lines, for a file or a journal."""

    def __init__(self, file: TextIO, columns: int | None = None) -> None:
        self._file, self._columns, self._pace = file, columns, Pace()

    def begin(self, title: str) -> None:
        """Show that a run starts."""
        self._pace.begin(title)
        self._write(f"{title}: started")

    def bind(self, title: str, run: str) -> None:
        """Show nothing: the id stands where a run ends, if somebody has to look."""

    def show(self, title: str, said: Shown) -> None:
        """Print a message now, and a count later."""
        if isinstance(said, Message):
            for row in sentences(said, title, self._columns):
                self._write(row)
        elif said is not None:
            self._pace.keep(title, said)

    def tick(self, now: float) -> None:
        """Print the last counts, if the last time was long ago."""
        for title, said in self._pace.take(now):
            self._write(f"{title}: {position(said)}")

    def due(self) -> float | None:
        """Return when the next count may be printed."""
        return self._pace.due()

    def report(self, title: str, report: RunReport) -> None:
        """Print how a run ended."""
        self.end(title, summary(report))

    def end(self, title: str, line: str) -> None:
        """Print a line, and forget the run."""
        self._pace.forget(title)
        self._write(line)

    def _write(self, line: str) -> None:
        print(line, file=self._file, flush=True)
