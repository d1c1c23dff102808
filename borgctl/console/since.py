"""Since: read from which time on a person wants to see something.

>>> since("2d", datetime(2026, 11, 30, tzinfo=UTC)).isoformat()
'2026-11-28T00:00:00+00:00'
"""

from datetime import UTC, datetime, timedelta

from borgctl.errors import BadValue
from borgctl.values import duration


def since(text: str, now: datetime) -> datetime:
    """Read '2h' (before now) or a date or time in ISO 8601, in local time where it names no zone."""
    try:
        return now - timedelta(seconds=duration(text))
    except BadValue:
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(f"bad time {text[:40]!r}: expected 2h, 14d, 2026-11-23 or '2026-11-23 04:05'") from None
