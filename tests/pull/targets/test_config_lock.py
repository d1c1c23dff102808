"""Drafts and their lock: a full disk and a killed writer leave nothing that the next one does not clear."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from borgctl.openssh_key import HostKey
from borgctl.pull.targets import config_lock, setup
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName

DRAFT = ".web1.yaml.0123456789abcdef.new"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def left(world) -> set[str]:
    return {path.name for path in Path(world.folders.config).rglob("*") if ".new" in path.name}


def litter(world) -> None:
    """Leave what a writer that was killed leaves."""
    keys, targets = Path(world.folders.keys), Path(world.folders.targets)
    for folder in (keys, targets):
        folder.mkdir(parents=True, exist_ok=True)
    (keys / ".new-abc_1").mkdir()
    (keys / ".new-abc_1" / "key").write_text("secret")
    (targets / DRAFT).write_text("half")


def add(world, name: str = "web1") -> None:
    where = {"repository": str(world.root / "r" / name), "quota": "1G", "transport": "stdio", "policy": None}
    setup.add(world.folders, TargetName(name), host="h", port=None, **where)


@pytest.mark.parametrize("act", ["add", "trust", "run"])
def test_what_a_killed_writer_left_is_cleared_by_whatever_comes_next(world, borgpull, act: str) -> None:
    add(world)
    litter(world)
    if act == "add":
        add(world, "web2")
    elif act == "trust":
        setup.trust(world.folders, TargetName("web1"), HostKey.read(KEY), replace=False)
    else:
        assert borgpull("run", "web1")[0] == 2  # there is no host key; the sweep comes first
    assert left(world) == set()
    assert Path(world.folders.key(TargetName("web1"))).exists()


def test_a_run_leaves_alone_what_somebody_is_writing_now(world, borgpull) -> None:
    add(world)
    with config_lock.alone(world.folders), contextlib.ExitStack() as held:
        litter(world)
        file = held.enter_context(open(Path(world.folders.targets, DRAFT)))
        fcntl.flock(file, fcntl.LOCK_EX)
        assert borgpull("run", "web1")[0] == 2
        assert left(world) == {".new-abc_1", DRAFT}
    config_lock.sweep(world.folders)
    assert left(world) == set()


def test_files_of_other_names_are_left_alone(world) -> None:
    add(world)
    kept = [Path(world.folders.targets, name) for name in (".hidden.yaml", "x.new", ".x.new.yaml", ".a-b.new")]
    for path in kept:
        path.touch()
    config_lock.sweep(world.folders)
    assert all(path.exists() for path in kept)


def test_a_full_disk_leaves_no_draft_and_the_old_text(world, monkeypatch: pytest.MonkeyPatch) -> None:
    add(world)
    path = Path(world.folders.target(TargetName("web1")))
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PullError, match="No space left on device"):
        setup.trust(world.folders, TargetName("web1"), HostKey.read(KEY), replace=False)
    with pytest.raises(PullError, match=r"web2.yaml: No space left on device"):
        add(world, "web2")
    assert left(world) == set()
    assert path.read_text() == before
    assert not Path(world.folders.key(TargetName("web2"))).exists()


def test_an_add_that_is_killed_leaves_nothing_for_the_next_one(world) -> None:
    add(world)
    script = (
        "import os, sys, signal\nfrom borgctl.pull.targets import setup\n"
        "from borgctl.pull.targets.paths import Folders, TargetName\n"
        "real = os.link\n"
        "def link(*words, **more):\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if words[1].endswith('web2') else real(*words, **more)\n"
        "os.link = link\n"
        f"folders = Folders({world.folders.config!r}, {world.folders.state!r})\n"
        "setup.add(folders, TargetName('web2'), host='h', port=None,"
        f" repository={str(world.root / 'r' / 'web2')!r}, quota='1G', transport='stdio', policy=None)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert len(left(world)) == 1
    config_lock.sweep(world.folders)
    assert left(world) == set()
