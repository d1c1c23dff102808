"""Fleet status: how all chosen targets stand at one moment. It is the one value that all renderings are made from.

Lines, JSON and the line for Nagios (`target_status`, `nagios`), the table (`status_table`) and the metrics (`metrics`)
look at nothing else. What is wrong with the history of runs changes no verdict: then no sizes are known.

    fleet = survey(folders, ["web1", "web2"], time.time())
    fleet.level                                      0 all well, 1 warnings, 2 critical
    fleet.targets[0].rows[0].trend                   sizes and duration of the last good run
"""

from collections.abc import Iterable

from borgctl.data_class import dataclass, replace
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.job_trend import Trend, trends
from borgctl.pull.report.status import standings
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.history_replacement import HistoryUnusable
from borgctl.pull.targets.paths import Folders


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Targets as they stood at `time` (seconds since the epoch); `history_fault`: why no sizes are known, else None."""

    targets: tuple[Standing, ...]
    time: float
    history_fault: str | None = None

    @property
    def level(self) -> int:
        """Return 0, 1 or 2: that of the worst target; without a target there is nothing good to say."""
        return max((standing.level for standing in self.targets), default=2)


def survey(folders: Folders, names: Iterable[str], now: float) -> FleetStatus:
    """Look at each target's file, its state and its runs; ask no client."""
    targets = tuple(standings(folders, names, now))
    jobs = [(row.target, row.job) for standing in targets for row in standing.rows if row.job and row.good]
    try:
        known, fault = trends(folders, jobs) if jobs else {}, None
    except HistoryUnusable as error:
        known, fault = {}, str(error)
    return FleetStatus(tuple(_measured(standing, known) for standing in targets), now, fault)


def _measured(standing: Standing, known: dict[tuple[str, str], Trend]) -> Standing:
    return replace(standing, rows=tuple(_row(row, known) for row in standing.rows))


def _row(row: Row, known: dict[tuple[str, str], Trend]) -> Row:
    """Add the trend, where the history has that very run: sizes of an earlier one would look like those of the last."""
    trend = known.get((row.target, row.job or ""))
    if trend is None or row.good is None or trend.run.run != row.good.run:
        return row
    return replace(row, trend=trend)
