"""The gate's own placeholders: these four, expanded once, and no brace left over."""

import pytest
import stage
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.policy.placeholders import Names, Template

NAMES = Names("web1", "dumps", stage.NOW)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{hostname}-{job}-{now}", "web1-dumps-2026-11-23T04:05:06"),
        ("{now:%Y-%m-%d}", "2026-11-23"),
        ("{now:%G-W%V-%u}{now:%H%M%S}", "2026-W48-1040506"),
        ("{now:%y.%j}", "26.327"),
        ("{hostname}{hostname}", "web1web1"),
        ("%Y {now:x}", "%Y x"),
    ],
)
def test_what_a_template_becomes(text, expanded):
    assert Template(text).expand(NAMES) == expanded


@pytest.mark.parametrize(
    "text",
    [
        *("{", "}", "{}", "{{hostname}}", "{Hostname}", "{hostname", "hostname}", "{ hostname }", "{host{now}name}"),
        *("{fqdn}", "{user}", "{pid}", "{uuid4}", "{utcnow}", "{borgversion}", "{now!r}", "{now.year}", "{now[0]}"),
        *("{now:}", "{now:%s}", "{now:%Z}", "{now:%%}", "{now:%c}", "{now:%-d}", "{now:%}", "{now:/}", "{now: }"),
        *("{now:{now}}", "{now:{now.__format__.__globals__}}", "{hostname:x}", "{job:%Y}", "{now:" + "x" * 65 + "}"),
        *("{now\n}", "{now:%Y\n}", "{now:é}"),
    ],
)
def test_what_is_no_template(text):
    with pytest.raises(BadValue):
        Template(text)


@given(st.text("{}nowhstamejb:%Yd!.[]", max_size=30))
def test_no_brace_of_a_template_survives(text):
    try:
        expanded = Template(text).expand(NAMES)
    except BadValue:
        return
    assert "{" not in expanded and "}" not in expanded


def test_what_a_name_contains_is_not_read_again():
    assert Template("{hostname}").expand(Names("{job}", "x", stage.NOW)) == "{job}"
    assert Template("{job}").expand(Names("x", "{now:%Y}", stage.NOW)) == "{now:%Y}"
