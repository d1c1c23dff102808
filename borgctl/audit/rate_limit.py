"""How many audit records each key may cause, so that no peer fills the disk.

Refusals beyond a key's rate are counted. An `alert` record reports them together when the flood starts, and every hour
while it lasts. Runs beyond the rate are refused. This module counts; it knows no file.

    >>> take(usage_for({}, {"policy": "/etc/borgctl/web1.yaml", "key": "SHA256:…"}, now=0.0), REFUSALS)
    True
"""

import hashlib
import json
from typing import Any

from borgctl.data_class import dataclass, field

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` records at once, then `hourly` records an hour."""

    name: str
    most: int
    hourly: int


REFUSALS = Rate("refusals", 100, 60)
RUNS = Rate("runs", 1000, 120)
RATES = (REFUSALS, RUNS)


@dataclass(slots=True)
class KeyUsage:
    """One key's use of each rate at the time `at`, and the refusals counted `since` the last alert."""

    policy: str | None
    key: str | None
    at: float
    used: dict[str, float] = field(default_factory=lambda: {rate.name: 0.0 for rate in RATES})
    counted: int = 0
    since: float = 0.0

    def settle(self, now: float) -> None:
        """Free what the elapsed time allows; a clock that was set back frees nothing."""
        hours = max(0.0, now - self.at) / _HOUR
        self.used = {rate.name: max(0.0, self.used[rate.name] - hours * rate.hourly) for rate in RATES}
        self.at = now

    @property
    def idle(self) -> bool:
        """Tell whether the usage holds nothing worth keeping."""
        return not self.counted and not self.since and not any(self.used.values())


def usage_for(accounts: dict[str, KeyUsage], record: dict[str, Any], now: float) -> KeyUsage:
    """Return the usage of a record's key, settled; records without a key share the policy's."""
    policy, key = (_short(record.get(name)) for name in ("policy", "key"))
    name = hashlib.sha256(json.dumps([policy, key]).encode()).hexdigest()[:16]
    usage = accounts.setdefault(name, KeyUsage(policy, key, now))
    usage.settle(now)
    return usage


def due_alerts(accounts: dict[str, KeyUsage], now: float) -> list[dict[str, Any]]:
    """Return the alerts whose hour is over, and start to count anew."""
    alerts = []
    for usage in accounts.values():
        usage.settle(now)
        if usage.since and not 0 <= now - usage.since < _HOUR:
            alerts += [alert(usage)] if usage.counted else []
            usage.since, usage.counted = (now if usage.counted else 0.0), 0
    return alerts


def take(usage: KeyUsage, rate: Rate) -> bool:
    """Use up one record of a rate; return whether one was left."""
    if usage.used[rate.name] > rate.most - 1:
        return False
    usage.used[rate.name] += 1
    return True


def count(usage: KeyUsage, now: float) -> list[dict[str, Any]]:
    """Count a refusal that gets no record of its own; return the alert that starts a flood, else nothing."""
    usage.counted += 1
    if usage.since:
        return []
    alerts = [alert(usage)]
    usage.since, usage.counted = now, 0
    return alerts


def alert(usage: KeyUsage) -> dict[str, Any]:
    """Return the record of the counted refusals."""
    record = {"type": "alert", "reason": "refusals-counted", "count": usage.counted}
    return {**record, "policy": usage.policy, "key": usage.key}


def _short(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None
