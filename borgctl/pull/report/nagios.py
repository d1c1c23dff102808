"""Nagios: how a fleet stands as a monitoring plugin says it, in one line (Monitoring Plugins' guidelines).

What is wrong comes first. Behind '|' stand ages, sizes and durations as performance data.

    nagios(fleet)            BORGPULL OK - 1 target | 'web1_default'=7200s;;93600 'web1_default_size'=1200000B
"""

from collections.abc import Iterator

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import POSSIBLE_ATTACK, Row
from borgctl.pull.report.suspicion import suspicious
from borgctl.text import printable_excerpt

_LEVELS = ("OK", "WARNING", "CRITICAL")


def nagios(fleet: FleetStatus) -> str:
    """Write the line."""
    all_rows = [row for standing in fleet.targets for row in standing.rows]
    wrong = [str(row) for row in sorted((row for row in all_rows if row.level), key=lambda row: -row.level)]
    wrong += [
        f"{standing.target}: ALERT {alert.reason}{f' ({POSSIBLE_ATTACK})' if suspicious(alert.reason) else ''}"
        for standing in fleet.targets
        for alert in standing.state.alerts.values()
    ]
    wrong += [f"{one.target}: {one.brief}" for standing in fleet.targets for one in standing.untold]
    number, paused = len(fleet.targets), sum(standing.has("paused") for standing in fleet.targets)
    count = f"{number} target{'s' if number != 1 else ''}{f', {paused} paused' if paused else ''}"
    summary = "; ".join(wrong) or count
    data = " ".join(text for row in all_rows for text in _performance(row))
    return f"BORGPULL {_LEVELS[fleet.level]} - {_plugin_text(summary)}{f' | {data}' if data else ''}"


def _performance(row: Row) -> Iterator[str]:
    """Yield performance data; the names of targets and of jobs have no quote and no '=' in them."""
    label = f"{row.target}_{row.job}"
    if row.age is not None:
        yield f"'{label}'={round(row.age)}s;;{row.expect or ''}"
    if row.trend is not None and row.trend.run.original is not None:
        yield f"'{label}_size'={row.trend.run.original}B"
    if row.trend is not None and row.trend.run.duration is not None:
        yield f"'{label}_duration'={row.trend.run.duration:.3f}s"


def nagios_of(error: str) -> str:
    """Write the line for what keeps every target from being judged."""
    return f"BORGPULL {_LEVELS[2]} - {_plugin_text(error.partition(chr(10))[0])}"


def _plugin_text(text: str) -> str:
    return printable_excerpt(text).replace("|", "/")
