"""What came of a run, from borg's status and from what the relay and the gate saw: nothing strange is a success."""

from types import SimpleNamespace

import pytest

from borgctl.errors import BorgctlError
from borgctl.gate import outcome as gate_verdict

IDENTITY = bytes(32)


def verdict(status=0, stopped=None, *, short=False, dry=False, reason=None, opens=True, **seen):
    """Return outcome and reason of a borg that ended with `status`; `seen` is what was odd at the relay."""
    well = {"identity": IDENTITY, "refused": False, "failed": None, "strange": False, "unknown": False}
    well |= {"counts": (1, 2), "compared": ("key",)}
    relay_listener = SimpleNamespace(**well | seen)
    ending = gate_verdict.verdict(status, relay_listener, stopped, short=short, reason=reason, dry=dry, opens=opens)
    return ending.outcome, ending.reason


@pytest.mark.parametrize("status", [0, 1, 100, 2, -9])
@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"refused": True}, ("refused", "repository-replaced")),
        ({"strange": True}, ("failed", "transport-failed")),
        ({"unknown": True}, ("refused", "borg-unsupported")),
        ({"failed": BorgctlError("base-unusable", "x")}, ("refused", "base-unusable")),
        ({"stopped": "runtime-limit"}, ("limit", "runtime-limit")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_was_odd_outranks_whatever_borg_says(status, seen, expected):
    assert verdict(status, **seen) == expected


@pytest.mark.parametrize("status", [0, 1, 100])
def test_a_borg_that_opened_nothing_has_not_succeeded(status):
    assert verdict(status, identity=None) == ("failed", "borg-missing")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0, "ok"), (1, "warning"), (100, "warning"), (125, "warning"), (2, "failed"), (99, "failed"), (126, "failed")],
)
def test_else_it_is_borgs_own_word(status, outcome):
    assert verdict(status) == (outcome, None)


def test_a_borg_without_memory_is_told_as_that_where_it_failed():
    assert [verdict(status, short=True)[1] for status in (0, 1, 2, -9)] == [None, None, "memory-limit", "memory-limit"]


def test_a_repository_in_which_borg_found_damage_is_neither_good_nor_a_warning():
    damaged = "repository-damaged"
    assert [verdict(status, reason=damaged) for status in (1, 2, 90)] == [("failed", damaged)] * 3
    assert verdict(1, reason=damaged, identity=None) == ("failed", "borg-missing")
    assert verdict(1, reason=damaged, refused=True) == ("refused", "repository-replaced")


def test_a_dry_run_is_good_and_says_that_it_is_none():
    assert [verdict(status, dry=True, identity=None) for status in (0, 1, 2)] == [
        ("ok", "dry-run"),
        ("warning", "dry-run"),
        ("failed", None),
    ]


@pytest.mark.parametrize("status", [0, 1, 100])
def test_an_admin_may_open_nothing_and_a_run_may_not(status):
    assert verdict(status, identity=None, opens=False)[1] is None
    assert verdict(status, identity=None)[1] == "borg-missing"


@pytest.mark.parametrize("opens", [True, False], ids=["run", "window"])
@pytest.mark.parametrize(
    ("status", "stopped"), [(-9, None), (-15, "runtime-limit"), (0, "runtime-limit"), (None, None)]
)
def test_all_that_is_known_is_told_of_whatever_the_verdict_is(status, stopped, opens):
    """A window's record named no signal where the gate had ended borg, as a run's does."""
    seen = {"identity": IDENTITY, "refused": False, "failed": None, "strange": False, "unknown": False}
    relay_listener = SimpleNamespace(**seen, counts=(1, 2), compared=("key",))
    ending = gate_verdict.verdict(status, relay_listener, stopped, opens=opens)
    assert ending.signal == (-status if status is not None and status < 0 else None)
    assert (ending.counts, ending.compared, ending.identity) == ((1, 2), ("key",), IDENTITY.hex())
