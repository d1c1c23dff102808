"""The state directory: locks, places, runs' own directories, and what was learnt of borg."""

import fcntl
import os
import re
import stat
from pathlib import Path

import programs
import pytest
import stage
from machines import full_disk

from borgctl.errors import BorgctlError
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


# ---- locks


def test_a_repository_that_is_in_use_is_an_answer_and_no_wait(base):
    with base.lock_repository(A):
        with pytest.raises(BorgctlError) as caught, base.lock_repository(A):
            pass
        assert code_of(caught) == "repository-busy" and caught.value.reason.retry
        with base.lock_repository(B):
            pass
    with base.lock_repository(A):
        pass


def test_a_lock_is_given_back_whatever_happens(base):
    with pytest.raises(ZeroDivisionError), base.lock_repository(A), base.session(1):
        raise ZeroDivisionError
    with base.lock_repository(A), base.session(1):
        pass


def test_only_so_many_gates_are_at_work(base):
    with base.session(2), base.session(2):
        with pytest.raises(BorgctlError) as caught, base.session(2):
            pass
        assert code_of(caught) == "sessions-full"
    with base.session(1):
        pass


def test_a_gate_that_was_killed_holds_nothing(base):
    code = """
import os, sys
from borgctl.state.state_dir import StateDir
from borgctl.process.spawn import Wall
from borgctl.values import RepositoryPath
base = StateDir.open(sys.argv[1])
us = (os.geteuid(), os.getegid())
with base.session(1), base.lock_repository(RepositoryPath("/srv/a")), base.run_directory("dead", *us):
    open(sys.argv[1] + "/runs/dead/tmp/x", "w").close()
    os.kill(os.getpid(), 9)
"""
    assert programs.python(code, base.path).returncode == -9
    assert os.listdir(f"{base.path}/runs") == ["dead"]
    with base.session(1), base.lock_repository(A), base.run_directory("mine", *US) as mine:
        assert os.listdir(f"{base.path}/runs") == ["mine"]
        assert os.path.isdir(mine)
    assert os.listdir(f"{base.path}/runs") == []


def test_a_child_does_not_inherit_a_lock(base):
    with base.lock_repository(A):
        locks = [fd for fd in os.listdir("/proc/self/fd") if "/locks/" in os.path.realpath(f"/proc/self/fd/{fd}")]
        assert locks and not any(os.get_inheritable(int(fd)) for fd in locks)


# ---- a run's own directory


def test_a_run_has_a_private_directory_and_leaves_nothing(base):
    with base.run_directory("12ab", *US) as path:
        assert path == f"{base.path}/runs/12ab"
        for directory in (path, f"{path}/tmp"):
            assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        with open(f"{path}/tmp/file", "w") as file:
            file.write("x")
    assert os.listdir(f"{base.path}/runs") == []
    assert [name for name in os.listdir(f"{base.path}/locks") if "run" in name] == []


def test_the_directory_of_a_live_run_is_not_swept(base):
    with base.run_directory("one", *US) as one, base.run_directory("two", *US) as two:
        assert os.path.isdir(one) and os.path.isdir(two)


def test_what_goes_wrong_in_a_run_is_not_blamed_on_the_base(base):
    with pytest.raises(BrokenPipeError), base.run_directory("12ab", *US):
        raise BrokenPipeError
    assert os.listdir(f"{base.path}/runs") == []


def test_a_run_directory_that_cannot_be_made_is_blamed_on_the_base(base):
    os.mkdir(f"{base.path}/runs/12ab")
    os.rmdir(f"{base.path}/runs/12ab")
    os.rmdir(f"{base.path}/runs")
    with pytest.raises(BorgctlError) as caught, base.run_directory("12ab", *US):
        pass
    assert code_of(caught) == "base-unusable"


def test_two_sweeps_of_the_same_dead_run_do_not_disturb_each_other(base, monkeypatch):
    os.mkdir(f"{base.path}/runs/dead")
    original = fcntl.flock

    def raced(fd, operation):
        original(fd, operation)
        name = os.readlink(f"/proc/self/fd/{fd}")
        if name.endswith("/run-dead"):
            os.unlink(name)  # the other gate was faster

    monkeypatch.setattr(fcntl, "flock", raced)
    with base.run_directory("mine", *US):
        assert os.listdir(f"{base.path}/runs") == ["mine"]


