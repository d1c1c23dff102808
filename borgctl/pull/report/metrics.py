"""Metrics: which numbers of a fleet a monitoring system gets, each with its labels and what it means.

It knows names and values. The format is `exposition`'s, and docs/monitoring.md has this table. All are gauges. A sample
that is not known is left out, and never a zero. Labels are printable ASCII, and no two samples have the same.

    for metric in METRICS: metric.name, dict(metric.samples(fleet))
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Past
from borgctl.text import printable_ascii
from borgctl.wire.frames import GOOD

TARGET = ("target",)
JOB = ("target", "backup_job")  # Prometheus has a label `job` of its own, and would rename ours
ALERT = ("target", "code")
_MOST = 1 << 53  # a state may hold more than any float, if a hand wrote it

Samples = Iterator[tuple[tuple[str, ...], float]]


class Metric(NamedTuple):
    """A gauge: its whole name, its labels, what it means, and its samples of a fleet as (values of labels, value)."""

    name: str
    labels: tuple[str, ...]
    text: str
    samples: Callable[[FleetStatus], Samples]


def _of_fleet(name: str, text: str, value: Callable[[FleetStatus], float]) -> Metric:
    return Metric(f"borgpull_{name}", (), text, lambda fleet: iter([((), value(fleet))]))


def _of_targets(name: str, text: str, value: Callable[[Standing], float]) -> Metric:
    def samples(fleet: FleetStatus) -> Samples:
        for standing in fleet.targets:
            yield (printable_ascii(standing.target),), value(standing)

    return Metric(f"borgpull_{name}", TARGET, text, samples)


def _of_jobs(name: str, text: str, value: Callable[[Row], float | None]) -> Metric:
    def samples(fleet: FleetStatus) -> Samples:
        for row in (row for standing in fleet.targets for row in standing.rows if row.is_of_runs):
            number = value(row)
            if number is not None:
                yield (printable_ascii(row.target), row.job or ""), number

    return Metric(f"borgpull_{name}", JOB, text, samples)


def _of_history(name: str, text: str, field: str) -> Metric:
    """Return a metric of the last good run as the history has it."""
    return _of_jobs(name, text, lambda row: None if row.trend is None else getattr(row.trend.run, field))


def _alerts(fleet: FleetStatus) -> Samples:
    for standing in fleet.targets:
        for alert in standing.state.alerts.values():
            yield (printable_ascii(standing.target), printable_ascii(alert.reason)), min(alert.count, _MOST)


def _time(past: Past | None) -> float | None:
    return None if past is None else past.time


def _outcome(past: Past | None) -> int | None:
    """Return an outcome as a number, which is what `borgpull run` would have ended with."""
    if past is None:
        return None
    return GOOD.index(past.outcome) if past.outcome in GOOD else 2


METRICS = (
    _of_fleet(
        "written_timestamp_seconds",
        "When these metrics were written. All that they say is of that time.",
        lambda fleet: fleet.time,
    ),
    _of_fleet("targets", "How many targets there are.", lambda fleet: len(fleet.targets)),
    _of_fleet(
        "history_usable",
        "1, or 0 where the history of runs cannot be read, so that no sizes and durations are known.",
        lambda fleet: fleet.history_fault is None,
    ),
    _of_targets(
        "target_status",
        "What 'borgpull status' says of the target: 0 all is well, 1 warnings, 2 critical.",
        lambda standing: standing.level,
    ),
    _of_targets(
        "target_broken",
        "1 where the target cannot be judged: its file has mistakes, or it or its state cannot be read.",
        lambda standing: standing.has("invalid"),
    ),
    _of_targets(
        "target_not_ready",
        "1 where no run can begin: the host key, the server's borg or the repository is missing or another one.",
        lambda standing: standing.has("not-ready", "unusable"),
    ),
    _of_targets("target_paused", "1 while the target is paused.", lambda standing: standing.has("paused")),
    _of_targets(
        "target_suspect",
        "1 where something about the target may be an attack.",
        lambda standing: standing.suspicious,
    ),
    Metric(
        "borgpull_alert",
        ALERT,
        "An alert that stands until 'borgpull accept', by its code: how often it has happened.",
        _alerts,
    ),
    _of_jobs(
        "overdue",
        "1 where the last good run is older than expected, or there was none in time. 0 while paused.",
        lambda row: row.is_overdue,
    ),
    _of_jobs("failing", "1 where the last run has failed. 0 while paused.", lambda row: row.is_failing),
    _of_jobs(
        "last_run_outcome",
        "How the last run ended: 0 ok, 1 warnings, 2 any other outcome.",
        lambda row: _outcome(row.last),
    ),
    _of_jobs("last_run_timestamp_seconds", "When the last run ended.", lambda row: _time(row.last)),
    _of_jobs("last_success_timestamp_seconds", "When the last good run ended.", lambda row: _time(row.good)),
    _of_jobs("expected_age_seconds", "How old the last good run may be.", lambda row: row.expect),
    _of_history("last_success_duration_seconds", "How long the last good run took.", "duration"),
    _of_history("last_success_files", "Files in the archive of the last good run, by the client's word.", "files"),
    _of_history(
        "last_success_original_bytes", "Size of what the last good run saved, by the client's word.", "original"
    ),
    _of_history("last_success_compressed_bytes", "The same, compressed, by the client's word.", "compressed"),
    _of_history(
        "last_success_deduplicated_bytes",
        "What of it was new to the repository, compressed, by the client's word.",
        "deduplicated",
    ),
    _of_history(
        "last_success_stored_bytes",
        "What the last good run put into the repository, by the server's own count.",
        "put_bytes",
    ),
    _of_jobs(
        "usual_original_bytes",
        "Median of the sizes of up to ten good runs before the last one.",
        lambda row: None if row.trend is None else row.trend.usual_original,
    ),
    _of_jobs(
        "usual_duration_seconds",
        "Median of the durations of up to ten good runs before the last one.",
        lambda row: None if row.trend is None else row.trend.usual_duration,
    ),
)
