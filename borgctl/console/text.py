"""Format durations, times and sentences for people, as wide as the terminal.

It knows neither program's messages.

    >>> elapsed(75)
    '1 min 15 s'
    >>> wrapped("  - ", "one two", 9)
    ['  - one', '    two']
"""

import sys
from datetime import datetime

_NARROWEST = 60
_UNFOLDED = 100_000
_DAYS, _DAYS_ALONE = 2, 10


def elapsed(seconds: float) -> str:
    """Write a duration in its two largest units; in days from two on, and from ten on in days alone."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    days = hours // 24
    if days >= _DAYS_ALONE:
        return f"{days} d"
    if days >= _DAYS:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def local(moment: float, now: float) -> str:
    """Write a time (seconds since the epoch) in local time, with its date unless that is today."""
    then = datetime.fromtimestamp(moment)
    return then.strftime("%H:%M:%S" if then.date() == datetime.fromtimestamp(now).date() else "%Y-%m-%d %H:%M:%S")


def terminal_columns() -> int | None:
    """Return the columns of the terminal on stdout, None where that is no terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # noqa: PLC0415 - 5 ms, for terminals only

    return shutil.get_terminal_size().columns


def width() -> int:
    """Return the width of lines on stdout: the terminal's; without a terminal lines are not folded."""
    return _UNFOLDED if (terminal := terminal_columns()) is None else max(_NARROWEST, terminal)


def wrapped(head: str, text: str, columns: int) -> list[str]:
    """Return text behind a head, further lines indented below its start; cut no word."""
    indent = " " * (len(head) if head else 4)
    import textwrap  # noqa: PLC0415 - a run needs none

    folded = textwrap.wrap(text, columns - len(indent), break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{head}{folded[0]}", *(f"{indent}{line}" for line in folded[1:])]
