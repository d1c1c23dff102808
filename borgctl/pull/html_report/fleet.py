"""Fleet: what the page shows, as values, from how targets stand and from their past runs. It reads no file.

fleet = survey(list(standings(folders, names, now)), runs(folders, names, None), now)
fleet.facts, fleet.concerns, fleet.backups, fleet.targets
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.pull.html_report.charts import NONE, Chart, charts, duration
from borgctl.pull.html_report.concerns import LEVELS, Concern, concerns, level, of_target
from borgctl.pull.html_report.sparkline import RUNS
from borgctl.pull.report.target_status import Row, Standing
from borgctl.pull.state.history import Run
from borgctl.text import iso, size
from borgctl.wire.frames import GOOD

LATEST = 10  # runs that a target's own section shows
_DAY = 86400.0
_WORDS = {"ok": "all well", "warning": "with warnings", "critical": "critical", "attack": "may be under attack"}
_MAKES_ARCHIVES = (None, "create")  # commands of a job; None: it never got so far as to say one


class Fact(NamedTuple):
    """A number at a glance, with what it is made of."""

    name: str
    value: str
    note: str


class Backup(NamedTuple):
    """A job that makes archives, in the table of all targets; without one, the target alone."""

    anchor: str
    target: str
    job: str
    level: str
    state: str
    last_good: str
    charts: tuple[Chart, Chart, Chart]


class PastRun(NamedTuple):
    """One of a target's last runs, in words."""

    begun: str
    job: str
    level: str
    outcome: str
    reason: str
    files: str
    size: str
    added: str
    took: str
    archive: str


class Section(NamedTuple):
    """All about one target; `work` is what a launcher does with it now."""

    anchor: str
    target: str
    level: str
    work: str | None
    lines: tuple[Concern, ...]
    runs: tuple[PastRun, ...]


class Fleet(NamedTuple):
    """All targets: at a glance, what needs a person, the charts, and a section for each."""

    facts: tuple[Fact, ...]
    concerns: tuple[Concern, ...]
    anchors: dict[str, str]
    backups: tuple[Backup, ...]
    targets: tuple[Section, ...]


class _Past:
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


def survey(standings: Sequence[Standing], runs: Iterable[Run], now: float) -> Fleet:
    """Return all that the page shows; runs come as they were recorded."""
    anchors = {standing.target: f"target-{number}" for number, standing in enumerate(standings, 1)}
    jobs = {standing.target: _backups(standing) for standing in standings}
    past = _Past(anchors, ((target, row.job or "") for target, rows in jobs.items() for row in rows), now)
    for run in runs:
        past.take(run)
    backups = tuple(
        _backup(anchors[standing.target], standing, row, past)
        for standing in standings
        for row in jobs[standing.target] or (None,)
    )
    sections = tuple(_section(anchors[standing.target], standing, past) for standing in standings)
    return Fleet(_facts(standings, past), concerns(standings), anchors, backups, sections)


def _backups(standing: Standing) -> list[Row]:
    """Return the rows of jobs that make archives, or have not said yet what they do."""
    commands = {name: job.command for name, job in standing.state.jobs.items()}
    return [row for row in standing.rows if row.job is not None and commands.get(row.job) in _MAKES_ARCHIVES]


def _backup(anchor: str, standing: Standing, row: Row | None, past: _Past) -> Backup:
    if row is None:
        state = standing.rows[0].state if standing.rows else NONE
        return Backup(anchor, standing.target, NONE, level(standing), state, NONE, charts(()))
    runs = tuple(past.of_job[standing.target, row.job or ""])
    last_good = NONE if row.age is None else f"{elapsed(row.age)} ago"
    return Backup(anchor, standing.target, row.job or NONE, level(row), row.state, last_good, charts(runs))


def _section(anchor: str, standing: Standing, past: _Past) -> Section:
    work = None
    if standing.at_work is not None:
        work = " ".join(filter(None, (standing.at_work.job, str(standing.at_work))))
    runs = tuple(map(_past_run, reversed(past.latest[standing.target])))
    return Section(anchor, standing.target, level(standing), work, tuple(of_target(standing)), runs)


def _past_run(run: Run) -> PastRun:
    how = {"ok": LEVELS[0], "warning": LEVELS[1]}.get(run.outcome, LEVELS[2])
    took = duration(run)
    return PastRun(
        moment(run.begun),
        *(run.job or (NONE if run.kind == "run" else run.kind), how, run.outcome, run.reason or NONE),
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


def _facts(standings: Sequence[Standing], past: _Past) -> tuple[Fact, ...]:
    levels = Counter(level(standing) for standing in standings)
    counted = _parts({_WORDS[one]: levels[one] for one in LEVELS})
    paused = sum(row.state == "paused" for standing in standings for row in standing.rows)
    states = Counter(row.state for standing in standings for row in standing.rows if row.job is not None)
    alerts = sum(len(standing.state.alerts) for standing in standings)
    busy = sum(standing.at_work is not None for standing in standings)
    return (
        Fact("Targets", str(len(standings)), f"{counted}; {paused} paused" if paused else counted),
        Fact("Jobs", str(states.total()), _parts(states)),
        Fact("Alerts", str(alerts), "until a person accepts them" if alerts else "none stands"),
        Fact("Running now", str(busy), "as this page was made"),
        Fact("Runs in the last day", str(past.outcomes.total()), _parts(past.outcomes)),
        Fact("Added in the last day", size(past.added), "to the repositories, by the server's count"),
        Fact("Newest backups", size(sum(past.sizes.values())), f"{len(past.sizes)} jobs, by the clients' word"),
    )


def _parts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
