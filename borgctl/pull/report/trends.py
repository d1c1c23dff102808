"""Trends: judge a backup by the last good ones of its job: is it empty, suddenly small, or did it take very long?

borg calls all of these success. The sizes are the client's word, so a client can hide its own losses, and no others'.

    >>> [finding.reason for finding in shrunken(0, 0, Window())]
    ['backup-shrunken']
    >>> shrunken(60, 600, Window(((100, 1000),) * 3))
    ()
    >>> [finding.text for finding in slow(400.0, Window(((100.0,),) * 3))]
    ['took 6 min 40 s; the last 3 good runs took 1 min 40 s (median)']
"""

from collections.abc import Sequence
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.pull.state.history import Window
from borgctl.text import size

SHRUNKEN, SLOW = "backup-shrunken", "backup-slow"
_LEAST = 3  # runs; fewer say nothing of what is normal, unless a person has
_TIMES = 3
_NEVER_SLOW = 60.0  # seconds: below, it is chance


class Finding(NamedTuple):
    """What is alarming about a run: the reason of its alert, and its text."""

    reason: str
    text: str


def median(values: Sequence[float]) -> float:
    """Return the middle of the values, or what is halfway between the two in the middle.

    >>> median([3, 1, 2]), median([4, 1])
    (2.0, 2.5)
    """
    ordered, half = sorted(values), len(values) // 2
    return (ordered[half] + ordered[-half - 1]) / 2


def says_usual(before: Window) -> bool:
    """Tell whether these runs say what is usual: there are enough of them, or a person has accepted one."""
    return bool(before.values) and (before.accepted or len(before.values) >= _LEAST)


def shrunken(files: int, original: int, before: Window) -> tuple[Finding, ...]:
    """Judge the size of a backup: no file, or below half of the median, in files or in bytes."""
    if not before.values:
        return (Finding(SHRUNKEN, "no file was backed up"),) if files == 0 else ()
    usual_files, usual_bytes = (median(column) for column in zip(*before.values, strict=True))
    known = says_usual(before)
    if not (known and (2 * files < usual_files or 2 * original < usual_bytes)) and (files > 0 or usual_files == 0):
        return ()
    usual = f"{_runs(before)} had {usual_files:.0f} files, {size(int(usual_bytes))} (median)"
    return (Finding(SHRUNKEN, f"{files} files, {size(original)}; {usual}"),)


def slow(seconds: float, before: Window) -> tuple[Finding, ...]:
    """Judge how long a backup took: more than three times the median, and a minute."""
    if not says_usual(before) or seconds < _NEVER_SLOW:
        return ()
    usual = median([value for (value,) in before.values])
    if seconds <= _TIMES * usual:
        return ()
    return (Finding(SLOW, f"took {elapsed(seconds)}; {_runs(before)} took {elapsed(usual)} (median)"),)


def _runs(before: Window) -> str:
    number = len(before.values)
    return "the last good run" if number == 1 else f"the last {number} good runs"
