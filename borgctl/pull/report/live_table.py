"""One moving line for one run, a moving table for many, drawn on a terminal with rich, which only a terminal loads.

live = Live(console, past); live.begin("web1 default"); live.show("web1 default", counts); live.tick(time.monotonic())
"""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from borgctl.console.text import elapsed
from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.progress_text import position, sentences
from borgctl.pull.report.report import RunReport, summary
from borgctl.text import printable_excerpt, rows, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_REFRESH = 0.125  # seconds
_AROUND = 4  # lines of a terminal that are not for runs: the table's head, the line below it, the cursor, the last line
_BAR = 12  # columns
_GAP = 2  # columns between two of a table
_WORDS = 24  # columns at most for what borg is doing
# the columns of numbers, how wide each is at least, and how wide a terminal has to be for it
_COLUMNS = (
    *(("files", 8, 80), ("read", 8, 60), ("new", 8, 100), ("rate", 10, 60)),
    *(("of the last", _BAR, 110), ("left", 12, 80)),
)
_BARS = "of the last"


class _Run:
    """A run that goes on: since when, how far it is, and how many bytes the last one like it had."""

    def __init__(self, past: int | None) -> None:
        self.since, self.past = time.monotonic(), past
        self.now: Counts | Step | None = None
        self.counts: Counts | None = None

    def take(self, said: Counts | Step) -> None:
        """Note how far it is."""
        self.now = said
        if isinstance(said, Counts):
            self.counts = said


class Live:
    """Draw what goes on, all else above it. `tick` draws, so there is no thread."""

    def __init__(self, console: "Console", past: Callable[[str], int | None]) -> None:
        from rich.live import Live as Region  # noqa: PLC0415 - 55 ms, for terminals only
        from rich.spinner import Spinner  # noqa: PLC0415

        self._console, self._spinner, self._region, self._past = console, Spinner("dots"), Region, past
        self._live: Region | None = None
        self._runs: dict[str, _Run] = {}
        self._next, self._ended = 0.0, 0

    def begin(self, title: str) -> None:
        """Start to draw a run."""
        self._runs[title], self._next = _Run(self._past(title)), 0.0
        if self._live is None:
            shared = (
                sys.stdout is not None and sys.stdout.isatty()
            )  # else results would be drawn, not written to a file
            self._live = self._region(
                self._spinner, console=self._console, auto_refresh=False, transient=True, redirect_stdout=shared
            )
            self._live.start()

    def bind(self, title: str, run: str) -> None:
        """Draw nothing: the id stands where a run ends, if somebody has to look."""

    def show(self, title: str, said: Message | Counts | Step | None) -> None:
        """Write a message above, and keep a count to be drawn."""
        if isinstance(said, Message):
            for row in sentences(said, title, self._console.width):
                self._write(row)
        elif said is not None and title in self._runs:
            self._runs[title].take(said)

    def tick(self, now: float) -> None:
        """Draw again."""
        if self._live is None or now < self._next:
            return
        self._next = now + _REFRESH
        self._live.update(self._drawn(now), refresh=True)

    def due(self) -> float | None:
        """Return when to draw next."""
        return self._next if self._live is not None else None

    def report(self, title: str, report: RunReport) -> None:
        """Print how a run ended."""
        self._ended += 1
        self.end(title, summary(report))

    def end(self, title: str, line: str) -> None:
        """Print a line, and forget the run; remove what is drawn with the last one."""
        self._runs.pop(title, None)
        if self._live is not None and not self._runs:
            self._live.stop()
            self._live = None
        self._write(line)

    def _drawn(self, now: float) -> "RenderableType":
        """Return one line for one run; for more, a table that fits the screen, the oldest runs first."""
        if len(self._runs) == 1:
            ((title, run),) = self._runs.items()
            where = [title, *([position(run.now)] if run.now else []), elapsed(now - run.since)]
            row = rows("", ", ".join(where), self._console.width - 4)[
                0
            ]  # a second row would begin with the client's words
            self._spinner.update(text=self._text(row))
            return self._spinner
        return self._table(now)

    def _table(self, now: float) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        shown = max(1, self._console.height - _AROUND)
        table = Table(box=None, pad_edge=False, show_edge=False)
        columns = [(name, least) for name, least, wide in _COLUMNS if self._console.width >= wide]
        free = self._console.width - sum(least + _GAP for _, least in columns) - _GAP
        words = min(_WORDS, free // 3)
        table.add_column("run", no_wrap=True, overflow="ellipsis", width=free - words)
        table.add_column("now", no_wrap=True, overflow="ellipsis", width=words)
        for name, least in columns:
            justify: Literal["left", "right"] = "left" if name == _BARS else "right"
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", width=least)
        for title, run in list(self._runs.items())[:shown]:
            cells = _numbers(run, now, self._text)
            table.add_row(
                self._text(title), self._text(_doing(run, now)), *(cells.get(name, "") for name, _ in columns)
            )
        return Group(table, self._text(rows("", self._caption(shown), self._console.width)[0]))

    def _caption(self, shown: int) -> str:
        more = len(self._runs) - shown
        parts = [f"{more} more running"] if more > 0 else []
        return ", ".join([*parts, f"{len(self._runs)} running, {self._ended} ended"])

    def _write(self, line: str) -> None:
        self._console.print(self._text(line), soft_wrap=True)

    def _text(self, line: str) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - a Text has no markup to be injected

        return Text(line)


def _doing(run: _Run, now: float) -> str:
    """Return what a run does: borg's words, escaped, or for how long it has run."""
    return printable_excerpt(run.now.text)[:_WORDS] if isinstance(run.now, Step) else elapsed(now - run.since)


def _numbers(run: _Run, now: float, text: Callable[[str], "Text"]) -> dict[str, "RenderableType"]:
    """Return how far a run is, by column; nothing where it has told no number yet."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415

    counts, past = run.counts, run.past
    if counts is None:
        return {}
    rate = counts.original / max(now - run.since, 0.001)
    cells: dict[str, RenderableType] = {
        "files": text(str(counts.files)),
        "read": text(size(counts.original)),
        "new": text(size(counts.new)),
        "rate": text(f"{size(round(rate))}/s"),
    }
    if past:
        cells[_BARS] = ProgressBar(total=past, completed=min(counts.original, past), width=_BAR)
        if rate > 0 and counts.original < past:
            cells["left"] = text(elapsed((past - counts.original) / rate))
    return cells
