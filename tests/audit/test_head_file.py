"""The head file is read as it was written, or as empty, and it stays small."""

import json

import draws
from hypothesis import given
from hypothesis import strategies as st

from borgctl.audit.head_file import LARGEST, HeadFile
from borgctl.audit.rate_limit import REFUSALS, count, take, usage_for
from borgctl.values import Head

NOW = 1_800_000_000.0
KEYS = st.fixed_dictionaries({"policy": st.none() | st.text(max_size=300), "key": st.none() | st.text(max_size=60)})


def filled(records, now=NOW):
    head_file = HeadFile(Head(7, "a" * 64))
    for record in records:
        usage = usage_for(head_file.accounts, record, now)
        while take(usage, REFUSALS):
            pass
        count(usage, now)
        count(usage, now)
    return head_file


@draws.FEWER
@given(st.lists(KEYS, max_size=5))
def test_what_is_written_is_read_again(records):
    head_file = filled(records)
    head_file.linked = len(records) % 2 == 0
    assert HeadFile.read(head_file.line()) == head_file
    assert head_file.line().isascii() and head_file.line().count(b"\n") == 1


@given(st.binary(max_size=200))
def test_reading_is_total(data):
    assert isinstance(HeadFile.read(data), HeadFile)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none(), max_size=2)


@given(st.sampled_from(["at", "used", "counted", "since", "policy", "key"]), VALUES)
def test_an_account_with_a_value_of_another_kind_is_none(name, value):
    told = json.loads(filled([{"policy": "/p", "key": "k"}]).line())
    (usage,) = told["accounts"].values()
    before, usage[name] = usage[name], value
    read = HeadFile.read(json.dumps(told).encode())
    assert read == HeadFile() or type(value) in (type(before), int, float, type(None), str)
    for one in read.accounts.values():
        one.settle(NOW)
        assert all(0 <= used <= 1e12 for used in one.used.values())


def test_what_is_left_of_an_older_longer_text_does_no_harm():
    line = filled([{"policy": "/p"}]).line()
    assert HeadFile.read(line + b'ccounts": {}}\n') == HeadFile.read(line)


def test_it_never_grows_without_end():
    head_file = filled({"policy": f"/policy-{number}", "key": f"SHA256:{number:043}"} for number in range(1000))
    assert len(head_file.line()) < LARGEST
    assert len(HeadFile.read(head_file.line()).accounts) == 64


def test_an_idle_account_is_not_written():
    head_file = filled([{"policy": "/p", "key": "k"}])
    (usage,) = head_file.accounts.values()
    usage.counted, usage.since = 0, 0.0
    usage.settle(NOW + 400_000)
    assert json.loads(head_file.line())["accounts"] == {}
