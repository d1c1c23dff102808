"""The state directory: locks, places, runs' own directories, and what was learnt of borg."""

import os
import re
import stat

import pytest
import stage
from machines import full_disk

from borgctl.errors import BorgctlError
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

US = (os.geteuid(), os.getegid())
A, B = RepositoryPath("/srv/a"), RepositoryPath("/srv/b")


@pytest.fixture
def base(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "base"))
    yield base
    os.close(base.fd)


def code_of(caught):
    return caught.value.reason.code


def test_it_is_made_private_and_up_to_three_levels_deep(tmp_path):
    base = StateDir.open(str(tmp_path / "a/b/c"))
    os.close(base.fd)
    assert sorted(os.listdir(tmp_path / "a/b/c")) == ["borg", "locks", "runs"]
    for name in ("a", "a/b", "a/b/c", "a/b/c/borg", "a/b/c/locks", "a/b/c/runs"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    with pytest.raises(BorgctlError) as caught:
        StateDir.open(str(tmp_path / "x/y/z/w"))
    assert code_of(caught) == "base-unusable" and not (tmp_path / "x").exists()


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_a_base_that_others_may_write_is_refused(tmp_path, mode):
    (tmp_path / "base").mkdir()
    (tmp_path / "base").chmod(mode)
    with pytest.raises(BorgctlError) as caught:
        StateDir.open(str(tmp_path / "base"))
    assert code_of(caught) == "base-unusable"
    assert os.listdir(tmp_path / "base") == []


def test_a_file_is_no_base(tmp_path):
    (tmp_path / "base").write_text("")
    with pytest.raises(BorgctlError) as caught:
        StateDir.open(str(tmp_path / "base"))
    assert code_of(caught) == "base-unusable"


@pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")
def test_another_users_directory_is_no_base(tmp_path):
    (tmp_path / "base").mkdir(mode=0o700)
    os.chown(tmp_path / "base", 54321, 54321)
    with pytest.raises(BorgctlError) as caught:
        StateDir.open(str(tmp_path / "base"))
    assert code_of(caught) == "base-unusable"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_borg_is_not_to_be_ours_where_another_user_has_left_a_link(base, tmp_path):
    """The sandbox was switched off: the borg that starts now may write wherever that link leads."""
    base.give_borg(64101, 64101)
    os.symlink(tmp_path, f"{base.borg}/.config")
    base.give_borg(64102, 64102)
    with pytest.raises(BorgctlError) as caught:
        base.give_borg(*US)
    assert code_of(caught) == "base-unusable" and ".config is a symlink" in caught.value.detail
    os.unlink(f"{base.borg}/.config")
    base.give_borg(*US)
    assert os.stat(base.borg).st_uid == 0


def test_what_is_kept_is_on_disk_with_its_name(base, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    pins.set_pin(base, "repository", RepositoryPath("/srv/borg/web1"), "0" * 64)
    assert len(synced) == 2 and synced[1] == base.path


# ---- identity, and what is kept


def test_the_host_id_is_made_once(base):
    first = base.host_id()
    assert re.fullmatch(r"borgctl@[0-9a-f]{32}", first)
    assert base.host_id() == first
    again = StateDir.open(base.path)
    assert again.host_id() == first
    os.close(again.fd)


@pytest.mark.parametrize("damage", ["", "x" * 5000, "borgctl@abc", "borgctl@" + "0" * 32 + "\n", "\0", "é"])
def test_a_damaged_host_id_is_made_anew(base, damage):
    with open(f"{base.path}/host-id", "w") as file:
        file.write(damage)
    assert re.fullmatch(r"borgctl@[0-9a-f]{32}", base.host_id())


def test_what_is_kept_is_replaced_whole(base, tmp_path):
    base.note_version("1:2:3:4 1.4.5")
    base.host_id()
    assert sorted(os.listdir(base.path)) == ["borg", "borg-version", "host-id", "locks", "runs"]
    assert stat.S_IMODE(os.stat(f"{base.path}/host-id").st_mode) == 0o600


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("/etc/hostname", path)])
@pytest.mark.parametrize("name", ["host-id", "borg-version"])
def test_what_is_no_file_of_ours_in_the_base_is_no_defect_of_the_gate(base, tmp_path, name, make):
    make(f"{base.path}/{name}")
    before = stage.descriptors()
    with pytest.raises(BorgctlError, match=name) as caught:
        (base.host_id(), base.version_note(), base.note_version("x"))
    assert code_of(caught) == "base-unusable"
    assert stage.descriptors() == before


def test_a_fifo_in_the_base_is_not_waited_for(base):
    os.mkfifo(f"{base.path}/host-id")
    assert base.host_id() == base.host_id()


def test_a_full_disk_under_the_base_is_told_as_that_and_leaves_no_half_file(base):
    before = sorted(os.listdir(base.path))
    for keep in (base.host_id, lambda: pins.set_pin(base, "repository", A, "ab" * 32)):
        with pytest.raises(BorgctlError) as caught, full_disk():
            keep()
        assert code_of(caught) == "base-unusable"
    assert sorted(os.listdir(base.path)) == before
