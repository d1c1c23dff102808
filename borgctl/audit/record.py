"""Render an audit record as one line: printable ASCII, small whatever a peer sent, secrets in free text masked.

It knows lines, not files. The format is that of structlog's JSONRenderer.

    >>> json.loads(render({"type": "refuse", "request": "run weekly"}))["request"]
    'run weekly'
"""

import json
from datetime import UTC, datetime
from typing import Any

from borgctl.audit.redact import MASK, masked, names_secret

LARGEST = 16 * 1024  # bytes of one line, with its newline
_LONGEST_TEXT = 1024
_MOST_ITEMS = 256
# The request, what ran, and by which rule, in the peer's own words: a mask there would hide what happened.
_EXACT = frozenset(
    (
        *("type", "run", "reason", "outcome", "origin", "policy", "digest", "key", "peer", "request", "rule"),
        *("command", "job", "repository", "argv", "environment", "transport", "reading", "skipped", "pruned"),
    )
)
_SCALARS = (int, float, str, type(None))


def render(record: dict[str, Any], **place: object) -> str:
    """Return the record's line: the time, the record's `place` in the log, then the record in the given order."""
    head = {"time": stamp(datetime.now(UTC)), **place}
    line = json.dumps({**head, **_fitted(record, _LONGEST_TEXT)})
    for longest in (_LONGEST_TEXT, 256, 64, 16):
        if len(line) < LARGEST:
            return line
        scalars = {key: value for key, value in record.items() if isinstance(value, _SCALARS)}
        line = json.dumps({**head, **_fitted(scalars, longest), "cut": True})
    return line if len(line) < LARGEST else json.dumps({**head, "type": str(record.get("type"))[:64], "cut": True})


def stamp(moment: datetime) -> str:
    """Format a time as in records: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fitted(record: dict[str, Any], longest: int) -> dict[str, Any]:
    return {key: _capped(value, longest, exact=key in _EXACT) for key, value in record.items()}


def _capped(value: Any, longest: int, *, exact: bool) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return _text(value, longest, exact=exact)
    if isinstance(value, (list, tuple)):
        before = [
            "",
            *(item if isinstance(item, str) and item.startswith("-") else "" for item in value),
        ]  # an option in a command line
        return [
            _named(name, item, longest, exact=exact) for name, item in zip(before, value[:_MOST_ITEMS], strict=False)
        ]
    if isinstance(value, dict):
        return {
            _text(key, longest, exact=exact): _named(key, item, longest, exact=exact)
            for key, item in list(value.items())[:_MOST_ITEMS]
        }
    return value


def _named(name: str, value: Any, longest: int, *, exact: bool) -> Any:  # noqa: ANN401 - JSON
    """Mask a whole text whose name says that it is a secret, unless it must stay exact."""
    return MASK if isinstance(value, str) and not exact and names_secret(name) else _capped(value, longest, exact=exact)


def _text(text: str, longest: int, *, exact: bool) -> str:
    """Mask, then cut; escape lone surrogates."""
    head = text[: 4 * longest]
    whole = (head if exact else masked(head)).encode("utf-8", "backslashreplace").decode("utf-8")
    start = whole[:longest]
    while len(json.dumps(start)) > longest + 2:  # in ASCII, a character may take twelve
        start = start[: len(start) * 3 // 4]
    return start if start == whole and len(text) <= 4 * longest else f"{start}… ({len(text)} characters)"
