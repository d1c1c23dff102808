"""A timer's call that lives on, as one client hangs: people are told of the others meanwhile."""

import json
import time

import pytest

from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName

OK = [["start"], ["exit", "ok", 0]]
BAD = [["start"], ["exit", "failed", 2]]
SOON = "from borgctl.pull.fleet import due; due.AGAIN = 0.5"


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of a library of Apprise's
def test_pings_messages_and_counts_are_of_each_targets_last_run(world, receiver) -> None:
    release = world.root / "release"
    world.standing("a-hung", [["start"], ["until", str(release)], ["exit", "ok", 0]], timeout="60s")
    world.standing("web1", BAD, ping=receiver.url("/ok/web1"))
    world.standing("web2", OK, notify=f'["{receiver.service("/ok/web2")}"]', expect="1h")
    past = Past(time.time() - 7200, "ok")  # overdue, and not due
    state_file.save(world.folders, TargetName("web2"), State(jobs={"default": JobRecord(past, past, "create")}))
    call = ("run", "--all", "--due", "--parallel", "3", "--json", "--log-format", "json")
    with world.start(*call, before=SOON) as launcher:
        assert json.loads(launcher.stdout.readline())["outcome"] == "failed"
        (world.root / "web1.json").write_text(json.dumps(OK))
        while json.loads(launcher.stdout.readline())["outcome"] != "ok":
            pass
        end = time.monotonic() + 30
        while not any("web2 default: overdue" in one.body for one in receiver.wait(1)):
            assert time.monotonic() < end
            time.sleep(0.02)
        release.touch()
        out, err = launcher.communicate(timeout=60)
    assert [json.loads(line)["target"] for line in out.splitlines()] == ["a-hung"] and launcher.returncode == 0, err
    pings = [one.path for one in receiver.requests if "web1" in one.path]
    assert (pings[:2], pings[-2:]) == (["/ok/web1/start", "/ok/web1/fail"], ["/ok/web1/start", "/ok/web1"])
    assert json.loads(err.splitlines()[-1])["event"].startswith("all: 2 ok, ")
