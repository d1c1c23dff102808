"""The geometry of small charts: whatever the numbers are, all of it is inside, and the newest is at the right."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.html_report.sparkline import HEIGHT, RUNS, WIDTH, bars, line

VALUES = st.lists(st.none() | st.integers(0, 2**63) | st.floats(0, 1e12), max_size=50)


def ends(path):
    """Return where the pen is after each step of a path of M, L, V, h and l."""
    x = y = 0.0
    found = []
    for step, numbers in re.findall(r"([MLVhlm])([^MLVhlm]*)", path):
        values = [float(number) for number in numbers.split()]
        if step == "V":
            y = values[0]
        elif step == "h":
            x += values[0]
        elif step in "lm":
            x, y = x + values[0], y + values[1]
        else:
            x, y = values
        found.append((x, y))
    return found


@given(VALUES)
def test_all_of_a_chart_is_inside_of_it(values):
    for shape in (line(values), bars(values)):
        found = ends(shape.path) + ends(shape.crosses)
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)
        known = [value for value in values[-RUNS:] if value is not None]
        assert shape.crosses.count("M") == len(values[-RUNS:]) - len(known)
        assert (shape.last is None) == (not known)


@given(VALUES)
def test_a_larger_value_is_never_drawn_lower_and_the_largest_reaches_the_top(values):
    shown = values[-RUNS:]
    known = [value for value in shown if value is not None]
    for heights in (
        [y for _, y in ends(bars(values).path)][1::2],
        [y for _, y in ends(line(values).path.replace("h0", ""))],
    ):
        assert len(heights) == len(known)
        pairs = sorted(zip(known, heights, strict=True))
        assert [height for _, height in pairs] == sorted(heights, reverse=True)
        if known and max(known) > 0:
            assert min(heights) == 4


def test_only_the_last_runs_are_drawn_and_the_newest_is_at_the_right():
    assert line([9.0, *[1.0] * RUNS]) == line([1.0] * RUNS)
    assert line([1.0, 2.0]).last == bars([1.0, None, 2.0]).last == (str(WIDTH - 4), "4")
    assert ends(line([1.0] * RUNS).path)[0][0] == 4


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([], ""),
        ([None], ""),
        ([0.0], "M149 28h0"),
        ([4.0, None], "M144 4h0"),
        ([4.0, 2.0, None, 4.0], "M134 4L139 16M149 4h0"),
    ],
)
def test_values_that_follow_each_other_are_joined_and_one_alone_is_a_dot(values, path):
    assert line(values).path == path
