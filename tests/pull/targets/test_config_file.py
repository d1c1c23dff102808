"""Files that another user could have written are not taken, and none holds a command up."""

import os
from pathlib import Path

import pytest

from borgctl.pull.targets import config_file, targets
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName

NAME = TargetName("web1")
OWN = "host: web1\nrepository: /srv/borg/web1\nquota: 500G\n"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture(params=["target", "defaults"])
def file(tmp_path: Path, request) -> tuple[Folders, Path]:
    """Give folders with one target and defaults, and one of the two files."""
    (tmp_path / "targets").mkdir()
    folders = Folders(str(tmp_path), str(tmp_path / "state"))
    Path(folders.target(NAME)).write_text(OWN)
    Path(folders.defaults).write_text("expect: 3d\n")
    return folders, Path(folders.target(NAME) if request.param == "target" else folders.defaults)


def refused(folders: Folders) -> str:
    with pytest.raises(PullError) as raised:
        targets.load(folders, NAME)
    return f"{raised.value.text} {raised.value.hint}"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_refused(file, mode: int) -> None:
    folders, path = file
    path.chmod(mode)
    text = refused(folders)
    assert str(path) in text and f"mode {mode:04o}" in text and "chmod go-w" in text


@ROOT
def test_a_file_of_another_user_is_refused(file) -> None:
    folders, path = file
    os.chown(path, 1234, 1234)
    assert f"'{path}' is owned by uid 1234" in refused(folders)


def test_a_directory_that_others_may_write_is_refused(file) -> None:
    folders, path = file
    path.parent.chmod(0o777)
    assert "other users may replace what is in it" in refused(folders)


@ROOT
def test_root_reads_the_files_of_the_folders_owner_and_of_no_third(file) -> None:
    folders, path = file
    for one in (folders.config, folders.targets, folders.defaults, folders.target(NAME)):
        os.chown(one, 1234, 1234)
    assert targets.load(folders, NAME).expect == 3 * 86400
    os.chown(path, 1235, 1235)
    assert "is owned by uid 1235" in refused(folders)


def test_a_fifo_a_directory_and_an_endless_file_are_refused_at_once(file) -> None:
    folders, path = file
    path.unlink()
    os.mkfifo(path)
    assert "is not a regular file" in refused(folders)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is not a regular file" in refused(folders)
    path.unlink()
    path.mkdir()
    assert "is not a regular file" in refused(folders)


def test_what_is_too_long_or_no_utf_8_is_named_at_its_beginning(file) -> None:
    folders, path = file
    path.write_text("#" * (64 * 1024 + 1))
    assert f"{path}:1:1: longer than 65536 bytes" in refused(folders)
    path.write_bytes(b"host: \xff")
    assert f"{path}:1:1: not UTF-8" in refused(folders)


def test_a_symlink_that_leads_nowhere_is_no_missing_file(file) -> None:
    folders, path = file
    path.unlink()
    path.symlink_to("/nonexistent/defaults.yaml")
    assert f"{path}: is a symlink to what is not there" in refused(folders)


def test_a_symlink_of_our_own_is_followed(file, tmp_path: Path) -> None:
    folders, path = file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert targets.load(folders, NAME).expect == 3 * 86400


def test_a_file_that_is_missing_is_none(tmp_path: Path) -> None:
    folders = Folders(str(tmp_path), str(tmp_path))
    assert config_file.read(folders, folders.defaults) is None
    with pytest.raises(PullError, match="no target 'web1'"):
        targets.load(folders, NAME)
