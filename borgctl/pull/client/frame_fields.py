"""Frame fields: the values in a client's frame, each checked for its type and length; TypeError for any other value.

>>> word("stdout", ("stdout", "stderr"))
'stdout'
"""

import re
from datetime import datetime

from borgctl.values import JobName

_MOST = 100
_MANY = 10**6  # file systems and the like
_MOST_FILES = 10**15 - 1


def jobs(value: object) -> tuple[tuple[JobName, str], ...]:
    """Return jobs as (name, command)."""
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError
    return tuple((JobName(text(job["name"], 64)), text(job["command"], 64)) for job in value)


def run(value: object) -> str:
    """Return a run's id."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text(value, 64)):
        raise TypeError
    return str(value)


def reason(value: object) -> str:
    """Return a reason's code."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", text(value, 64)):
        raise TypeError
    return str(value)


def text(value: object, longest: int) -> str:
    """Return a text."""
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError
    return value


def text_or_none(value: object, longest: int) -> str | None:
    """Return a text that may be missing."""
    return None if value is None else text(value, longest)


def texts(value: object, longest: int) -> tuple[str, ...]:
    """Return a short list of texts."""
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError
    return tuple(text(item, longest) for item in value)


def digests(value: object, most: int) -> tuple[str, ...]:
    """Return a list of SHA-256 hashes."""
    if not isinstance(value, list) or len(value) > most:
        raise TypeError
    if not all(isinstance(item, str) and re.fullmatch(r"[0-9a-f]{64}", item) for item in value):
        raise TypeError
    return tuple(value)


def seconds(text: str) -> float:
    """Read a time as the gate writes it, UTC with a Z at its end."""
    if not re.fullmatch(r"[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}(?:\.[0-9]{1,6})?Z", text):
        raise TypeError
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise TypeError from None


def word(value: object, words: tuple[str, ...]) -> str:
    """Return one of these words."""
    if value not in words:
        raise TypeError
    return str(value)


def count(value: object, most: int = _MANY) -> int:
    """Return a number of things on the client."""
    if type(value) is not int or not 0 <= value <= most:
        raise TypeError
    return value


def by_job(value: object) -> tuple[tuple[JobName, int], ...]:
    """Return a count for each job."""
    if not isinstance(value, dict) or len(value) > _MOST:
        raise TypeError
    return tuple((JobName(text(name, 64)), count(number)) for name, number in value.items())


def counts(value: object, kinds: tuple[str, ...]) -> dict[str, int]:
    """Return counts of files by kind."""
    if not isinstance(value, dict) or not all(kind in kinds for kind in value):
        raise TypeError
    return {kind: count(number, _MOST_FILES) for kind, number in value.items()}


def all_counts(*values: object) -> tuple[int, ...] | None:
    """Return several counts, None where all are missing."""
    return None if all(value is None for value in values) else tuple(map(count, values))


def number(value: object) -> int:
    """Return a number of one byte."""
    if type(value) is not int or not 0 <= value <= 255:
        raise TypeError
    return value
