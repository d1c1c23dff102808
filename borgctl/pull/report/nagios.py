"""Nagios: how a fleet stands as a monitoring plugin says it, in one line (Monitoring Plugins' guidelines).

What is wrong comes first: possible attacks before all else, a few entries of each target, and of each one at least its
name as long as there is room. Behind '|' stand ages, sizes and durations as performance data.

    nagios(fleet)            BORGPULL OK - 1 target | 'web1_default'=7200s;;93600 'web1_default_size'=1200000B
"""

from collections.abc import Iterator, Mapping, Sequence

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import POSSIBLE_ATTACK, Row
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.target_status import Standing
from borgctl.text import LONGEST, printable_excerpt

_LEVELS = ("OK", "WARNING", "CRITICAL")
# entries of a target, and characters of one: the first that fits
_SHAPES = ((3, LONGEST), (3, 200), (1, 200), (1, 60))


def nagios(fleet: FleetStatus) -> str:
    """Write the line."""
    all_rows = [row for standing in fleet.targets for row in standing.rows]
    ordered = sorted(fleet.targets, key=lambda standing: (not standing.suspicious, -standing.level))
    wrong = {standing.target: _entries(standing) for standing in ordered if standing.level}
    number, paused = len(fleet.targets), sum(standing.has("paused") for standing in fleet.targets)
    count = f"{number} target{'s' if number != 1 else ''}{f', {paused} paused' if paused else ''}"
    summary = _fitting(wrong) or count
    data = " ".join(text for row in all_rows for text in _performance(row))
    return f"BORGPULL {_LEVELS[fleet.level]} - {_plugin_text(summary)}{f' | {data}' if data else ''}"


def _entries(standing: Standing) -> list[str]:
    """Return what is wrong with a target: alerts, then rows, the worst first, then who was not told."""
    alerts = sorted(standing.state.alerts, key=lambda reason: not suspicious(reason))
    entries = [
        f"{standing.target}: ALERT {reason}{f' ({POSSIBLE_ATTACK})' if suspicious(reason) else ''}" for reason in alerts
    ]
    entries += [str(row) for row in sorted(standing.rows, key=lambda row: -row.level) if row.level]
    return entries + [f"{one.target}: {one.brief}" for one in standing.untold]


def _fitting(wrong: Mapping[str, Sequence[str]]) -> str:
    """Return the entries of all targets: as many of each, and as much of them, as there is room for."""
    for most, longest in _SHAPES:
        some = (part for target, entries in wrong.items() for part in _some(target, entries, most, longest))
        text = "; ".join(some)
        if len(text) <= LONGEST:
            return text
    return f"{len(wrong)} targets: {', '.join(wrong)}"


def _some(target: str, entries: Sequence[str], most: int, longest: int) -> Iterator[str]:
    yield from (one if len(one) <= longest else f"{one[: longest - 1]}…" for one in entries[:most])
    if len(entries) > most:
        yield f"{target}: and {len(entries) - most} more"


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
