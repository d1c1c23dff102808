"""run: a paused target is left out where it was chosen among others, and refused where it was named."""

import json
from pathlib import Path

import pytest

from borgctl.pull.targets.paths import TargetName

PAUSE = "{until: 2999-01-01, reason: moves to another house}"
LINE = "paused until 2999-01-01 00:00: moves to another house"


@pytest.fixture
def two(world) -> None:
    """Give a target that runs and one that is paused, with one tag."""
    steps = [["start"], ["exit", "ok", 0]]
    world.local(steps, name="web1", tags="[web]", borg=world.quiet_serve())
    world.local(steps, name="web2", tags="[web]", borg=world.quiet_serve(), paused=PAUSE)


@pytest.mark.parametrize("words", [("--all",), ("@web",), ("web1", "@web")])
def test_a_paused_target_is_left_out_with_one_line_that_says_why_and_until_when(world, borgpull, two, words) -> None:
    status, _, err = borgpull("run", *words)
    assert status == 0 and "web1 default: ok" in err
    assert [line for line in err.splitlines() if "web2" in line] == [f"web2: skipped, {LINE}"]
    assert not Path(world.folders.memory(TargetName("web2"))).exists()


def test_for_programs_it_is_an_object_like_a_run(borgpull, two) -> None:
    status, out, _ = borgpull("run", "--all", "--json")
    skipped = json.loads(out.splitlines()[0])
    assert status == 0 and (skipped["target"], skipped["outcome"]) == ("web2", "skipped")
    assert skipped["reason"] == "target-paused" and [one["text"] for one in skipped["messages"]] == [LINE]


@pytest.mark.parametrize("words", [("web2",), ("web2", "@web")])
def test_a_paused_target_that_is_named_is_refused_with_a_hint(borgpull, two, words) -> None:
    status, _, err = borgpull("run", *words)
    assert status == 2 and f"web2: error: target 'web2' is {LINE}" in err
    assert "web2: failed (launcher: target-paused)" in err and "take 'paused' out of the target file" in err
    assert ("web1 default: ok" in err) == (len(words) > 1)


def test_a_dry_run_says_the_same_and_starts_nothing(borgpull, two) -> None:
    status, out, err = borgpull("run", "@web", "--dry-run")
    assert status == 0 and f"target 'web2' is {LINE}" in err and "web1 default: serve: " in out and "web2" not in out
    assert borgpull("run", "web2", "--dry-run")[0] == 2


def test_all_that_are_paused_are_no_failure(world, borgpull) -> None:
    world.local([], paused=PAUSE)
    assert borgpull("run", "--all")[0] == 0


def test_a_pause_that_is_over_is_none(world, borgpull) -> None:
    pause = "{until: 2026-01-01, reason: moved}"
    world.local([["start"], ["exit", "ok", 0]], paused=pause, borg=world.quiet_serve())
    assert "web1 default: ok" in borgpull("run", "web1")[2]
