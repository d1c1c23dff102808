"""Workdirs of launchers: a dead launcher's is removed with what still runs in it, a living one's is left alone."""

import dataclasses
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import stop, wait_for

from borgctl.pull.process import workdirs
from borgctl.pull.process.workdirs import lives, workdir
from borgctl.pull.targets.paths import host_id


@pytest.fixture
def parent(world, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workdirs, "PATIENCE", 1.0)
    path = Path(world.folders.state, "run")
    path.mkdir(parents=True)
    monkeypatch.setenv("BORG_HOST_ID", host_id(world.folders))
    return path


def dead_workdir(parent: Path, name: str = "dead") -> Path:
    path = parent / name
    path.mkdir()
    (path / "owner").touch()
    (path / "serve.sock").touch()
    return path


def inhabitant(path: Path, *argv: str) -> subprocess.Popen:
    return subprocess.Popen(argv or ("sleep", "60"), env=environment(path))


def environment(path: Path) -> dict[str, str]:
    """Return what borg is started with in a workdir: its place, and the name that locks are known by."""
    return {"PATH": "/usr/bin:/bin", "TMPDIR": str(path), "BORG_HOST_ID": os.environ["BORG_HOST_ID"]}


NOBODY = 65534
FORGERS = {
    "plain": "import os; os.write(1, b'x'); import time; time.sleep(60)",
    # prctl(PR_SET_DUMPABLE, 0): what is in /proc/PID belongs to root then, but for the directory itself
    "not to be dumped": "import ctypes, os; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); os.write(1, b'x'); "
    "import time; time.sleep(60)",
}


@pytest.fixture(params=[*FORGERS, "set-user-ID"])
def forger(world, parent, request) -> Iterator[subprocess.Popen]:
    """Give a process of another user that was started with all that our own borg is started with."""
    dead, env = dead_workdir(parent), environment(parent / "dead")
    world.root.chmod(0o755)
    if request.param == "set-user-ID":
        program = world.root / "sleep"
        shutil.copy("/bin/sleep", program)
        program.chmod(0o4755)
        process = subprocess.Popen([program, "60"], env=env, user=NOBODY, stdout=subprocess.PIPE)
        wait_for(lambda: "sleep" in Path(f"/proc/{process.pid}/comm").read_text(), 20, "the program to start")
    else:
        argv = ["/usr/bin/python3", "-I", "-c", FORGERS[request.param]]
        process = subprocess.Popen(argv, env=env, user=NOBODY, group=NOBODY, stdout=subprocess.PIPE)
        assert process.stdout.read(1) == b"x"
    assert b"TMPDIR=" + str(dead).encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_a_process_of_another_user_is_never_ours_whatever_its_environment(world, parent, forger) -> None:
    assert not lives(world.folders, forger.pid)
    with workdir(world.folders):
        assert not (parent / "dead").exists()
    assert forger.poll() is None


def test_whoever_does_not_know_our_name_in_locks_is_not_our_borg(world, parent) -> None:
    """A program like sudo is root altogether while it asks for a password, with an environment that its user chose."""
    for name in (None, "borgpull@" + "0" * 32):
        env = {key: value for key, value in environment(parent / "x").items() if key != "BORG_HOST_ID"}
        forged = subprocess.Popen(["sleep", "60"], env=env | ({"BORG_HOST_ID": name} if name else {}))
        ours = inhabitant(parent / "x")
        wait_for(lambda pid=ours.pid: lives(world.folders, pid), 20, "the program to start")
        assert not lives(world.folders, forged.pid)
        for process in (forged, ours):
            process.kill()
            process.wait()


def test_a_dead_workdir_goes_and_with_it_whatever_still_runs_in_it(world, parent) -> None:
    dead = dead_workdir(parent)
    ordinary = inhabitant(dead)
    stopped = inhabitant(dead)
    stop(stopped.pid)
    script = "import os, signal; signal.signal(15, signal.SIG_IGN); os.write(1, b'x'); signal.pause()"
    deaf = subprocess.Popen([sys.executable, "-c", script], env=environment(dead), stdout=subprocess.PIPE)
    deaf.stdout.read(1)
    assert lives(world.folders, stopped.pid)
    with workdir(world.folders) as path:
        assert os.listdir(parent) == [os.path.basename(path)]
    deaf.stdout.close()
    assert [process.wait(60) for process in (ordinary, stopped, deaf)] == [-15, -15, -9]
    assert not lives(world.folders, stopped.pid)
    assert os.listdir(parent) == []


