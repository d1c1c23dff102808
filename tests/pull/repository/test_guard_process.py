"""The guard's argv, and the events that the launcher accepts from it."""

import json

import pytest

from borgctl.pull.repository import guard_process
from borgctl.pull.repository.guard_process import Events, Passed, Refused
from borgctl.pull.repository.rpc_guard import parse
from borgctl.pull.repository.rpc_sessions import SESSIONS, SessionLimits
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import read

TEXT = "host: web1\nrepository: /srv/borg/web1\nquota: 20M\n"
TARGET = read(TEXT, TargetName("web1"), Folders("/etc/borgpull", "/var/lib/borgpull"))
END = {"event": "end", "puts": 3, "put_bytes": 7, "deletes": 0, "commits": 1, "manifests": 1, "committed_manifests": 1}
END |= {"keys": 0, "bytes": 99, "messages": 6, "cut": False, "overwrites": 2}
NO = {"event": "refused", "method": "destroy", "session": "create", "rule": "never", "detail": "no session may say it"}


def heard(*events: object) -> Events:
    found = Events()
    for event in events:
        found.feed((event if isinstance(event, str) else json.dumps(event)).encode() + b"\n")
    found.feed(b"")
    return found


@pytest.mark.parametrize("deletes", [0, 5000, None])
def test_the_guard_reads_its_words_as_they_were_meant(deletes) -> None:
    words = guard_process.argv(TARGET, GuardSession("prune", deletes), 5_000_000)[len(guard_process.PROGRAM) :]
    session, name, limits = parse(words)
    assert (session, name) == (SESSIONS["prune"], "prune")
    expected = SessionLimits(b"/srv/borg/web1", 15_000_000 + (64 << 20), 200_000_000, 1_000, deletes)
    assert limits == expected


def test_events_are_read() -> None:
    found = heard(NO, END)
    assert found.refused == Refused("destroy", "create", "never", "no session may say it")
    assert found.passed == Passed(3, 7, 0, 1, 1, 1, 0, 99, 6, False, 2)
    assert found.strange is None


@pytest.mark.parametrize(
    "events",
    [
        ["Traceback (most recent call last):", END],
        ["[]"],
        ["{}"],
        [{"event": "begin"}],
        [NO, NO, END],
        [END, NO],
        [END, END],
        [{**END, "puts": -1}],
        [{**END, "puts": 1.0}],
        [{**END, "puts": True}],
        [{**END, "cut": 0}],
        [{**NO, "method": None}],
        ["[" * 100_000],
        ["x" * 100_000],
        [{name: value for name, value in END.items() if name != "committed_manifests"}],
    ],
)
def test_anything_else_is_strange(events) -> None:
    assert heard(*events).strange


def test_bytes_without_an_end_are_kept_within_bounds() -> None:
    found = Events()
    for _ in range(10):
        found.feed(b"x" * 60_000)
    assert found.strange == "a line without end"
