"""A time is too long ago, or in the future, and then may have been long ago, too."""

import pytest

from borgctl.console.age import AHEAD, age

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("ago", "overdue", "text"),
    [
        (0.0, False, "0 s ago"),
        (60.0, False, "1 min 0 s ago"),
        (61.0, True, "1 min 1 s ago"),
        (-AHEAD, False, "0 s ago"),  # clocks differ
        (-AHEAD - 1, True, "in the future: the clock went back"),
    ],
)
def test_what_is_long_ago_or_still_to_come_is_overdue(ago, overdue, text):
    found = age(NOW - ago, NOW)
    assert (found.overdue(60), str(found), found.seconds >= 0) == (overdue, text, True)
