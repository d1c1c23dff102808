"""Which backups are suspiciously small, and which took suspiciously long, by the good ones before them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.report.trends import SHRUNKEN, SLOW, median, shrunken, slow
from borgctl.pull.state.history import Window

COUNTS = st.integers(0, (1 << 63) - 1)
THREE = Window(((100, 1000),) * 3)
AFTER = Window(((100, 1000),), accepted=True)


@pytest.mark.parametrize(
    ("files", "original", "before", "alarming"),
    [
        (50, 500, THREE, False),
        (49, 1000, THREE, True),
        (100, 499, THREE, True),
        (1000, 10**9, THREE, False),
        (0, 0, THREE, True),
        (49, 499, Window(THREE.values[:2]), False),
        (0, 0, Window(THREE.values[:2]), True),
        (0, 0, Window(), True),
        (1, 0, Window(), False),
        (49, 1000, AFTER, True),
        (50, 500, AFTER, False),
        (0, 0, Window(((0, 0),), accepted=True), False),
        (0, 500, Window(((0, 1000),) * 3), False),
        (49, 499, Window(((100, 1000), (10, 100), (10, 100))), False),
        (49, 499, Window(((10, 100), (100, 1000), (100, 1000), (100, 1000))), True),
    ],
)
def test_a_backup_that_is_empty_or_below_half_of_the_median_is_alarming(files, original, before, alarming) -> None:
    assert [finding.reason for finding in shrunken(files, original, before)] == ([SHRUNKEN] if alarming else [])


@pytest.mark.parametrize(
    ("seconds", "before", "alarming"),
    [
        (300.0, Window(((100.0,),) * 3), False),
        (300.1, Window(((100.0,),) * 3), True),
        (59.0, Window(((1.0,),) * 3), False),
        (61.0, Window(((1.0,),) * 3), True),
        (9999.0, Window(((100.0,),) * 2), False),
        (9999.0, Window(), False),
        (301.0, Window(((100.0,),), accepted=True), True),
        (5000.0, Window(((20000.0,), (300.0,), (300.0,), (20000.0,))), False),
    ],
)
def test_a_backup_that_took_three_times_the_median_and_a_minute_is_alarming(seconds, before, alarming) -> None:
    assert [finding.reason for finding in slow(seconds, before)] == ([SLOW] if alarming else [])


def test_the_texts_say_what_is_usual() -> None:
    (small,) = shrunken(3, 1200, Window(((20016, 1_200_000_000),) * 10))
    assert small.text == "3 files, 1.2 kB; the last 10 good runs had 20016 files, 1.2 GB (median)"
    (late,) = slow(7200.0, Window(((600.0,),), accepted=True))
    assert late.text == "took 2 h 0 min; the last good run took 10 min 0 s (median)"


@given(st.lists(st.tuples(COUNTS, COUNTS), max_size=10), st.booleans(), COUNTS, COUNTS)
def test_no_numbers_of_a_client_break_a_judgement(values, accepted, files, original) -> None:
    for finding in shrunken(files, original, Window(tuple(values), accepted)):
        assert finding.text.isprintable() and len(finding.text) < 200


@given(st.lists(st.integers(0, 1 << 50), min_size=1))
def test_no_more_than_half_of_the_values_are_above_the_median_or_below_it(values) -> None:
    middle = median(values)
    assert 2 * sum(value > middle for value in values) <= len(values) >= 2 * sum(value < middle for value in values)
