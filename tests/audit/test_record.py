"""A record's line is ASCII, small, masked, and the same as structlog's."""

import json

import draws
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from borgctl.audit import redact
from borgctl.audit.record import LARGEST, render

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=50)
NAMES = st.text(max_size=5).filter(lambda name: not redact.names_secret(name))  # a "pwd" is masked whole
RECORDS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=8),
    SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(NAMES, SCALARS, max_size=3),
    max_size=10,
)


@given(RECORDS)
def test_structlogs_renderer_would_have_written_the_same(record):
    written = render(record)
    value = json.loads(written)
    again = structlog.processors.JSONRenderer()(None, "info", dict(value))
    assert written == again
    assert {key: value[key] for key in record if key != "time"} == {k: v for k, v in record.items() if k != "time"}


@draws.FEWER
@given(RECORDS | st.fixed_dictionaries({"request": st.text(min_size=1000, max_size=3000)}))
def test_a_line_is_printable_ascii_and_never_too_long(record):
    line = render(record)
    assert line.isascii() and line.isprintable() and len(line) < LARGEST


@pytest.mark.parametrize("character", ["x", "\n", "\x1b", "\udcff", "é", "日", "\U0001f4be", '"', "\\"])
def test_whatever_a_peer_sends_the_record_stays_small(character):
    flood = character * 200_000
    line = render(
        {
            "type": "refuse",
            "run": "1",
            "request": flood,
            "detail": flood,
            "policy": flood,
            "peer": flood,
            "argv": [flood] * 300,
            "environment": {flood: flood},
            "rule": flood,
            "job": flood,
        }
    )
    assert len(line) < LARGEST and line.isascii()
    assert json.loads(line)["type"] == "refuse"


def test_what_was_cut_says_so():
    long = json.loads(render({"request": "x" * 5000}))["request"]
    assert long.startswith("x" * 1000) and long.endswith("… (5000 characters)")
    many = json.loads(render({"run": "1", "argv": ["x" * 1000] * 200}))
    assert many["cut"] is True and many["run"] == "1" and "argv" not in many


@pytest.mark.parametrize("character", ["x", "\x01", "\udcff", "日"])
def test_a_refusal_is_at_most_as_long_as_the_documents_say(character):
    """docs/audit.md, Floods."""
    told = {"policy": "/etc/borgctl/web1.yaml", "key": "SHA256:" + "a" * 43, "peer": "2001:db8::" + "1" * 20}
    words = {
        "request": character * 131_000,
        "digest": "a" * 64,
        "reason": "transport-not-offered",
        "detail": character * 131_000,
    }
    line = render({"type": "refuse", "run": "a" * 16, **told, **words, "code": 76}, sequence=10**9, previous="a" * 64)
    assert len(line) <= 2_700 and len(line) - 2 * 1024 < 700
