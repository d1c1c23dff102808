"""What a run holds: locks that are an answer and no wait, and a directory of its own that goes with it."""

import fcntl
import os
import stat
from pathlib import Path

import programs
import pytest

from borgctl.errors import BorgctlError
from borgctl.state import run_locks
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


# ---- locks


def test_a_repository_that_is_in_use_is_an_answer_and_no_wait(base):
    with run_locks.lock_repository(base, A):
        with pytest.raises(BorgctlError) as caught, run_locks.lock_repository(base, A):
            pass
        assert code_of(caught) == "repository-busy" and caught.value.reason.retry
        with run_locks.lock_repository(base, B):
            pass
    with run_locks.lock_repository(base, A):
        pass


def test_a_lock_is_given_back_whatever_happens(base):
    with pytest.raises(ZeroDivisionError), run_locks.lock_repository(base, A), run_locks.session(base, 1):
        raise ZeroDivisionError
    with run_locks.lock_repository(base, A), run_locks.session(base, 1):
        pass


def test_only_so_many_gates_are_at_work(base):
    with run_locks.session(base, 2), run_locks.session(base, 2):
        with pytest.raises(BorgctlError) as caught, run_locks.session(base, 2):
            pass
        assert code_of(caught) == "sessions-full"
    with run_locks.session(base, 1):
        pass


def test_a_gate_that_was_killed_holds_nothing(base):
    code = """
import os, sys
from borgctl.state import run_locks
from borgctl.state.state_dir import StateDir
from borgctl.process.spawn import Confinement
from borgctl.values import RepositoryPath
base = StateDir.open(sys.argv[1])
us = (os.geteuid(), os.getegid())
locks = run_locks.session(base, 1), run_locks.lock_repository(base, RepositoryPath("/srv/a"))
with locks[0], locks[1], run_locks.run_directory(base, "dead", *us):
    open(sys.argv[1] + "/runs/dead/tmp/x", "w").close()
    os.kill(os.getpid(), 9)
"""
    assert programs.python(code, base.path).returncode == -9
    assert os.listdir(f"{base.path}/runs") == ["dead"]
    with (
        run_locks.session(base, 1),
        run_locks.lock_repository(base, A),
        run_locks.run_directory(base, "mine", *US) as mine,
    ):
        assert os.listdir(f"{base.path}/runs") == ["mine"]
        assert os.path.isdir(mine)
    assert os.listdir(f"{base.path}/runs") == []


def test_a_child_does_not_inherit_a_lock(base):
    with run_locks.lock_repository(base, A):
        locks = [fd for fd in os.listdir("/proc/self/fd") if "/locks/" in os.path.realpath(f"/proc/self/fd/{fd}")]
        assert locks and not any(os.get_inheritable(int(fd)) for fd in locks)


# ---- a run's own directory


def test_a_run_has_a_private_directory_and_leaves_nothing(base):
    with run_locks.run_directory(base, "12ab", *US) as path:
        assert path == f"{base.path}/runs/12ab"
        for directory in (path, f"{path}/tmp"):
            assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        with open(f"{path}/tmp/file", "w") as file:
            file.write("x")
    assert os.listdir(f"{base.path}/runs") == []
    assert [name for name in os.listdir(f"{base.path}/locks") if "run" in name] == []


def test_the_directory_of_a_live_run_is_not_swept(base):
    with run_locks.run_directory(base, "one", *US) as one, run_locks.run_directory(base, "two", *US) as two:
        assert os.path.isdir(one) and os.path.isdir(two)


def test_what_goes_wrong_in_a_run_is_not_blamed_on_the_base(base):
    with pytest.raises(BrokenPipeError), run_locks.run_directory(base, "12ab", *US):
        raise BrokenPipeError
    assert os.listdir(f"{base.path}/runs") == []


def test_a_run_directory_that_cannot_be_made_is_blamed_on_the_base(base):
    os.mkdir(f"{base.path}/runs/12ab")
    os.rmdir(f"{base.path}/runs/12ab")
    os.rmdir(f"{base.path}/runs")
    with pytest.raises(BorgctlError) as caught, run_locks.run_directory(base, "12ab", *US):
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
    with run_locks.run_directory(base, "mine", *US):
        assert os.listdir(f"{base.path}/runs") == ["mine"]


def test_names_that_a_killed_gate_left_half_made_go_when_they_are_old(base):
    draft, lock, living = f".host-id.{'a' * 16}.new", f"locks/run-{'a' * 16}", f"locks/run-{'b' * 16}"
    kept = ["host-id", "borg-version.x", "precious.new", "locks/session-1", "locks/run-x"]
    for name in (draft, lock, living, *kept):
        Path(base.path, name).touch()
    os.mkdir(f"{base.path}/runs/{'b' * 16}")
    with run_locks.run_directory(base, "mine", *US):
        assert Path(base.path, lock).exists()  # somebody may be at it
        assert not Path(base.path, draft).exists()  # nobody holds its lock
        Path(base.path, draft).touch()
    with open(f"{base.path}/{draft}") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with run_locks.run_directory(base, "mine", *US):
            assert Path(base.path, draft).exists()
    Path(base.path, living).touch()
    with open(f"{base.path}/{living}") as held:
        os.makedirs(f"{base.path}/runs/{'b' * 16}", exist_ok=True)
        fcntl.flock(held, fcntl.LOCK_EX)
        for name in (draft, lock, living, *kept):
            if Path(base.path, name).exists():
                os.utime(f"{base.path}/{name}", (1, 1))
        with run_locks.run_directory(base, "mine", *US):
            pass
    assert not Path(base.path, draft).exists()
    assert not Path(base.path, lock).exists()
    assert os.path.isdir(f"{base.path}/runs/{'b' * 16}")
    assert all(Path(base.path, name).exists() for name in kept)


def test_what_a_dead_run_linked_to_stays(base, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    os.mkdir(f"{base.path}/runs/dead")
    os.symlink(tmp_path / "precious", f"{base.path}/runs/dead/link")
    with run_locks.run_directory(base, "mine", *US):
        pass
    assert (tmp_path / "precious/file").exists()


def test_what_a_run_left_is_removed_however_deep_and_never_in_the_next_ones_way(base):
    with run_locks.run_directory(base, "12ab", *US) as path:
        kept = os.open(".", os.O_RDONLY)
        os.chdir(f"{path}/tmp")
        for _ in range(2000):
            os.mkdir("d")
            os.chdir("d")
        os.fchdir(kept)
        os.close(kept)
    assert os.listdir(f"{base.path}/runs") == []
