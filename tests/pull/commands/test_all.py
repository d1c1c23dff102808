"""--all: every target runs, and one that cannot be used does not stop the others."""

import json
import os
from pathlib import Path

import pytest

from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName, lock


@pytest.fixture
def three(world):
    """Give three targets whose borg notes that it was started; the file of the second is wrong."""
    borg = world.root / "borg"
    borg.write_text(f'#!/bin/sh\necho "$*" >> {world.root}/started\nexit 0\n')
    borg.chmod(0o755)
    for name in ("web1", "web2", "web3"):
        world.local([], name=name, borg=borg, expect="26h")
        os.makedirs(world.root / "repo" / name)
    Path(world.folders.target(TargetName("web2"))).write_text("bogus: 1\n")
    return world.root / "started"


def test_every_repository_is_compacted_and_the_worst_of_them_is_the_exit_status(world, borgpull, three) -> None:
    status, _, err = borgpull("compact", "--all")
    assert status == 2 and "web1 compact: ok" in err and "web3 compact: ok" in err
    assert "web2.yaml:1:1: unknown key 'bogus'" in err and len(three.read_text().splitlines()) == 2
    with lock(world.folders, TargetName("web1")):
        status, _, err = borgpull("compact", "web1", "web3")
    assert status == 2 and "error: target 'web1' is busy" in err and "web3 compact: ok" in err
    assert borgpull("compact", "web1", "web3")[0] == 0


def test_every_target_is_tested(world, borgpull, three) -> None:
    status, out, err = borgpull("test", "--all", "--json")
    assert status == 2 and "web2.yaml" in err
    assert {json.loads(line)["target"] for line in out.splitlines()} == {"web1", "web3"}


def test_status_tells_of_every_target_with_and_without_all(world, borgpull, three) -> None:
    assert borgpull("status", "--all") == borgpull("status")


@pytest.mark.parametrize("command", ["compact", "test"])
def test_no_target_is_no_word_for_all(world, borgpull, three, command) -> None:
    for words in ((), ("web1", "--all")):
        status, _, err = borgpull(command, *words)
        assert status == 2 and "name targets or give --all" in err
    assert borgpull("status", "web1", "--all")[0] == 2 and not three.exists()


@pytest.fixture
def fleet(world):
    """Give two good targets, a broken one and one with another tag; each good one's borg notes that it was started."""
    for name, tags in (("web1", "[web]"), ("web2", "[web]"), ("db1", "[db]")):
        world.local([], name=name, tags=tags, borg=world.quiet_serve())
    Path(world.folders.target(TargetName("web3"))).write_text("tags: [web]\nhost: -oProxyCommand=x\n")


def test_every_command_that_takes_targets_takes_tags(world, borgpull, fleet) -> None:
    def names(*words: str) -> tuple[int, list[str], str]:
        status, out, err = borgpull(*words)
        return status, sorted({json.loads(line)["target"] for line in out.splitlines()}), err

    broken = f"error: {world.folders.target(TargetName('web3'))}:2:7: bad host '-oProxyCommand=x'"
    status, told, err = names("run", "@web", "--dry-run", "--json")
    assert (status, told) == (2, ["web1", "web2"]) and broken in err
    status, told, err = names("test", "@web", "--json")
    assert (status, told) == (2, ["web1", "web2"]) and broken in err
    assert names("status", "@web", "--json")[:2] == (2, ["web1", "web2", "web3"])
    assert names("status", "@db", "web1", "--json")[1] == ["db1", "web1"]
    assert names("targets", "@web", "--json")[:2] == (2, ["web1", "web2", "web3"])
    assert names("targets", "@db", "--json")[:2] == (0, ["db1"])


def test_commands_about_one_target_each_take_tags_too(world, borgpull, fleet) -> None:
    for name in ("web1", "web2", "db1"):
        state = State()
        state.alert("audit-broken", "x", 1.0)
        state.jobs["old"] = JobRecord(Past(1.0, "ok"), Past(1.0, "ok"), "create")
        state_file.save(world.folders, TargetName(name), state)
    status, out, err = borgpull("accept", "@web", "--reason", "looked")
    assert status == 2 and "web3.yaml:2:7" in err
    assert [line.split(":")[0] for line in out.splitlines()] == ["web1", "web2"]
    assert [bool(state_file.load(world.folders, TargetName(name)).alerts) for name in ("web1", "web2", "db1")] == [
        *(False, False, True)
    ]
    status, out, _ = borgpull("forget", "web2", "@db", "--job", "old")
    assert status == 0 and [line.split(":")[0] for line in out.splitlines()] == ["db1", "web2"]
    lock_file = world.root / "repo/web2/lock.exclusive"
    for name in ("web1", "web2"):
        os.makedirs(world.root / "repo" / name, exist_ok=True)
        (world.root / "repo" / name / "config").write_text("[repository]\nversion = 1\nid = " + "5" * 64 + "\n")
    lock_file.mkdir()
    (lock_file / "elsewhere@1.4711-0").touch()
    status, out, _ = borgpull("unlock", "web1", "web2")
    assert status == 1 and "web1: nobody holds" in out and "web2: is locked by" in out
    status, _, err = borgpull("copies", "--all")
    assert status == 2 and err.count("web3.yaml") == err.count("error: ") == 3
    status, _, err = borgpull("copies", "@web", "--put-back", "1")
    assert status == 2 and "--put-back takes one target" in err


@pytest.mark.parametrize(
    "command", ["run", "compact", "test", "status", "targets", "copies", "unlock", "forget", "history"]
)
def test_an_unknown_tag_says_which_there_are(world, borgpull, fleet, command) -> None:
    status, out, err = borgpull(command, "@wep")
    assert (status, out) == (2, "")
    assert err == ("error: no target has the tag 'wep': did you mean 'web'?\nhint: these tags are there: @db, @web\n")


@pytest.mark.parametrize("words", [("window",), ("borg",), ("remove",), ("trust",), ("add",), ("rename",)])
def test_a_command_for_one_target_refuses_a_tag_in_words(world, borgpull, fleet, words) -> None:
    status, out, err = borgpull(*words, "@web", *(() if words[0] in ("window", "remove") else ("x",)))
    assert (status, out) == (2, "") and "bad target name '@web'" in err


@pytest.mark.parametrize("command", ["run", "compact", "test", "targets", "copies", "unlock"])
def test_broken_defaults_stop_all_targets_and_are_told_once(world, borgpull, fleet, command) -> None:
    Path(world.folders.defaults).write_text("quota: 1T\nquota: 2T\n")
    place = f"{world.folders.defaults}:2:1: duplicate key 'quota'"
    for words in (("--all",), ("@web",), ("web1", "web2")):
        status, out, err = borgpull(command, *words)
        assert (status, out) == (2, "") and err.splitlines() == [f"error: {place}"]
