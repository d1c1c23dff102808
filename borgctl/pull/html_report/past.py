"""Past: what the page keeps of past runs while they are read, however many there are, and how it writes one.

past = Past(["web1"], [("web1", "default")], now)
for run in runs: past.take(run)
past.of_job["web1", "default"]          the last ones, for the charts
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.pull.html_report.charts import NONE, duration
from borgctl.pull.html_report.concerns import LEVELS
from borgctl.pull.html_report.sparkline import RUNS
from borgctl.pull.state.history import Run
from borgctl.text import iso, size
from borgctl.wire.frames import GOOD

LATEST = 10  # runs that a target's own section shows
_DAY = 86400.0


class Badge(NamedTuple):
    """A word in the colour of a level."""

    level: str
    text: str


class PastRun(NamedTuple):
    """One of a target's last runs, in words."""

    begun: str
    job: str
    outcome: Badge
    reason: str
    files: str
    size: str
    added: str
    took: str
    archive: str


class Past:
    """What is kept of past runs while they are read, however many there are."""

    def __init__(self, targets: Iterable[str], jobs: Iterable[tuple[str, str]], now: float) -> None:
        self.latest: dict[str, deque[Run]] = {target: deque(maxlen=LATEST) for target in targets}
        self.of_job: dict[tuple[str, str], deque[Run]] = {job: deque(maxlen=RUNS) for job in jobs}
        self.sizes: dict[tuple[str, str], int] = {}  # the newest known
        self.outcomes: Counter[str] = Counter()  # of the last day
        self.added = 0  # in the last day
        self._yesterday = now - _DAY

    def take(self, run: Run) -> None:
        """Take in a run of one of the targets; one of another job is in no chart."""
        if run.target not in self.latest:
            return
        self.latest[run.target].append(run)
        if run.begun >= self._yesterday:
            self.outcomes[run.outcome] += 1
            self.added += run.put_bytes or 0
        job = (run.target, run.job or "")
        if run.kind == "run" and job in self.of_job:
            self.of_job[job].append(run)
            if run.outcome in GOOD and run.original is not None:
                self.sizes[job] = run.original


def past_run(run: Run) -> PastRun:
    """Return a run in words; what is not known is a dash."""
    how = {"ok": LEVELS[0], "warning": LEVELS[1]}.get(run.outcome, LEVELS[2])
    took = duration(run)
    return PastRun(
        moment(run.begun),
        *(run.job or (NONE if run.kind == "run" else run.kind), Badge(how, run.outcome), run.reason or NONE),
        files=NONE if run.files is None else str(run.files),
        size=NONE if run.original is None else size(run.original),
        added=NONE if run.put_bytes is None else size(run.put_bytes),
        took=NONE if took is None else elapsed(took),
        archive=run.archive or NONE,
    )


def moment(time: float) -> str:
    """Write a time for people, to the minute, in UTC.

    >>> moment(1.8e9)
    '2027-01-15 08:00'
    """
    return iso(time)[:16].replace("T", " ")
