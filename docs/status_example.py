"""The example of `borgpull status` on docs/monitoring.md, drawn by the program itself from a fleet that is made up."""

import io
from contextlib import redirect_stdout

from borgctl.pull.report import status_table
from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.job_trend import Trend
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.history import Run
from borgctl.pull.state.state import Past, State

_NOW, _HOUR = 1_796_025_600.0, 3600.0
_COLUMNS = 80
_AWAY = Past(_NOW - _HOUR, "failed", "ssh-failed", run="0a1b2c3d4e5f6071")
_SMALL = "job default: 3 files, 1.2 MB; the last 10 good runs had 20312 files, 9.9 GB (median)"


def _job(
    title: str,
    state: str,
    hours: float,
    took: float,
    original: int | None = None,
    usual: float | None = None,
    last: Past | None = None,
) -> Row:
    """Return a job with a good run so many hours ago, that took so many seconds; `last` is a failed one after it."""
    target, job = title.split()
    run = Run(target, "run", job, None, None, 0.0, None, took, "ok", original=original)
    good, failing = Past(_NOW - hours * _HOUR, "ok"), None if last is None else 27 * _HOUR
    return Row(
        target, job, state, hours * _HOUR, 93600, last=last or good, good=good, failing=failing, trend=Trend(run, usual)
    )


def _fleet() -> FleetStatus:
    small = State()
    small.alert("backup-shrunken", _SMALL, _NOW)
    rows = (
        (State(), _job("db1 default", "ok", 3, 2532, 210_400_000_000, 205_100_000_000)),
        (small, _job("files default", "warning", 2, 12, 1_200_000, 9_900_000_000)),
        (State(), _job("web1 default", "ok", 2, 243, 12_300_000_000, 12_010_000_000), _job("web1 prune", "ok", 98, 41)),
        (State(), _job("web2 default", "overdue", 53, 1810, 48_300_000_000, 47_900_000_000, _AWAY)),
    )
    return FleetStatus(tuple(Standing(jobs[0].target, tuple(jobs), state) for state, *jobs in rows), _NOW)


def drawn() -> str:
    """Return what a terminal of 80 columns shows, without colours."""
    with redirect_stdout(io.StringIO()):
        text = status_table.drawn(_fleet(), columns=_COLUMNS) or ""
    return "\n".join(line.rstrip() for line in text.splitlines())
