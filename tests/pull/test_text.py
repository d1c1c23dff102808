"""Words of others on a terminal: each row says whose they are, none is folded, nothing is lost but blanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.text import rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nine or ten", ["a: nine or", "a: ten"]),
        ("nine or t", ["a: nine or t"]),
        ("ninety-nine-hundred", ["a: ninety-ni", "a: ne-hundre", "a: d"]),
        ("nine or te ten", ["a: nine or", "a: te ten"]),
        ("ninety-ni ", ["a: ninety-ni"]),
        ("", ["a: "]),
    ],
)
def test_a_row_ends_where_a_word_does(text, expected) -> None:
    assert rows("a: ", text, 12) == expected


@given(st.text("ab \u65e5", max_size=60), st.integers(12, 30))
def test_every_row_has_its_head_and_fits_and_nothing_is_lost_but_blanks(text, columns) -> None:
    found = rows("a: ", text, columns)
    assert all(row.startswith("a: ") for row in found)
    assert all(sum(1 if one.isascii() else 2 for one in row) <= columns for row in found)
    assert "".join(row[3:] for row in found).replace(" ", "") == text.replace(" ", "")
