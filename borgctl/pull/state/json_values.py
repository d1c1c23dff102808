"""JSON values: read what a state's file may hold; each raises TypeError for anything else.

moment(entry["time"]), count(entry["count"]), text(entry["reason"])
"""

LATEST = 253402300800  # seconds since the epoch: no date can be written from the year 10000 on


def moment(value: object) -> float:
    """Read a time, in seconds since the epoch."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < LATEST:
        raise TypeError
    return value


def count(value: object) -> int:
    """Read a number of whatever; a client may have chosen it, so every one that can be saved can be read."""
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise TypeError
    return value
