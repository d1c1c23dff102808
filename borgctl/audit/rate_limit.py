"""The tally beside an audit log: the last record's head, and how much of its room each key has used up.

So that no peer fills the disk, each key has so many records an hour. Refusals beyond are counted, and told together in
an `alert` record when the flood begins and every hour while it lasts; runs beyond are refused. This module counts; it
knows no file. What it reads may be old, torn or anything: then it begins anew, and the log itself says more.

    >>> tally = Tally()
    >>> take(tally.account({"policy": "/etc/borgctl/web1.yaml", "key": "SHA256:…"}, now=0.0), REFUSALS)
    True
    >>> Tally.read(tally.line()) == tally
    True
"""

import hashlib
import json
from typing import Any

from borgctl.data_class import dataclass, field
from borgctl.errors import BadValue
from borgctl.values import Head
from borgctl.wire.hashchain import VERSION

LARGEST = 64 * 1024  # bytes
_MOST_KEYS = 64
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` at once, and `hourly` an hour after that."""

    name: str
    most: int
    hourly: int


REFUSALS = Rate("refusals", 100, 60)
RUNS = Rate("runs", 1000, 120)
_RATES = (REFUSALS, RUNS)


@dataclass(slots=True)
class Account:
    """One key's: what it has used of each rate, when that was, and the refusals counted `since` the last alert."""

    policy: str | None
    key: str | None
    at: float
    used: dict[str, float] = field(default_factory=lambda: {rate.name: 0.0 for rate in _RATES})
    counted: int = 0
    since: float = 0.0

    def settle(self, now: float) -> None:
        """Give back what time has made free; a clock that was set back gives nothing."""
        hours = max(0.0, now - self.at) / _HOUR
        self.used = {rate.name: max(0.0, self.used[rate.name] - hours * rate.hourly) for rate in _RATES}
        self.at = now

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost without it."""
        return not self.counted and not self.since and not any(self.used.values())


@dataclass(slots=True)
class Tally:
    """What is kept from record to record."""

    head: Head | None = None
    accounts: dict[str, Account] = field(default_factory=dict)
    linked: bool = False  # the head is of the chain as it is today

    @classmethod
    def read(cls, data: bytes) -> "Tally":
        """Read what `line` wrote; an empty tally for anything else."""
        try:
            value = json.loads(data.partition(b"\n")[0])
            head = None if value["head"] is None else Head.read(value["head"])
            accounts = {name: _account(told) for name, told in value["accounts"].items()}
            return cls(head, accounts, value.get("chain") == VERSION)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadValue):
            return cls()

    def line(self) -> bytes:
        """Write it as one line."""
        accounts = sorted(self.accounts.items(), key=lambda item: (not item[1].counted, -item[1].at))
        kept = {name: _fields(account) for name, account in accounts[:_MOST_KEYS] if not account.idle}
        head = {"head": self.head and str(self.head), **({"chain": VERSION} if self.linked else {})}
        return json.dumps({**head, "accounts": kept}).encode("ascii") + b"\n"

    def account(self, record: dict[str, Any], now: float) -> Account:
        """Return the account of a record's key, settled; who has no key shares that of the policy."""
        policy, key = (_short(record.get(name)) for name in ("policy", "key"))
        name = hashlib.sha256(json.dumps([policy, key]).encode()).hexdigest()[:16]
        account = self.accounts.setdefault(name, Account(policy, key, now))
        account.settle(now)
        return account

    def due(self, now: float) -> list[dict[str, Any]]:
        """Return the alerts whose hour is over, and count anew."""
        told = []
        for account in self.accounts.values():
            account.settle(now)
            if account.since and not 0 <= now - account.since < _HOUR:
                told += [alert(account)] if account.counted else []
                account.since, account.counted = (now if account.counted else 0.0), 0
        return told


def take(account: Account, rate: Rate) -> bool:
    """Use one of a rate, if there is one; return whether there was."""
    if account.used[rate.name] > rate.most - 1:
        return False
    account.used[rate.name] += 1
    return True


def count(account: Account, now: float) -> list[dict[str, Any]]:
    """Count a refusal that gets no record of its own; return the alert with which a flood begins."""
    account.counted += 1
    if account.since:
        return []
    told = [alert(account)]
    account.since, account.counted = now, 0
    return told


def alert(account: Account) -> dict[str, Any]:
    """Return the record that tells what was counted."""
    told = {"type": "alert", "reason": "refusals-counted", "count": account.counted}
    return {**told, "policy": account.policy, "key": account.key}


def _fields(account: Account) -> dict[str, Any]:
    """Return what `_account` reads."""
    return {name: getattr(account, name) for name in account.__match_args__}


def _account(told: dict[str, Any]) -> Account:
    numbers = [told["at"], told["since"], *(told["used"][rate.name] for rate in _RATES)]
    policy, key = told["policy"], told["key"]
    if not all(type(number) in (int, float) and 0 <= number < 1e12 for number in numbers):  # not NaN either
        raise ValueError
    if not all(text is None or isinstance(text, str) for text in (policy, key)) or type(told["counted"]) is not int:
        raise ValueError
    used = {rate.name: float(told["used"][rate.name]) for rate in _RATES}
    return Account(policy, key, float(told["at"]), used, told["counted"], float(told["since"]))


def _short(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None
