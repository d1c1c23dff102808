"""Rounds of a timer's call: while one target has work the others are judged again, as the timer would have them."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.run_all import run_all
from borgctl.pull.process.signals import Stop
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import history, state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName, lock
from borgctl.pull.targets.selection import Selection, every

OK = [["start"], ["exit", "ok", 0]]
BAD = [["start"], ["exit", "failed", 2]]
NOW_AND_THEN = Plan(parallel=2, due=True, again=0.2)


def rounds(world, names, plan, heed=lambda report: None, choose=None) -> tuple[list, int]:
    """Run targets in this process; return (target, outcome) of each report, and how many had no turn."""
    told: list = []

    def tell(report) -> None:
        told.append((report.target, report.verdict.outcome))
        heed(report)

    with Stop() as stop:
        chosen = Selection(tuple(names), frozenset())
        missed = run_all(world.launcher(stop, Timeouts(backoff=0.1)), chosen, (), plan, tell, choose)
    return told, missed


def hung(world) -> tuple[str, Path]:
    """Write a target that hangs until a file is there, and no test for ever; return both."""
    release = world.root / "release"
    steps = [["start"], ["until", str(release)], ["exit", "ok", 0]]
    return world.standing("a-hung", steps, timeout="30s"), release


def ran_well(world, name: str) -> None:
    past = Past(time.time(), "ok")
    state_file.save(world.folders, TargetName(name), State(jobs={"default": JobRecord(past, past, "create")}))


def test_while_one_client_hangs_what_is_due_runs_again(world) -> None:
    name, release = hung(world)
    web1, web2 = world.standing("web1", BAD), world.standing("web2", OK)

    def heed(report) -> None:
        if report.verdict.outcome == "failed":
            (world.root / "web1.json").write_text(json.dumps(OK))
        elif report.target == "web1":
            release.touch()

    told, _ = rounds(world, [name, web1, web2], NOW_AND_THEN, heed)
    assert told == [("web1", "failed"), ("web2", "ok"), ("web1", "ok"), (name, "ok")]


def test_what_failed_is_not_tried_before_the_hour_and_the_call_ends_with_the_last_work(world) -> None:
    names = [world.standing("web1", BAD), world.standing("web2", [["start"], ["sleep", 1], ["exit", "ok", 0]])]
    assert rounds(world, names, Plan(parallel=2, due=True))[0] == [("web1", "failed"), ("web2", "ok")]


def test_each_round_chooses_anew_and_knows_a_new_target_and_not_one_that_is_gone(world) -> None:
    name, release = hung(world)
    world.standing("web1", BAD)

    def heed(report) -> None:
        if report.target == "web1":
            Path(world.folders.target(TargetName("web1"))).unlink()
            world.standing("web9", OK)
        elif report.target == "web9":
            release.touch()

    told, _ = rounds(world, [name, "web1"], NOW_AND_THEN, heed, lambda: every(world.folders))
    assert told == [("web1", "failed"), ("web9", "ok"), (name, "ok")]


def test_a_round_in_which_nobody_can_be_chosen_is_told_and_no_success(world) -> None:
    name, release = hung(world)
    without_work: list = []

    def choose() -> Selection:
        if without_work:
            release.touch()
        raise PullError("no such tag")

    assert rounds(world, [name, world.standing("web1", OK)], NOW_AND_THEN, without_work.append, choose)[1] >= 1
    assert "error: no such tag\n" in world.screen.getvalue()


def test_what_another_call_ran_while_it_waited_for_a_place_is_not_run_again(world) -> None:
    names = [world.standing("web1", OK), world.standing("web2", OK)]
    told, _ = rounds(world, names, Plan(parallel=1, due=True), lambda _: ran_well(world, "web2"))
    assert told == [("web1", "ok")]


def test_what_another_call_runs_is_left_out_and_no_failure(world) -> None:
    name, release = hung(world)
    first = world.start("run", name)
    running = Path(world.folders.running(TargetName(name)))
    end = time.monotonic() + 60
    while not (running.exists() and running.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.02)
    second = world.start("run", "--all", "--due", "--retries", "0", "--json", "--log-format", "logfmt")
    out, err = second.communicate(timeout=60)
    report = json.loads(out)
    assert (second.returncode, report["outcome"], report["reason"]) == (0, "skipped", "target-busy"), err
    assert b"skipped, another borgpull runs it" in err
    release.touch()
    first.communicate(timeout=60)
    assert [row.outcome for row in history.runs(world.folders, (), None)] == ["ok"]


@pytest.mark.parametrize("held", [True, False], ids=["held by no run", "the client's word"])
def test_busy_for_any_other_reason_stays_a_failure(world, held) -> None:
    """A window, or a command that a person left; and what a client says is its word alone."""
    name = world.standing("web1", [["start"], ["refuse", "busy", 69, "target-busy"]])
    with lock(world.folders, TargetName(name)) if held else contextlib.nullcontext():
        assert rounds(world, [name], Plan(due=True))[0] == [(name, "busy")]
