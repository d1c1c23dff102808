"""Fleet: what the page shows, as values, from how targets stand and from their past runs. It reads no file.

fleet = survey(list(standings(folders, names, now)), runs(folders, names, None), now)
fleet.facts, fleet.concerns, fleet.backups, fleet.targets
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.pull.html_report.charts import NONE, Chart, charts
from borgctl.pull.html_report.concerns import LEVELS, Concern, concerns, level, of_target
from borgctl.pull.html_report.past import Badge, Past, PastRun, past_run
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.history import Run
from borgctl.text import size

_WORDS = {"ok": "all well", "warning": "with warnings", "critical": "critical", "attack": "may be under attack"}
_ATTACK = "possible attack"
_MAKES_ARCHIVES = (None, "create")  # commands of a job; None: it never got so far as to say one


class Fact(NamedTuple):
    """A number at a glance, with what it is made of."""

    name: str
    value: str
    note: str


class Backup(NamedTuple):
    """A job that makes archives, in the table of all targets; without one, the target alone."""

    target: str
    job: str
    state: Badge
    alerts: Badge | None
    last_good: str
    charts: tuple[Chart, Chart, Chart]


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


def survey(standings: Sequence[Standing], runs: Iterable[Run], now: float) -> Fleet:
    """Return all that the page shows; runs come as they were recorded."""
    anchors = {standing.target: f"target-{number}" for number, standing in enumerate(standings, 1)}
    jobs = {standing.target: _backups(standing) for standing in standings}
    past = Past(anchors, ((target, row.job or "") for target, rows in jobs.items() for row in rows), now)
    for run in runs:
        past.take(run)
    backups = tuple(_backup(standing, row, past) for standing in standings for row in jobs[standing.target] or (None,))
    sections = tuple(_section(anchors[standing.target], standing, past) for standing in standings)
    return Fleet(_facts(standings, past), concerns(standings), anchors, backups, sections)


def _backups(standing: Standing) -> list[Row]:
    """Return the rows of jobs that make archives, or have not said yet what they do."""
    commands = {name: job.command for name, job in standing.state.jobs.items()}
    return [row for row in standing.rows if row.job is not None and commands.get(row.job) in _MAKES_ARCHIVES]


def _backup(standing: Standing, row: Row | None, past: Past) -> Backup:
    name, alerts = standing.target, _alerts(standing)
    if row is None:
        worst = max(standing.rows, key=lambda one: LEVELS.index(level(one)), default=None)
        state = Badge(LEVELS[0], NONE) if worst is None else _state(worst)
        return Backup(name, NONE, state, alerts, NONE, charts(()))
    last_good = NONE if row.age is None else f"{elapsed(row.age)} ago"
    return Backup(
        name, row.job or NONE, _state(row), alerts, last_good, charts(tuple(past.of_job[name, row.job or ""]))
    )


def _state(row: Row) -> Badge:
    return Badge(level(row), f"{row.state}: {_ATTACK}" if row.suspicious else row.state)


def _alerts(standing: Standing) -> Badge | None:
    alerts = standing.state.alerts
    if not alerts:
        return None
    text = f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}"
    return Badge(LEVELS[3], f"{text}: {_ATTACK}") if any(map(suspicious, alerts)) else Badge(LEVELS[2], text)


def _section(anchor: str, standing: Standing, past: Past) -> Section:
    work = None
    if standing.at_work is not None:
        work = " ".join(filter(None, (standing.at_work.job, str(standing.at_work))))
    runs = tuple(map(past_run, reversed(past.latest[standing.target])))
    return Section(anchor, standing.target, level(standing), work, tuple(of_target(standing)), runs)


def _facts(standings: Sequence[Standing], past: Past) -> tuple[Fact, ...]:
    levels = Counter(level(standing) for standing in standings)
    counted = _parts((_WORDS[one], levels[one]) for one in LEVELS)
    paused = sum(row.state == "paused" for standing in standings for row in standing.rows)
    states = Counter(row.state for standing in standings for row in standing.rows if row.job is not None)
    alerts = sum(len(standing.state.alerts) for standing in standings)
    busy = sum(standing.at_work is not None for standing in standings)
    return (
        Fact("Targets", str(len(standings)), f"{counted}; {paused} paused" if paused else counted),
        Fact("Jobs", str(states.total()), _parts(states.most_common())),
        Fact("Alerts", str(alerts), "until a person accepts them" if alerts else "none stands"),
        Fact("Running now", str(busy), "as this page was made"),
        Fact("Runs in the last day", str(past.outcomes.total()), _parts(past.outcomes.most_common())),
        Fact("Added in the last day", size(past.added), "to the repositories, by the server's count"),
        Fact("Newest backups", size(sum(past.sizes.values())), f"{len(past.sizes)} jobs, by the clients' word"),
    )


def _parts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts if count) or "none"
