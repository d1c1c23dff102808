"""The tally: what is read is its own or nothing, and each key has its own room."""

import json

import draws
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.audit.rate_limit import LARGEST, REFUSALS, RUNS, Tally, count, take
from borgctl.values import Head

NOW = 1_800_000_000.0
KEYS = st.fixed_dictionaries({"policy": st.none() | st.text(max_size=300), "key": st.none() | st.text(max_size=60)})


def filled(records, now=NOW):
    tally = Tally(Head(7, "a" * 64))
    for record in records:
        account = tally.account(record, now)
        while take(account, REFUSALS):
            pass
        count(account, now)
        count(account, now)
    return tally


@draws.FEWER
@given(st.lists(KEYS, max_size=5))
def test_what_is_written_is_read_again(records):
    tally = filled(records)
    tally.linked = len(records) % 2 == 0
    assert Tally.read(tally.line()) == tally
    assert tally.line().isascii() and tally.line().count(b"\n") == 1


@given(st.binary(max_size=200))
def test_reading_is_total(data):
    assert isinstance(Tally.read(data), Tally)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none(), max_size=2)


@given(st.sampled_from(["at", "used", "counted", "since", "policy", "key"]), VALUES)
def test_an_account_with_a_value_of_another_kind_is_none(name, value):
    told = json.loads(filled([{"policy": "/p", "key": "k"}]).line())
    (account,) = told["accounts"].values()
    before, account[name] = account[name], value
    read = Tally.read(json.dumps(told).encode())
    assert read == Tally() or type(value) in (type(before), int, float, type(None), str)
    for one in read.accounts.values():
        one.settle(NOW)
        assert all(0 <= used <= 1e12 for used in one.used.values())


def test_what_is_left_of_an_older_longer_text_does_no_harm():
    line = filled([{"policy": "/p"}]).line()
    assert Tally.read(line + b'ccounts": {}}\n') == Tally.read(line)


def test_it_never_grows_without_end():
    tally = filled({"policy": f"/policy-{number}", "key": f"SHA256:{number:043}"} for number in range(1000))
    assert len(tally.line()) < LARGEST
    assert len(Tally.read(tally.line()).accounts) == 64


@pytest.mark.parametrize("rate", [REFUSALS, RUNS])
def test_room_comes_back_with_time_and_not_by_a_clock_that_jumps_back(rate):
    tally = Tally()
    record = {"policy": "/p", "key": "k"}
    assert sum(take(tally.account(record, NOW), rate) for _ in range(rate.most + 10)) == rate.most
    assert not take(tally.account(record, NOW - 1e6), rate)
    assert sum(take(tally.account(record, NOW - 1e6 + 3600), rate) for _ in range(rate.most)) == rate.hourly
    assert sum(take(tally.account(record, NOW * 1.5), rate) for _ in range(rate.most + 10)) == rate.most


def test_a_flood_that_is_over_is_told_once_and_forgotten():
    tally = filled([{"policy": "/p", "key": "k"}])
    assert tally.due(NOW + 10) == []
    (told,) = tally.due(NOW + 3601)
    assert (told["count"], told["policy"], told["key"]) == (1, "/p", "k")
    assert tally.due(NOW + 7300) == []
    tally.due(NOW + 400_000)
    assert json.loads(tally.line())["accounts"] == {}


def test_two_keys_of_one_policy_have_an_account_each():
    tally = Tally()
    one, other = (tally.account({"policy": "/p", "key": key}, NOW) for key in ("a", "b"))
    assert one is not other and tally.account({"policy": "/p", "key": "a"}, NOW) is one
