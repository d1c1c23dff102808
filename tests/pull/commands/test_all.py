"""--all: every target runs, and one that cannot be used does not stop the others."""

import json
import os
from pathlib import Path

import pytest

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
