"""A pause ends by itself: a day at its local midnight."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.pull.targets import pause, targets
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.pause import Pause, moment


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch):
    """Let this process live in Berlin, with its summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-24", "2026-12-23T23:00+00:00"),
        ("2026-07-01", "2026-06-30T22:00+00:00"),
        ("2026-12-24T18:00", "2026-12-24T17:00+00:00"),
        ("2026-12-24 18:00:30", "2026-12-24T17:00:30+00:00"),
        ("2026-12-24T18:00Z", "2026-12-24T18:00+00:00"),
        ("2026-12-24T18:00-05:00", "2026-12-24T23:00+00:00"),
    ],
)
def test_a_date_is_its_local_midnight_and_a_time_is_local_without_an_offset(berlin, text: str, utc: str) -> None:
    assert moment(text) == datetime.fromisoformat(utc).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "tomorrow",
            "24.12.2026",
            "2026-13-01",
            "2026-02-29",
            "2026-12-24T25:00",
            "2026-12-24T1:00",
            "1999-01-01",
        ),
        *("20261224", "2026-W52", "2026-12-24T18:00+99:00", "２026-12-24", "2026-12-24\n", "9999-12-31", "yes"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="bad time"):
        moment(text)


def test_a_machine_whose_clock_has_32_bits_refuses_what_it_cannot_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(datetime):
        def timestamp(self) -> float:
            raise OverflowError("timestamp out of range for platform time_t")

    monkeypatch.setattr(pause, "datetime", Short)
    with pytest.raises(BadValue, match="bad time '2999-01-01': this machine's clock ends before that"):
        moment("2999-01-01")


@given(st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30)))
def test_every_time_is_read_and_can_be_told(when: datetime) -> None:
    for text in (when.isoformat(timespec="seconds"), when.replace(tzinfo=UTC).isoformat(timespec="minutes")):
        assert str(Pause(moment(text), "x")).startswith("paused until ")


def test_a_target_is_paused_until_then_and_no_longer(berlin) -> None:
    text = "host: web1\nrepository: /srv/x\nquota: 1T\npaused: {until: 2026-12-24, reason: moves}\n"
    target = targets.read(text, TargetName("web1"), Folders("/c", "/s"))
    end = datetime(2026, 12, 23, 23, tzinfo=UTC).timestamp()
    assert str(target.paused(end - 0.001)) == "paused until 2026-12-24 00:00: moves"
    assert target.paused(end) is None
