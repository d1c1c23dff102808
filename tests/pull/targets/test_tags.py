"""Tags: names that no shell, file or option takes for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.pull.targets.tags import TagName, tags_of
from borgctl.strict_yaml import parse


@given(st.text())
def test_every_word_is_a_tag_or_refused_and_none_is_an_option(text: str) -> None:
    try:
        tag = TagName(text)
    except BadValue:
        return
    assert str(tag) == text and text[0].isalnum() and text.isascii() and len(text) <= 64


@pytest.mark.parametrize("text", ["", "-x", "--all", "@web", "a b", "a/b", "ä", "web\n", "x" * 65, ".", "*", "a,b"])
def test_what_is_no_tag_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadValue, match=r"bad tag .*beginning with a letter or digit"):
        TagName(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("host: web1", ()),
        ("tags: [web]\nquota: nonsense\nhost: -x", (TagName("web"),)),
        ("tags: web", None),
        ("tags: [web, -x]", None),
        ("tags: [web, web]", None),
        ("[web]", None),
    ],
)
def test_tags_are_told_whatever_else_is_wrong(text: str, tags: tuple | None) -> None:
    assert tags_of(parse(text)) == tags
