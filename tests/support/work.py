"""Work that is counted and not timed: calls that our code makes, which are the same on any machine."""

import sys
from collections.abc import Callable


def calls(act: Callable[[], object]) -> int:
    """Return how many calls borgctl's code makes or gets in `act`, which was done once before: caches are full then.

    What hypothesis or the collector does meanwhile is not counted.
    """
    act()
    number, before = 0, sys.getprofile()

    def count(frame, event, _):
        nonlocal number
        number += event in ("call", "c_call") and "/borgctl/" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return number