def test_a_living_workdir_is_left_alone_and_what_runs_in_it_too(world, parent) -> None:
    with workdir(world.folders) as first:
        living = inhabitant(Path(first))
        with workdir(world.folders) as second:
            assert set(os.listdir(parent)) == {os.path.basename(first), os.path.basename(second)}
        assert living.poll() is None
        living.kill()
        living.wait()


def test_what_runs_elsewhere_is_left_alone(world, parent) -> None:
    dead = dead_workdir(parent)
    others = [inhabitant(Path(f"{dead}2")), inhabitant(dead.parent), inhabitant(Path("/tmp"))]
    with workdir(world.folders):
        assert not dead.exists()
    assert [process.poll() for process in others] == [None, None, None]
    for process in others:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_process_of_another_user_is_none_of_ours(world, parent) -> None:
    """Whatever variables it has given itself: else that user could have us end any process, or keep a dead lock."""
    dead = dead_workdir(parent)
    become = ("/usr/bin/setpriv", "--reuid=64123", "--regid=64123", "--clear-groups", "sleep", "60")
    other = inhabitant(dead, *become)
    try:
        while Path(f"/proc/{other.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.01)
        assert not lives(world.folders, other.pid)
        with workdir(world.folders):
            assert not dead.exists()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_workdir_that_was_left_half_made_is_cleared(world, parent) -> None:
    (parent / "half").mkdir()
    with workdir(world.folders):
        assert not (parent / "half").exists()


def test_an_owner_that_is_a_symlink_makes_nothing_outside_go(world, parent) -> None:
    outside = world.root / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    dead = parent / "dead"
    dead.mkdir()
    (dead / "owner").symlink_to(outside / "kept")
    (dead / "link").symlink_to(outside)
    with workdir(world.folders):
        assert not dead.exists()
    assert (outside / "kept").exists()


def test_workdirs_that_come_and_go_at_the_same_time_do_not_disturb_each_other(world, parent) -> None:
    failed: list[BaseException] = []

    def come_and_go() -> None:
        try:
            for _ in range(40):
                with workdir(world.folders) as path:
                    Path(path, "known_hosts").write_text("x")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert os.listdir(parent) == []


def test_what_cannot_be_ended_keeps_its_workdir_and_no_other_launcher(world, parent, monkeypatch) -> None:
    dead = dead_workdir(parent)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)  # as with one that the kernel keeps waiting
    monkeypatch.setattr(workdirs, "PATIENCE", 0.1)
    process = inhabitant(dead)
    with workdir(world.folders) as path:
        assert dead.exists()
        assert path != str(dead)
    process.kill()
    process.wait()
    monkeypatch.undo()
    with workdir(world.folders):
        assert not dead.exists()


def test_the_owner_file_stays_locked_as_long_as_the_workdir_is_held(world, parent) -> None:
    with workdir(world.folders) as path, open(f"{path}/owner") as owner, pytest.raises(BlockingIOError):
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_launchers_that_name_the_same_state_by_a_symlink_know_each_others_processes(world, parent, tmp_path) -> None:
    """Else one would take the lock of a borg serve that lives for a dead one's, and remove it."""
    (tmp_path / "name").symlink_to(world.folders.state)
    other = dataclasses.replace(world.folders, state=str(tmp_path / "name"))
    os.makedirs(world.folders.state, exist_ok=True)
    with workdir(world.folders) as one, workdir(other) as two:
        for path in (one, two):
            running = inhabitant(Path(path), "/bin/sleep", "60")
            try:
                end = time.monotonic() + 20  # a program that is just starting has no environment yet
                while not lives(world.folders, running.pid) and time.monotonic() < end:
                    time.sleep(0.01)
                assert lives(world.folders, running.pid) and lives(other, running.pid)
            finally:
                running.kill()
                running.wait()
