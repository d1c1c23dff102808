"""Each key has its own rate of records, and counted refusals are reported once."""

import pytest

from borgctl.audit.rate_limit import REFUSALS, RUNS, KeyUsage, count, due_alerts, take, usage_for

NOW = 1_800_000_000.0


def filled(record):
    accounts: dict[str, KeyUsage] = {}
    usage = usage_for(accounts, record, NOW)
    while take(usage, REFUSALS):
        pass
    count(usage, NOW)
    count(usage, NOW)
    return accounts


@pytest.mark.parametrize("rate", [REFUSALS, RUNS])
def test_room_comes_back_with_time_and_not_by_a_clock_that_jumps_back(rate):
    accounts: dict[str, KeyUsage] = {}
    record = {"policy": "/p", "key": "k"}
    assert sum(take(usage_for(accounts, record, NOW), rate) for _ in range(rate.most + 10)) == rate.most
    assert not take(usage_for(accounts, record, NOW - 1e6), rate)
    assert sum(take(usage_for(accounts, record, NOW - 1e6 + 3600), rate) for _ in range(rate.most)) == rate.hourly
    assert sum(take(usage_for(accounts, record, NOW * 1.5), rate) for _ in range(rate.most + 10)) == rate.most


def test_a_flood_that_is_over_is_told_once_and_forgotten():
    accounts = filled({"policy": "/p", "key": "k"})
    assert due_alerts(accounts, NOW + 10) == []
    (told,) = due_alerts(accounts, NOW + 3601)
    assert (told["count"], told["policy"], told["key"]) == (1, "/p", "k")
    assert due_alerts(accounts, NOW + 7300) == []
    due_alerts(accounts, NOW + 400_000)
    assert all(usage.idle for usage in accounts.values())


def test_two_keys_of_one_policy_have_an_account_each():
    accounts: dict[str, KeyUsage] = {}
    one, other = (usage_for(accounts, {"policy": "/p", "key": key}, NOW) for key in ("a", "b"))
    assert one is not other and usage_for(accounts, {"policy": "/p", "key": "a"}, NOW) is one
