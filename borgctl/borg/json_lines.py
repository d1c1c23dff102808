"""Lines of borg's `--log-json`, read without belief: whatever is not such an object is none.

>>> named('{"type": "file_status", "status": "A", "path": "a"}', "type", "file_status")["status"]
'A'
"""

import json
from typing import Any


def named(line: str, key: str, name: str) -> dict[str, Any] | None:
    """Return the object that a line holds, where its `key` is this name; None for any other line."""
    if f'"{name}"' not in line:  # most lines are others, and quick to see
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get(key) == name else None
