"""One moving line for one run, a moving table for many, drawn on a terminal with rich, which only a terminal loads.

live = Live(console, past); live.begin("web1 default"); live.show("web1 default", counts); live.tick(time.monotonic())
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from borgctl.console.text import elapsed
from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.progress_text import position, sentences
from borgctl.pull.report.report import RunReport, summary
from borgctl.text import printable_excerpt, rows, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_REFRESH = 0.125  # seconds
_AROUND = 4  # lines of a terminal that are not for runs: the table's head, the line below it, the cursor, the last line
_BAR = 12  # columns
_COLUMNS = ("target", "job", "now", "files", "read", "new", "rate", "of the last run", "left")


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
            self._live = self._region(self._spinner, console=self._console, auto_refresh=False, transient=True)
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

    def _table(self, now: float) -> "Table":
        from rich.table import Table  # noqa: PLC0415

        shown = max(1, self._console.height - _AROUND)
        table = Table(box=None, pad_edge=False, show_edge=False, caption=self._text(self._caption(shown)))
        table.caption_justify = "left"
        for name in _COLUMNS:
            right = name in ("files", "read", "new", "rate", "left")
            table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
        for title, run in list(self._runs.items())[:shown]:
            table.add_row(*_cells(title, run, now, self._text))
        return table

    def _caption(self, shown: int) -> str:
        more = len(self._runs) - shown
        parts = [f"{more} more running"] if more > 0 else []
        return ", ".join([*parts, f"{len(self._runs)} running, {self._ended} ended"])

    def _write(self, line: str) -> None:
        self._console.print(self._text(line), soft_wrap=True)

    def _text(self, line: str) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - a Text has no markup to be injected

        return Text(line)


def _cells(title: str, run: _Run, now: float, text: Callable[[str], "Text"]) -> Iterator["RenderableType"]:
    """Yield what the columns say of a run; all of the client's words are escaped here."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415

    target, _, job = title.partition(" ")
    seconds, counts, past = max(now - run.since, 0.001), run.counts, run.past
    step = printable_excerpt(run.now.text)[:40] if isinstance(run.now, Step) else ""
    yield from map(text, (target, job, step or elapsed(seconds)))
    if counts is None:
        yield from map(text, ("", "", "", "", "", ""))
        return
    rate = counts.original / seconds
    yield from map(text, (str(counts.files), size(counts.original), size(counts.new), f"{size(round(rate))}/s"))
    if not past:
        yield from map(text, ("", ""))
        return
    yield ProgressBar(total=past, completed=min(counts.original, past), width=_BAR)
    yield text(elapsed((past - counts.original) / rate) if rate > 0 and counts.original < past else "")
