"""We unmount what borg has mounted, and nothing else."""

import os
import subprocess

import pytest

from borgctl.cli.window.mounts import Mount
from borgctl.fs import mountinfo

UMOUNT = """\
#!/bin/sh
echo "$*" >> {directory}/asked
"""
ROW = "{} 29 0:44 / {} rw,relatime shared:1 - {} borgfs rw\n"


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Be the kernel: what is mounted, row by row, as mountinfo has it."""
    found = [ROW.format(30, "/", "ext4")]
    monkeypatch.setattr(mountinfo, "open", lambda *_, **__: _Rows(found), raising=False)
    program = tmp_path / "borg"
    program.write_text(UMOUNT.format(directory=tmp_path))
    program.chmod(0o700)
    return found


class _Rows(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def undone(mount, directory):
    mount.undo(f"{directory}/borg", {"PATH": "/usr/bin:/bin"})
    asked = directory / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize("words", ["-o allow_other :: {}", ":: {}", "--last 1 ::a {} etc", "-o,x ::a {}/../{name}"])
def test_the_place_is_found_among_all_words(rows, tmp_path, words):
    place = tmp_path / "m n"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    mount = Mount.of([word.format(tmp_path / "link", name="link") for word in words.split()])
    assert undone(mount, tmp_path) == []
    rows.append(ROW.format(77, str(place).replace(" ", "\\040"), "fuse"))
    assert undone(mount, tmp_path) == [f"umount {place}"]


def test_what_was_mounted_there_before_stays(rows, tmp_path):
    """A server that lets borg fail must not make us unmount the admin's own file system."""
    rows.append(ROW.format(77, "/mnt", "fuse"))
    mount = Mount.of(["::", "/mnt"])
    assert undone(mount, tmp_path) == []
    rows.append(ROW.format(78, "/mnt", "ext4"))
    rows.append(ROW.format(79, "/elsewhere", "fuse"))
    assert undone(mount, tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_disk_of_the_admins_outlives_a_mount_that_fails(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False)
    assert mounted.returncode == 0
    try:
        Mount.of(["::", str(place)]).undo("/usr/bin/borg", {"PATH": "/usr/bin:/bin"}, lazily=True)
        assert os.path.ismount(place)
    finally:
        subprocess.run(["umount", place], check=False)
