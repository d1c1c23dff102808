"""What a launcher does now, and what broke off: the state has the start of a run, too."""

import contextlib
import json
import os
import signal
import time

import pytest
from machines import wait_for

from borgctl.pull.process.workdirs import workdir
from borgctl.pull.state import running, state_file
from borgctl.pull.state.running import Begun, Seen, mark
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import Folders, TargetName

NAME = TargetName("web1")
SAID = "web1 default: failing, last good 1 h 0 min ago, last run failed (broken-off)"


def good_before(world, name: TargetName = NAME) -> None:
    good = Past(time.time() - 3600, "ok")
    state_file.save(world.folders, name, State(last=good, jobs={"default": JobRecord(good, good, "create")}))


def held(world, steps, *words: str):
    """Start a launcher whose client comes to the steps before `until`, and wait until it is there."""
    note = world.root / "there"
    world.local(
        [*steps, ["note", str(note)], ["until", str(world.root / "go")], ["exit", "ok", 0]],
        expect="26h",
        borg=world.quiet_serve(),
        jobs=None if ["hello", "default"] in steps else "[default]",
    )
    launcher = world.start(*words)
    end = time.monotonic() + 30
    while not note.exists():
        assert launcher.poll() is None and time.monotonic() < end, launcher.communicate()
        time.sleep(0.02)
    return launcher


def killed(world, launcher) -> None:
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate(timeout=60)
    # a child that it has forked, and that has not begun its own program yet, still holds the lock
    wait_for(lambda: not (mark := running.seen(world.folders, NAME)) or not mark.alive, what="the lock to be free")
    with workdir(world.folders):  # which clears that of a dead one
        pass


def test_a_run_that_goes_on_is_told_beside_the_last_result_and_one_that_was_killed_is_a_failed_one(
    world, borgpull
) -> None:
    good_before(world)
    launcher = held(world, [["start"]], "run", "web1")
    code, out, _ = borgpull("status")
    assert (
        code == 0 and out.startswith("web1 default: ok, last good 1 h 0 min ago, running for ") and out.count("\n") == 1
    )
    told = json.loads(borgpull("status", "--json")[1])["running"]
    assert (told["kind"], told["job"]) == ("run", "default")
    killed(world, launcher)
    for _ in range(2):  # looking changes nothing
        code, out, _ = borgpull("status")
        assert code == 1 and out.startswith(SAID)
    assert json.loads(borgpull("status", "--json")[1])["running"] is None
    assert borgpull("status", "--nagios")[1].startswith(f"BORGPULL WARNING - {SAID}")
    (world.root / "go").touch()
    (report,) = world.run(world.local([["start"], ["exit", "failed", 2]], expect="26h", borg=world.quiet_serve()))
    (told,) = [message.text for message in report.transcript.messages if "broke off" in message.text]
    assert told.startswith("the run of job default that began ") and "borgpull was killed" in told
    assert told in world.screen.getvalue()
    assert "broken-off" not in borgpull("status")[1]
    assert os.path.getsize(world.folders.running(NAME)) == 0


def test_what_broke_off_stays_a_failed_run_where_the_next_one_does_not_come_to_it(world, borgpull) -> None:
    good_before(world)
    killed(world, held(world, [["start"]], "run", "web1"))
    world.local([["refuse", "refused", 77, "unknown-job"]], expect="26h", borg=world.quiet_serve())
    assert borgpull("run", "web1", "--job", "typo")[0] == 2
    code, out, _ = borgpull("status")
    assert code == 1 and out.startswith(SAID)


def test_a_launcher_that_is_killed_while_it_asks_for_jobs_has_failed_too(world, borgpull) -> None:
    good_before(world)
    killed(world, held(world, [["hello", "default"]], "run", "web1"))
    code, out, _ = borgpull("status")
    assert code == 1 and "web1: failing, tried " in out and "last run failed (broken-off)" in out


def test_a_window_is_told_while_it_is_open_and_is_no_failed_backup_when_it_was_killed(world, borgpull) -> None:
    good_before(world)
    launcher = held(world, [["say", "start", {"command": "window"}]], "window", "web1")
    code, out, _ = borgpull("status")
    assert code == 0 and "web1: a window is open for " in out
    killed(world, launcher)
    assert borgpull("status")[:2] == (0, "web1 default: ok, last good 1 h 0 min ago\n")


def test_a_run_that_ended_by_a_defect_of_the_launcher_has_broken_off(world, borgpull, monkeypatch) -> None:
    good_before(world)
    world.local([["start"], ["exit", "ok", 0]], expect="26h", borg=world.quiet_serve())
    monkeypatch.setattr("borgctl.pull.run.run_call.remember", lambda *_: 1 // 0)
    assert borgpull("run", "web1")[0] == 2
    code, out, _ = borgpull("status")
    assert code == 1 and out.startswith(SAID)


def test_a_run_whose_end_was_remembered_has_not_broken_off(world, borgpull) -> None:
    world.local([], expect="26h")
    begun = Begun("run", "default", time.time())
    with contextlib.suppress(KeyboardInterrupt), mark(world.folders, NAME, begun):
        good = Past(begun.time + 1, "ok")
        state_file.save(world.folders, NAME, State(last=good, jobs={"default": JobRecord(good, good, "create")}))
        raise KeyboardInterrupt
    assert running.seen(world.folders, NAME) == Seen(begun, alive=False)
    assert borgpull("status")[0] == 0


def test_whoever_asks_makes_no_target_busy_and_sees_no_end_that_is_none(world) -> None:
    begun = Begun("run", "default", 1.0)
    assert running.seen(world.folders, NAME) is None
    with mark(world.folders, NAME, begun) as fault:
        assert fault is None and running.seen(world.folders, NAME) == Seen(begun, alive=True)
        with mark(Folders(world.folders.config, f"{world.root}/other"), NAME, begun):
            pass
        assert running.seen(world.folders, NAME) == Seen(begun, alive=True)
    assert running.seen(world.folders, NAME) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"kind": "run", "job": "../x", "time": 1}', '{"kind": "x", "job": null, "time": 1}'),
        *(f'{{"kind": "run", "job": null, "time": {time}}}' for time in ("NaN", "1e999", "-1", "253402300800", "true")),
        "9" * 5000,
    ],
)
def test_a_file_that_was_never_written_whole_tells_nothing(world, text) -> None:
    os.makedirs(os.path.dirname(world.folders.running(NAME)))
    with open(world.folders.running(NAME), "w", encoding="ascii") as file:
        file.write(text)
    assert running.seen(world.folders, NAME) is None


def test_a_start_that_cannot_be_written_is_told_and_keeps_no_backup_back(world) -> None:
    target = world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    os.makedirs(world.folders.running(NAME))
    (report,) = world.run(target)
    assert report.verdict.outcome == "ok" and "running: Is a directory" in world.screen.getvalue()
