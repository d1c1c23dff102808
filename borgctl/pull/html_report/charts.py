"""Charts: three for a job's last runs: how long they took, how large the backup is, and what each run added.

The title of a chart says in words what it shows. Duration and what was added are the server's own count, and the size
is the client's word. A run that was not good has no value.

    duration, size, added = charts(runs)        the oldest run first
    size.value, size.title == "1.2 TB", "Size of the last 30 runs: 1.2 TB, from 0.9 TB to 1.2 TB"
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.pull.html_report.sparkline import RUNS, Shape, bars, line
from borgctl.pull.state.history import Run
from borgctl.text import size
from borgctl.wire.frames import GOOD

NONE = "-"  # for what is not known
_LONGEST = 1e12  # seconds; what is longer was not written by us


class Chart(NamedTuple):
    """A chart, `kind` of line or bars; its title; and the newest value, which stands beside it."""

    kind: str
    shape: Shape
    title: str
    value: str


def charts(runs: Sequence[Run]) -> tuple[Chart, Chart, Chart]:
    """Return the charts of the last runs: duration, size, and what was added."""
    last = runs[-RUNS:]
    durations = [duration(run) if run.outcome in GOOD else None for run in last]
    sizes = [run.original if run.outcome in GOOD else None for run in last]
    added = [run.put_bytes if run.outcome in GOOD else None for run in last]
    return (
        _chart("Duration", "line", durations, elapsed),
        _chart("Size", "line", sizes, lambda value: size(int(value))),
        _chart("Added", "bars", added, lambda value: size(int(value))),
    )


def duration(run: Run) -> float | None:
    """Return how long a run took, None where that is unknown."""
    took = run.duration
    return took if took is not None and math.isfinite(took) and 0 <= took < _LONGEST else None


def _chart(name: str, kind: str, values: Sequence[float | None], words: Callable[[float], str]) -> Chart:
    known = [value for value in values if value is not None]
    draw = line if kind == "line" else bars
    if not known:
        return Chart(kind, draw(values), f"{name}: no good run is known", NONE)
    newest = words(known[-1])
    ends = words(min(known)), words(max(known))
    span = f", from {ends[0]} to {ends[1]}" if ends[0] != ends[1] else ""
    unknown = len(values) - len(known)
    without = f"; {unknown} of them without a value" if unknown else ""
    runs = f"the last {len(values)} runs" if len(values) > 1 else "the only run"
    title = f"{name} {'of' if kind == 'line' else 'by'} {runs}: {newest}{span}{without}"
    return Chart(kind, draw(values), title, newest)