def test_names_that_a_killed_gate_left_half_made_go_when_they_are_old(base):
    draft, lock, living = f".host-id.{'a' * 16}.new", f"locks/run-{'a' * 16}", f"locks/run-{'b' * 16}"
    kept = ["host-id", "borg-version.x", "precious.new", "locks/session-1", "locks/run-x"]
    for name in (draft, lock, living, *kept):
        Path(base.path, name).touch()
    os.mkdir(f"{base.path}/runs/{'b' * 16}")
    with base.run_directory("mine", *US):
        assert Path(base.path, lock).exists()  # somebody may be at it
        assert not Path(base.path, draft).exists()  # nobody holds its lock
        Path(base.path, draft).touch()
    with open(f"{base.path}/{draft}") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with base.run_directory("mine", *US):
            assert Path(base.path, draft).exists()
    Path(base.path, living).touch()
    with open(f"{base.path}/{living}") as held:
        os.makedirs(f"{base.path}/runs/{'b' * 16}", exist_ok=True)
        fcntl.flock(held, fcntl.LOCK_EX)
        for name in (draft, lock, living, *kept):
            if Path(base.path, name).exists():
                os.utime(f"{base.path}/{name}", (1, 1))
        with base.run_directory("mine", *US):
            pass
    assert not Path(base.path, draft).exists()
    assert not Path(base.path, lock).exists()
    assert os.path.isdir(f"{base.path}/runs/{'b' * 16}")
    assert all(Path(base.path, name).exists() for name in kept)


def test_what_is_kept_is_on_disk_with_its_name(base, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    base.keep("repository", RepositoryPath("/srv/borg/web1"), "0" * 64)
    assert len(synced) == 2 and synced[1] == base.path


def test_what_a_dead_run_linked_to_stays(base, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    os.mkdir(f"{base.path}/runs/dead")
    os.symlink(tmp_path / "precious", f"{base.path}/runs/dead/link")
    with base.run_directory("mine", *US):
        pass
    assert (tmp_path / "precious/file").exists()


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


def test_what_a_run_left_is_removed_however_deep_and_never_in_the_next_ones_way(base):
    with base.run_directory("12ab", *US) as path:
        kept = os.open(".", os.O_RDONLY)
        os.chdir(f"{path}/tmp")
        for _ in range(2000):
            os.mkdir("d")
            os.chdir("d")
        os.fchdir(kept)
        os.close(kept)
    assert os.listdir(f"{base.path}/runs") == []


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
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BorgctlError, match=name) as caught:
        (base.host_id(), base.version_note(), base.note_version("x"))
    assert code_of(caught) == "base-unusable"
    assert os.listdir("/proc/self/fd") == before


def test_a_fifo_in_the_base_is_not_waited_for(base):
    os.mkfifo(f"{base.path}/host-id")
    assert base.host_id() == base.host_id()


def test_a_full_disk_under_the_base_is_told_as_that_and_leaves_no_half_file(base):
    before = sorted(os.listdir(base.path))
    for keep in (base.host_id, lambda: base.keep("repository", A, "ab" * 32)):
        with pytest.raises(BorgctlError) as caught, full_disk():
            keep()
        assert code_of(caught) == "base-unusable"
    assert sorted(os.listdir(base.path)) == before


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "\0" * 64])
@pytest.mark.parametrize("kind", ["repository", "key"])
def test_what_is_kept_and_is_no_hash_is_refused_and_not_taken_for_nothing(base, kind, text):
    """Else the next id or key would be the first one, and whatever it is agreed to."""
    base.keep(kind, A, "a" * 64)
    (file,) = Path(base.path).glob(f"{kind}-*")
    file.write_text(text)
    with pytest.raises(BorgctlError) as caught:
        base.kept(kind, A)
    assert code_of(caught) == "base-unusable" and str(file) in caught.value.detail
    assert file.read_text() == text and base.kept(kind, B) is None


def test_one_id_that_is_kept_for_two_paths_is_noticed(base):
    base.keep("repository", A, "a" * 64)
    assert not base.known_elsewhere("repository", A) and not base.known_elsewhere("repository", B)
    base.keep("repository", B, "b" * 64)
    base.keep("key", B, "a" * 64)
    assert not base.known_elsewhere("repository", A)
    base.keep("repository", B, "a" * 64)
    assert base.known_elsewhere("repository", A) and base.known_elsewhere("repository", B)
