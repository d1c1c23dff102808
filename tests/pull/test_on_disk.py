"""What the launcher writes is on disk, with its name and the directories above it, when the call returns."""

import os
import re

import pytest

from borgctl.openssh_key import HostKey
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets import setup
from borgctl.pull.targets.paths import TargetName, host_id

NAME = TargetName("web1")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Give the list of fsync, rename, link and mkdir calls, each with the path that it is about; a draft is DRAFT."""
    found: list[tuple[str, str]] = []
    fsync, mkdir = os.fsync, os.mkdir

    def note(act: str, path: str) -> None:
        found.append((act, re.sub(r"\.[^/]+\.[0-9a-f]{16}\.new$", "DRAFT", path)))

    def noted_fsync(fd):
        note("fsync", os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    def noted(act):
        real = getattr(os, act)

        def call(old, new, *, dst_dir_fd=None, **more):
            note(act, new if dst_dir_fd is None else f"{os.readlink(f'/proc/self/fd/{dst_dir_fd}')}/{new}")
            real(old, new, dst_dir_fd=dst_dir_fd, **more)

        monkeypatch.setattr(os, act, call)

    def noted_mkdir(path, *mode, **more):
        note("mkdir", os.fspath(path))
        mkdir(path, *mode, **more)

    noted("rename")
    noted("link")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "mkdir", noted_mkdir)
    return found


def test_a_state_is_on_disk_when_save_returns_and_so_are_its_directories(world, calls) -> None:
    path = world.folders.memory(NAME)
    above = os.path.dirname(path)
    state_file.save(world.folders, NAME, State())
    assert calls == [
        *(("mkdir", world.folders.state), ("mkdir", above)),
        *(("fsync", str(world.root)), ("fsync", world.folders.state)),
        *(("fsync", f"{above}/DRAFT"), ("rename", path), ("fsync", above)),
    ]
    calls.clear()
    state_file.save(world.folders, NAME, State())
    assert calls == [("fsync", f"{above}/DRAFT"), ("rename", path), ("fsync", above)]


def test_the_launchers_name_is_on_disk_too(world, calls) -> None:
    os.makedirs(world.folders.state)
    calls.clear()
    host_id(world.folders)
    assert calls[-2:] == [("link", f"{world.folders.state}/host-id"), ("fsync", world.folders.state)]


def test_a_target_is_on_disk_with_all_directories_that_were_made_for_it(world, calls) -> None:
    path = world.folders.target(NAME)
    where = {"repository": str(world.root / "r" / "web1"), "quota": "1G", "transport": "stdio", "policy": None}
    setup.add(world.folders, NAME, host="h", port=None, **where)
    assert calls[-2:] == [("link", path), ("fsync", world.folders.targets)]
    made = [path for act, path in calls if act == "mkdir" and not os.path.basename(path).startswith(".new-")]
    assert made == [world.folders.config, world.folders.targets, world.folders.keys, f"{world.root}/r"]
    assert {os.path.dirname(path) for path in made} <= {path for act, path in calls if act == "fsync"}
    calls.clear()
    setup.trust(world.folders, NAME, HostKey.read(KEY), replace=False)
    assert calls[-2:] == [("rename", path), ("fsync", world.folders.targets)]
