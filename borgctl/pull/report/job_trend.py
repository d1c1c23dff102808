"""Job trend: how large a job's last good run was and how long it took, beside what is usual.

The numbers are those of the history. Files and sizes are the client's word; `put_bytes` is the server's own count.

    trend = trends(folders, [("web1", "default")])["web1", "default"]
    trend.growth          0.02: two hundredths more than the median of the last ten before
"""

from collections.abc import Iterable
from typing import Any

from borgctl.data_class import dataclass
from borgctl.pull.report.trends import median, says_usual
from borgctl.pull.state.history import Run, Window
from borgctl.pull.state.last_good import LastGood, last_good
from borgctl.pull.targets.paths import Folders
from borgctl.text import iso

_COUNTS = ("files", "original", "compressed", "deduplicated", "put_bytes")


@dataclass(frozen=True, slots=True)
class Trend:
    """A good run, and the medians of the good ones before it; None where those are too few to say what is usual."""

    run: Run
    usual_original: float | None = None
    usual_duration: float | None = None

    @property
    def growth(self) -> float | None:
        """Return by what part of the usual size it is larger, below 0 where it is smaller; None where unknown."""
        if self.run.original is None or not self.usual_original:
            return None
        return self.run.original / self.usual_original - 1

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        duration = None if self.run.duration is None else round(self.run.duration, 3)
        numbers = {"duration": duration} | {name: getattr(self.run, name) for name in _COUNTS}
        usual = {"original": self.usual_original, "duration": self.usual_duration}
        return {"begun": iso(self.run.begun), "archive": self.run.archive, **numbers, "usual": usual} | {
            "growth": None if self.growth is None else round(self.growth, 4)
        }


def trends(folders: Folders, jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Trend]:
    """Return the trend of each job, a target's name and its own, that has a good run; raise HistoryUnusable."""
    return {job: _trend(found) for job, found in last_good(folders, jobs).items()}


def _trend(found: LastGood) -> Trend:
    return Trend(found.run, _usual(found.sizes, 1), _usual(found.durations, 0))


def _usual(before: Window, column: int) -> float | None:
    """Return the median of a column; None where the runs do not say what is usual."""
    if not says_usual(before):
        return None
    return median([values[column] for values in before.values])
