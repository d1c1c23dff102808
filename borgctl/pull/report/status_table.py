"""Status table: how a fleet stands on a terminal, drawn with rich, which only a terminal loads.

A row for each job; below it a sentence about whatever is not well; last the count, where a person looks first. All
words are Text, which has no markup, and each row of a sentence begins with its target.

    drawn(fleet)        what to print; None where the terminal can show no more than lines
"""

from collections.abc import Callable, Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from borgctl.console.text import elapsed
from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import Line, Standing
from borgctl.text import printable, rows, size

_STYLES = ("green", "yellow", "bold red")  # by level
_QUIET = "dim"
_ALARM = _STYLES[2]
_WIDE = 120  # columns from which on there is room for all numbers
_NONE = "-"
_MOST = 999  # percent


def drawn(fleet: FleetStatus, columns: int | None = None) -> str | None:
    """Return the table with all that belongs to it, as wide as the terminal unless told otherwise."""
    console = Console(width=columns, highlight=False)
    if console.is_dumb_terminal:
        return None
    sentences = [line for standing in fleet.targets for line in standing.lines if not line.calm]
    with console.capture() as capture:  # rich's own way to write would end with status 1 where nobody reads
        console.print(_table(fleet, wide=console.width >= _WIDE))
        console.print()
        for line in sentences:
            for text in _sentence(line, console.width):
                console.print(text, soft_wrap=True)
        if sentences:
            console.print()
        console.print(_summary(fleet))
    return capture.get()


def _table(fleet: FleetStatus, *, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for title in ("target", "job"):
        table.add_column(title, overflow="fold")
    table.add_column("state", no_wrap=True)
    for title in _numbers(Row("", None, "ok"), wide=wide):
        table.add_column(title, justify="right", no_wrap=True)
    for standing in fleet.targets:
        for cells in _rows(standing, wide=wide):
            table.add_row(*cells)
    return table


def _rows(standing: Standing, *, wide: bool) -> Iterator[list[Text]]:
    """Yield a row for each of the target's, the first with its name, and one for its alerts."""
    name = Text(printable(standing.target), "bold")
    for row in standing.rows:
        style = _QUIET if row.state in ("seen", "paused") and not row.level else _STYLES[row.level]
        yield [name, Text(row.job or ""), Text(row.state, style), *map(Text, _numbers(row, wide=wide).values())]
        name = Text()
    if alerts := len(standing.state.alerts):
        yield [name, Text(), Text(f"{alerts} alert{'s' if alerts != 1 else ''}", _ALARM)]


def _numbers(row: Row, *, wide: bool) -> dict[str, str]:
    """Return the numbers of a row by their titles; what is not known is a dash."""
    trend = row.trend
    run: dict[str, Any] = {} if trend is None else trend.run._asdict()
    numbers = {
        "last good": _cell(row.age, elapsed),
        "expected": _cell(row.expect, elapsed),
        "files": _cell(run.get("files"), str),
        "size": _cell(run.get("original"), size),
        "growth": _cell(trend and trend.growth, _percent),
        "new": _cell(run.get("deduplicated"), size),
        "stored": _cell(run.get("put_bytes"), size),
        "took": _cell(run.get("duration"), elapsed),
    }
    return numbers if wide else {name: numbers[name] for name in ("last good", "size", "growth", "took")}


def _cell(value: Any, write: Callable[[Any], str]) -> str:  # noqa: ANN401
    return _NONE if value is None else write(value)


def _percent(part: float) -> str:
    """Write by what part something has grown.

    >>> _percent(0.024), _percent(-0.5), _percent(0.0), _percent(123.0), _percent(-0.9999)
    ('+2 %', '-50 %', '0 %', '>999 %', '-99 %')
    """
    percent = round(100 * part) if part <= -1 else max(round(100 * part), -99)  # all is gone only where it is
    return f">{_MOST} %" if percent > _MOST else f"{percent:+} %" if percent else "0 %"


def _sentence(line: Line, columns: int) -> Iterator[Text]:
    """Yield a line in rows that the terminal does not fold, each with what it is about."""
    head = f"{line.title}: "
    for row in rows(head, line.words, columns):
        yield Text.assemble((head, _STYLES[line.level] if line.level else _QUIET), row.removeprefix(head))


def _summary(fleet: FleetStatus) -> Text:
    """Count the targets by how they stand."""
    levels = [standing.level for standing in fleet.targets]
    paused = sum(standing.has("paused") for standing in fleet.targets)
    attacks = sum(standing.suspicious for standing in fleet.targets)
    parts = [
        (levels.count(0), "all well", _STYLES[0]),
        (levels.count(1), "with warnings", _STYLES[1]),
        (levels.count(2), "critical", _STYLES[2]),
        (paused, "paused", _QUIET),
        (attacks, "POSSIBLY ATTACKED", _ALARM),
    ]
    counts = [Text(f"{number} {words}", style) for number, words, style in parts if number]
    return Text(f"{len(levels)} target{'s' if len(levels) != 1 else ''}: ") + Text(", ").join(counts)
