"""Events: what there is to tell of a target, each thing once, from how it stands and what was told of it before.

Nothing is sent or kept here. An event is told once and not in each call: a job that fails night after night is one
event, until it goes well. What a call leaves untold, as it was killed or could reach nobody, the next one finds due.

    entries, due = judge(standing, service.kinds, told.services.get(service.name, {}), now)
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from borgctl.pull.report.job_status import POSSIBLE_ATTACK
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.told import MOST_TRIES, Entry
from borgctl.wire.frames import GOOD

FAILED, RECOVERED, OVERDUE, SUSPECT = "failed", "recovered", "overdue", "suspect"
_BROKEN = ("invalid", "not-ready", "unusable")  # states of a target that cannot run
_LATE = ("overdue", "never")
_WELL = ("ok", "warning")
_UNRECORDED = ("not-started", "internal")


class Event(NamedTuple):
    """One thing to tell: `title` is a line of our own words, `text` may have more lines, and words of the client's."""

    kind: str
    target: str
    title: str
    text: str


NOTHING: Mapping[str, Event] = {}


def judge(
    standing: Standing,
    kinds: tuple[str, ...],
    entries: Mapping[str, Entry],
    now: float,
    reported: Mapping[str, Event] = NOTHING,
) -> tuple[dict[str, Entry], dict[str, Event]]:
    """Return what is to be remembered of a service from now on, and the events to tell it now, by key.

    `reported` is what is wrong by the report of a run and not by the state, as nothing could be written there.

    A key is the kind and what the event is about: a job, the target itself (''), or an alert and its first time.
    """
    troubles, well = {**reported, **dict(_troubles(standing))}, _well(standing)
    after: dict[str, Entry] = {}
    for key, entry in entries.items():
        kind, _, subject = key.partition(":")
        if kind == RECOVERED:
            if entry.tries < MOST_TRIES and not _is_troubled(subject, troubles):
                after.setdefault(key, entry)
        elif key in troubles:
            after[key] = entry
        elif kind in (FAILED, OVERDUE) and _is_over(entry, well.get(subject), now):
            if entry.done and RECOVERED in kinds and not _is_troubled(subject, troubles):
                after.setdefault(f"{RECOVERED}:{subject}", Entry(now))
        elif kind in (FAILED, OVERDUE) and subject in _subjects(standing):
            after[key] = entry  # paused, or not run since: nobody knows yet
    for key, event in troubles.items():
        if event.kind in kinds:
            after.setdefault(key, Entry(now))
    due = [key for key, entry in after.items() if entry.due(now)]
    return after, {key: troubles[key] if key in troubles else _recovery(key, standing) for key in due}


def _troubles(standing: Standing) -> Iterator[tuple[str, Event]]:
    """Yield what is wrong with a target, by key."""
    whose = standing.target
    for row in standing.rows:
        title, subject = _title(whose, row.job), row.job or ""
        if row.state in ("seen", "paused"):
            continue
        if row.last is not None and row.last.outcome not in GOOD:
            why = row.last.detail or row.last.reason
            headline = f"{title}: {row.last.outcome}{f' ({why})' if why else ''}"
            yield f"{FAILED}:{subject}", Event(FAILED, whose, headline, str(row))
        elif row.state in _BROKEN:
            yield f"{FAILED}:{subject}", Event(FAILED, whose, f"{title}: cannot run ({row.state})", str(row))
        if row.state in _LATE:
            yield f"{OVERDUE}:{subject}", Event(OVERDUE, whose, f"{title}: overdue", str(row))
        if row.suspicious and row.last is not None:
            why = row.last.detail if suspicious(row.last.detail) else row.last.reason
            event = Event(SUSPECT, whose, f"{title}: {POSSIBLE_ATTACK} ({why})", str(row))
            yield f"{SUSPECT}:{subject}/{why}", event
    for alert in standing.state.alerts.values():
        word = POSSIBLE_ATTACK if suspicious(alert.reason) else "ALERT"
        event = Event(SUSPECT, whose, f"{whose}: {word} ({alert.reason})", f"{whose}: {alert_line(alert)}")
        yield f"{SUSPECT}:/{alert.reason}/{int(alert.time)}", event


def unrecorded(target: str, reason: str | None, text: str, alerts: Iterable[tuple[str, str]]) -> dict[str, Event]:
    """Return what is wrong by a run's report and is not in the state: it did not begin, or nothing could be written."""
    found = {}
    if reason in _UNRECORDED:
        found[f"{FAILED}:"] = Event(FAILED, target, f"{target}: failed ({reason})", text)
    for alert, words in alerts:
        title = f"{target}: ALERT ({alert})"
        found[f"{SUSPECT}:/{alert}"] = Event(SUSPECT, target, title, f"{target}: {alert}: {words}")
    return found


def _title(target: str, job: str | None) -> str:
    return f"{target} {job}" if job else target


def _subjects(standing: Standing) -> frozenset[str]:
    """Return the jobs that are there; the target itself ('') always is."""
    return frozenset(("", *(row.job for row in standing.rows if row.job)))


def _well(standing: Standing) -> dict[str, float]:
    """Return when jobs that are well last went well; the target itself ('') is, where nothing but jobs is judged."""
    good = {row.job: row.good.time for row in standing.rows if row.job and row.good and row.state in _WELL}
    itself = {"": max(good.values())} if good and all(row.job for row in standing.rows) else {}
    return good | itself


def _is_over(entry: Entry, good: float | None, now: float) -> bool:
    """Tell whether there was a good run since; a time in the future is of a clock that was set back."""
    return good is not None and (good >= entry.since or entry.since > now)


def _is_troubled(subject: str, troubles: Mapping[str, Event]) -> bool:
    return f"{FAILED}:{subject}" in troubles or f"{OVERDUE}:{subject}" in troubles


def _recovery(key: str, standing: Standing) -> Event:
    """Return the event that a job, or the target itself, is well again."""
    job = key.partition(":")[2] or None
    lines = [str(row) for row in standing.rows if row.job == job or job is None]
    return Event(RECOVERED, standing.target, f"{_title(standing.target, job)}: well again", "\n".join(lines))
