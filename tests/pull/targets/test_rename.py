"""Another name for a target: all of it goes along, or nothing."""

import os
import time
from pathlib import Path

import pytest

from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets import rename as renames
from borgctl.pull.targets.paths import TargetName, lock
from borgctl.values import Head

OLD, NEW = TargetName("web1"), TargetName("www")


@pytest.fixture
def target(world, borgpull):
    assert borgpull("add", "web1", "root@web1", "--repository", f"{world.root}/srv/web1")[0] == 0
    good = Past(time.time() - 3600, "ok")
    state = State(head=Head(7, "a" * 64), last=good, jobs={"default": JobRecord(good, good, "create")}, since=1.0)
    state.alert("audit-broken", "x", 1.0)
    state_file.save(world.folders, OLD, state)
    copies = Path(world.folders.copies(OLD))
    copies.mkdir()
    (copies / "config.1").write_text("key")
    return state


def everything(world) -> dict[str, bytes]:
    return {
        str(path.relative_to(world.root)): path.read_bytes()
        for path in world.root.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_all_that_a_target_has_goes_along_and_the_repository_stays(world, borgpull, target) -> None:
    before, added = everything(world), os.stat(world.folders.target(OLD)).st_mtime_ns
    status, out, err = borgpull("rename", "web1", "www")
    assert (status, err) == (0, "")
    after = everything(world)
    assert after == {name.replace("/web1", "/www"): content for name, content in before.items()}
    assert not [path for path in world.root.rglob("web1*") if "srv" not in path.parts]
    assert os.stat(world.folders.target(NEW)).st_mtime_ns == added
    assert state_file.load(world.folders, NEW) == target
    assert (
        f"kept the repository where it is: {world.root}/srv/web1" in out
        and "on the client nothing has to change" in out
    )
    assert borgpull("status", "web1")[0] == 2 and borgpull("run", "www", "--dry-run")[0] == 2
    assert [line.split()[0] for line in borgpull("targets")[1].splitlines()[:1]] == ["www:"]


@pytest.mark.parametrize("taken", ["config/targets/www.yaml", "config/keys/www", "config/keys/www.pub", "state/www"])
def test_a_name_that_is_taken_is_refused(world, borgpull, target, taken) -> None:
    path = world.root / taken
    path.mkdir() if taken == "state/www" else path.write_text("x")
    before = everything(world)
    status, _, err = borgpull("rename", "web1", "www")
    assert status == 2 and f"error: {path} exists already" in err
    assert everything(world) == before


@pytest.mark.parametrize("which", [OLD, NEW])
def test_no_target_is_renamed_while_it_is_at_work(world, borgpull, target, which) -> None:
    before = everything(world)
    with lock(world.folders, which):
        status, _, err = borgpull("rename", "web1", "www")
    assert status == 2 and f"target '{which}' is busy" in err
    assert everything(world) == before


@pytest.mark.parametrize("failing", ["link", "rename", "copytree"])
def test_what_fails_leaves_the_old_name_whole_and_nothing_of_the_new_one(
    world, borgpull, target, monkeypatch, failing
) -> None:
    before = everything(world)

    def fail(*_, **__):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(renames.shutil if failing == "copytree" else renames.os, failing, fail)
    status, _, err = borgpull("rename", "web1", "www")
    monkeypatch.undo()
    assert status == 2 and "No space left" in err
    assert everything(world) == before and not list(world.root.rglob("www*"))


def test_a_file_that_names_the_key_which_goes_along_is_refused(world, borgpull, target) -> None:
    path = Path(world.folders.target(OLD))
    path.write_text(f"{path.read_text()}identity: {world.folders.key(OLD)}\n")
    status, _, err = borgpull("rename", "web1", "www")
    assert status == 2 and f"hint: take the line 'identity' out of {path}" in err
    path.write_text(path.read_text().replace(world.folders.key(OLD), "/etc/keys/other"))
    assert borgpull("rename", "web1", "www")[0] == 0


def test_a_target_without_key_and_state_is_renamed_too(world, borgpull) -> None:
    world.local([])
    assert borgpull("rename", "web1", "www")[0] == 0
    assert borgpull("status", "www")[1].startswith("www default: new")


@pytest.mark.parametrize("words", [("web1", "../x"), ("web1", "run"), ("none", "www"), ("web1", "web1")])
def test_names_that_are_none_are_refused(world, borgpull, target, words) -> None:
    before = everything(world)
    assert borgpull("rename", *words)[0] == 2
    assert everything(world) == before


def test_a_repository_that_the_defaults_name_by_the_target_is_written_down_first(world, borgpull, target) -> None:
    path = Path(world.folders.target(OLD))
    own = "".join(line for line in path.read_text().splitlines(True) if not line.startswith("repository:"))
    path.write_text(own)
    Path(world.folders.defaults).write_text(f"repository: {world.root}/srv/{{target}}\n")
    before = everything(world)
    status, _, err = borgpull("rename", "web1", "www")
    assert status == 2 and "defaults.yaml names the repository by the target" in err
    assert f"write into {path}: repository: {world.root}/srv/web1" in err and everything(world) == before
    path.write_text(f"{own}repository: {world.root}/srv/web1\n")
    assert borgpull("rename", "web1", "www")[0] == 0
