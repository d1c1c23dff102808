"""Expand the gate's own placeholders: {hostname}, {job}, {now} and {now:FORMAT}, and no others.

borg's own placeholders can read its environment. So no brace ever reaches borg, and the gate expands these few itself.

    >>> names = Names("web1", "default", datetime(2026, 11, 23, tzinfo=UTC))
    >>> Template("{hostname}-{job}-{now:%Y-%m-%d}").expand(names)
    'web1-default-2026-11-23'
"""

import re
from datetime import UTC, datetime

from borgctl.data_class import dataclass
from borgctl.errors import BadValue

_PLACEHOLDER = re.compile(r"\{(hostname|job|now)(?::((?:%[YmdHMSjyVGu]|[A-Za-z0-9_.:+-]){1,64}))?\}")
_DEFAULT_FORMAT = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True, slots=True)
class Names:
    """The values of the placeholders."""

    hostname: str
    job: str
    now: datetime


SAMPLE = Names("host", "job", datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders; a brace that is not part of one is an error."""

    text: str

    def __post_init__(self) -> None:
        if re.search(r"[{}]", _PLACEHOLDER.sub("", self.text)):
            raise BadValue(
                f"bad placeholder in {self.text!r}: expected {{hostname}}, {{job}}, {{now}} or {{now:%Y-%m-%d}}"
            )
        if re.search(r"\{(?:hostname|job):", self.text):
            raise BadValue(f"bad placeholder in {self.text!r}: only {{now}} takes a format")

    def __str__(self) -> str:
        return self.text

    def expand(self, names: Names) -> str:
        """Return the text with every placeholder replaced, once: braces in a value are not expanded again."""

        def value(match: re.Match[str]) -> str:
            if match[1] == "now":
                return names.now.strftime(match[2] or _DEFAULT_FORMAT)
            return names.hostname if match[1] == "hostname" else names.job

        return _PLACEHOLDER.sub(value, self.text)
