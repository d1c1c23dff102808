"""What is written is on disk, with its name and the directories above it, when the call returns."""

import os
from pathlib import Path

import pytest

from borgctl.pull import atomic, drafts
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.paths import TargetName, host_id

NAME = TargetName("web1")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Give the list of fsync, rename and mkdir calls, each with the path that it is about."""
    found: list[tuple[str, str]] = []
    fsync, rename, mkdir = os.fsync, os.rename, os.mkdir

    def noted_fsync(fd):
        found.append(("fsync", os.readlink(f"/proc/self/fd/{fd}")))
        fsync(fd)

    def noted_rename(old, new):
        found.append(("rename", os.fspath(new)))
        rename(old, new)

    def noted_mkdir(path, *mode, **more):
        found.append(("mkdir", os.fspath(path)))
        mkdir(path, *mode, **more)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(os, "mkdir", noted_mkdir)
    return found


def test_a_state_is_on_disk_when_save_returns_and_so_are_its_directories(world, calls) -> None:
    path = world.folders.memory(NAME)
    above = os.path.dirname(path)
    state_file.save(world.folders, NAME, State())
    assert calls == [
        *(("mkdir", world.folders.state), ("mkdir", above)),
        *(("fsync", str(world.root)), ("fsync", world.folders.state)),
        *(("fsync", f"{path}.new"), ("rename", path), ("fsync", above)),
    ]
    calls.clear()
    state_file.save(world.folders, NAME, State())
    assert calls == [("fsync", f"{path}.new"), ("rename", path), ("fsync", above)]


def test_a_file_in_the_place_of_a_draft_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "state.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        atomic.write(f"{tmp_path}/state", b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_copy_that_is_put_back_is_on_disk(world, tmp_path, calls) -> None:
    atomic.write(f"{tmp_path}/config", b"x", draft=f"{tmp_path}/config-abcdefgh.tmp")
    assert calls == [
        ("fsync", f"{tmp_path}/config-abcdefgh.tmp"),
        ("rename", f"{tmp_path}/config"),
        ("fsync", str(tmp_path)),
    ]


def test_a_target_file_and_the_launchers_name_are_on_disk_too(world, tmp_path, calls) -> None:
    drafts.place(f"{tmp_path}/web1.yaml", "x")
    assert calls[-1] == ("fsync", str(tmp_path))
    calls.clear()
    drafts.replace(f"{tmp_path}/web1.yaml", "y", 0o600)
    assert calls[-2:] == [("rename", f"{tmp_path}/web1.yaml"), ("fsync", str(tmp_path))]
    os.makedirs(world.folders.state)
    calls.clear()
    host_id(world.folders)
    assert calls[-1] == ("fsync", world.folders.state)
