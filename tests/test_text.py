"""Words of others on a terminal: none moves the cursor; each row says whose they are, nothing is lost but blanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.text import LONGEST, printable, printable_ascii, printable_excerpt, rows

# controls, escapes, bidi, what has no width, a lone surrogate, another script, a backslash
FOREIGN = "a\x1b[2J\x9b\u202e\u200b\ud800\n\u65e5\\n"


def test_each_guarantee_is_its_own() -> None:
    assert printable(FOREIGN) == "a\\x1b[2J\\x9b\\u202e\\u200b\\ud800\\n\u65e5\\n"
    assert printable(FOREIGN, besides="\n") == "a\\x1b[2J\\x9b\\u202e\\u200b\\ud800\n\u65e5\\n"
    assert printable_ascii(FOREIGN) == "a\\x1b[2J\\x9b\\u202e\\u200b\\ud800\\n\\u65e5\\\\n"


@given(st.text(max_size=40))
def test_printable_text_is_printable_and_stays_as_it_is(text) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(st.text(max_size=40))
def test_printable_ascii_tells_different_texts_apart(text) -> None:
    assert printable_ascii(text).isascii() and printable_ascii(text).isprintable()
    assert printable_ascii(text).encode().decode("unicode_escape") == text


@pytest.mark.parametrize("more", [0, 1, 500])
def test_an_excerpt_says_how_much_is_left_out(more) -> None:
    text = "\x1b" * (LONGEST + more)
    assert printable_excerpt(text) == "\\x1b" * LONGEST + (f" ({more} more characters)" if more else "")
    assert printable(text) == "\\x1b" * (LONGEST + more)


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
