"""The file LOG.head beside an audit log: the head of its last record, and how much each key has used of its rates.

This module reads and writes the file's one line; it opens no file. Its content may be old, torn or anything: then it
starts empty, and the log itself says more.

    >>> head_file = HeadFile(Head(7, "a" * 64))
    >>> HeadFile.read(head_file.line()) == head_file
    True
"""

import json
from typing import Any

from borgctl.audit.rate_limit import RATES, KeyUsage
from borgctl.data_class import dataclass, field
from borgctl.errors import BadValue
from borgctl.values import Head
from borgctl.wire.hashchain import VERSION

LARGEST = 64 * 1024  # bytes
_MOST_KEYS = 64


@dataclass(slots=True)
class HeadFile:
    """The content of the file, kept from record to record."""

    head: Head | None = None
    accounts: dict[str, KeyUsage] = field(default_factory=dict)
    linked: bool = False  # the head belongs to the chain of today's version

    @classmethod
    def read(cls, data: bytes) -> "HeadFile":
        """Read what `line` wrote; anything else gives an empty one."""
        try:
            value = json.loads(data.partition(b"\n")[0])
            head = None if value["head"] is None else Head.read(value["head"])
            accounts = {name: _usage(fields) for name, fields in value["accounts"].items()}
            return cls(head, accounts, value.get("chain") == VERSION)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadValue):
            return cls()

    def line(self) -> bytes:
        """Return the content as one line."""
        accounts = sorted(self.accounts.items(), key=lambda item: (not item[1].counted, -item[1].at))
        busy = {name: _fields(usage) for name, usage in accounts[:_MOST_KEYS] if not usage.idle}
        head = {"head": self.head and str(self.head), **({"chain": VERSION} if self.linked else {})}
        return json.dumps({**head, "accounts": busy}).encode("ascii") + b"\n"


def _fields(usage: KeyUsage) -> dict[str, Any]:
    """Return the values that `_usage` reads."""
    return {name: getattr(usage, name) for name in usage.__match_args__}


def _usage(fields: dict[str, Any]) -> KeyUsage:
    numbers = [fields["at"], fields["since"], *(fields["used"][rate.name] for rate in RATES)]
    policy, key = fields["policy"], fields["key"]
    if not all(type(number) in (int, float) and 0 <= number < 1e12 for number in numbers):  # not NaN either
        raise ValueError
    if not all(text is None or isinstance(text, str) for text in (policy, key)) or type(fields["counted"]) is not int:
        raise ValueError
    used = {rate.name: float(fields["used"][rate.name]) for rate in RATES}
    return KeyUsage(policy, key, float(fields["at"]), used, fields["counted"], float(fields["since"]))
