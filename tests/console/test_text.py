"""Durations, times and folded lines for people."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.console.text import elapsed, local, width, wrapped


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (123, "2 min 3 s"),
        (3599.7, "1 h 0 min"),
        (3661, "1 h 1 min"),
        (97200, "27 h 0 min"),
        (172799.6, "2 d 0 h"),
        (183600, "2 d 3 h"),
        (40 * 86400 + 7200, "40 d"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert elapsed(seconds) == text


@given(st.lists(st.text("abc-/", min_size=1, max_size=90), min_size=1), st.integers(60, 120))
def test_no_word_is_cut_and_only_a_long_one_is_wider_than_the_terminal(words, columns):
    lines = wrapped("  - ", " ".join(words), columns)
    assert lines[0].startswith("  - ") and all(line.startswith("    ") for line in lines[1:])
    assert " ".join(line[4:] for line in lines).split() == words
    assert all(len(line) <= columns or " " not in line[4:] for line in lines)


def test_what_is_no_terminal_is_not_folded(capfd):
    assert width() > 10_000


def test_a_time_is_told_as_clocks_here_show_it_and_with_its_date_where_that_is_another():
    noon = datetime(2026, 11, 23, 12, 0, 5)
    assert local((noon + timedelta(minutes=30)).timestamp(), noon.timestamp()) == "12:30:05"
    assert local((noon + timedelta(hours=24)).timestamp(), noon.timestamp()) == "2026-11-24 12:00:05"
