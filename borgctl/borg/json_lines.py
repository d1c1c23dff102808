"""Read lines of borg's `--log-json`, trusting none: a line that is no such object counts for nothing.

>>> read('{"type": "file_status", "status": "A", "path": "a"}', "type", "file_status")["status"]
'A'
"""

import json
from typing import Any


def read(line: str, key: str, name: str) -> dict[str, Any] | None:
    """Return the JSON object in a line if its `key` has the value `name`; None for any other line."""
    if f'"{name}"' not in line:  # most lines are others: skip them quickly
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get(key) == name else None
