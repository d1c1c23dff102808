"""A file is written completely or not at all, is on disk with its name, and leaves no draft."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import stage

from borgctl.fs import atomic

DEAD = f".state.{'0' * 16}.new"
HOLDS_A_DRAFT = """
import os, sys
from borgctl.fs import atomic
def stop(fd):
    print("drafted", flush=True)
    sys.stdin.read()
os.fsync = stop
atomic.replace(sys.argv[1], b"new")
"""


def told(fd: int) -> str:
    """Return the path that a descriptor leads to, a draft's as DRAFT."""
    return re.sub(r"\.[^/]+\.[0-9a-f]{16}\.new$", "DRAFT", os.readlink(f"/proc/self/fd/{fd}"))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what is synced."""
    found: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (found.append(told(fd)), fsync(fd))[1])
    return found


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of the temporary directory."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has drafted a file, and not yet renamed it."""
    argv = [sys.executable, "-c", HOLDS_A_DRAFT, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "drafted\n"
        yield process


@pytest.mark.parametrize("act", [atomic.replace, atomic.create])
def test_a_file_is_on_disk_with_its_name(tmp_path: Path, synced: list[str], act) -> None:
    act(f"{tmp_path}/state", b"text")
    assert (tmp_path / "state").read_bytes() == b"text"
    assert synced == [f"{tmp_path}/DRAFT", str(tmp_path)]
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("act", [atomic.replace, atomic.create])
def test_a_file_in_a_directory_that_is_held_is_so_too(tmp_path: Path, held: int, synced: list[str], act) -> None:
    act("state", b"text", at=held)
    assert (tmp_path / "state").read_bytes() == b"text"
    assert synced == [f"{tmp_path}/DRAFT", str(tmp_path)]
    os.mkdir(tmp_path / "below")
    act("below/state", b"more", at=held)
    assert (tmp_path / "below/state").read_bytes() == b"more"


def test_a_directory_that_is_held_is_written_also_where_its_path_leads_elsewhere_by_now(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    fd = os.open(tmp_path / "old", os.O_RDONLY | os.O_DIRECTORY)
    (tmp_path / "old").rename(tmp_path / "moved")
    (tmp_path / "old").mkdir()
    atomic.replace("state", b"text", at=fd)
    os.close(fd)
    assert (os.listdir(tmp_path / "old"), os.listdir(tmp_path / "moved")) == ([], ["state"])


def test_a_file_has_the_mode_that_is_named_whatever_the_umask_is(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        atomic.replace(f"{tmp_path}/open", b"", mode=0o644)
    finally:
        os.umask(umask)
    atomic.replace(f"{tmp_path}/private", b"")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "private")] == [0o644, 0o600]


def test_what_is_in_the_place_of_a_new_file_stays(tmp_path: Path) -> None:
    for name, make in (("file", Path.touch), ("link", lambda path: path.symlink_to("/nowhere"))):
        make(tmp_path / name)
        with pytest.raises(FileExistsError) as caught:
            atomic.create(f"{tmp_path}/{name}", b"text")
        assert caught.value.filename == f"{tmp_path}/{name}"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"] and (tmp_path / "file").read_bytes() == b""


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    atomic.replace(f"{tmp_path}/state", b"x")
    assert not (tmp_path / "state").is_symlink() and not (tmp_path / "elsewhere").exists()


def test_a_link_in_the_place_of_a_draft_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "draft").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="state"):
        atomic.replace(f"{tmp_path}/state", b"x", draft="draft")
    assert not (tmp_path / "elsewhere").exists() and (tmp_path / "draft").is_symlink()


def test_what_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "state").write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for act, name in ((atomic.replace, "state"), (atomic.create, "other")):
        with pytest.raises(OSError, match="No space left") as caught:
            act(f"{tmp_path}/{name}", b"new")
        assert caught.value.filename == f"{tmp_path}/{name}"
    assert os.listdir(tmp_path) == ["state"] and (tmp_path / "state").read_text() == "old"


def test_what_was_there_is_kept_aside_once_the_new_file_is_written(tmp_path: Path) -> None:
    for text in (b"1", b"2"):
        atomic.replace(f"{tmp_path}/state", text, aside="state.broken")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"state": b"2", "state.broken": b"1"}


def test_what_is_kept_aside_is_not_missed_where_the_new_file_cannot_take_its_place(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "state").write_text("damaged")
    (tmp_path / "state.broken").write_text("older")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.replace(f"{tmp_path}/state", b"new", aside="state.broken")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("state", "state.broken"), "damaged"
    )


def test_a_directory_that_is_in_the_way_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "state/below").mkdir(parents=True)
    atomic.replace(f"{tmp_path}/state", b"new", aside="state.broken")
    assert (tmp_path / "state").read_bytes() == b"new" and (tmp_path / "state.broken/below").is_dir()


def test_a_draft_of_a_dead_writer_goes_when_the_next_one_writes_whatever_file_that_is(tmp_path: Path) -> None:
    with writer(tmp_path / "state") as process:
        process.send_signal(signal.SIGKILL)
    assert len(os.listdir(tmp_path)) == 1
    atomic.replace(f"{tmp_path}/other", b"x")
    assert os.listdir(tmp_path) == ["other"]


def test_a_draft_of_a_writer_that_lives_stays_and_gets_to_its_place(tmp_path: Path) -> None:
    with writer(tmp_path / "state") as process:
        atomic.replace(f"{tmp_path}/state", b"meanwhile")
        atomic.remove_drafts(str(tmp_path))
        assert len(os.listdir(tmp_path)) == 2
        process.communicate("")
    assert process.returncode == 0
    assert os.listdir(tmp_path) == ["state"] and (tmp_path / "state").read_bytes() == b"new"


def test_a_draft_that_somebody_removes_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch) -> None:
    flock, first = atomic.fcntl.flock, [True]

    def hurried(fd: int, how: int) -> None:
        if first.pop() if first else False:
            os.unlink(f"{tmp_path}/{os.listdir(tmp_path)[0]}")
        flock(fd, how)

    monkeypatch.setattr(atomic.fcntl, "flock", hurried)
    atomic.replace(f"{tmp_path}/state", b"text")
    assert os.listdir(tmp_path) == ["state"] and (tmp_path / "state").read_bytes() == b"text"


def seizing(monkeypatch, times: int) -> list[int]:
    """Let somebody else lock each new draft first, so often; return their descriptors."""
    seized, real = [], fcntl.flock

    def flock(fd: int, how: int) -> None:
        if len(seized) < times:
            seized.append(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY))
            real(seized[-1], fcntl.LOCK_EX)
        assert how & fcntl.LOCK_NB, "it would wait for ever"
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    return seized


def test_nobody_who_locks_a_draft_before_its_writer_is_waited_for(tmp_path: Path, monkeypatch) -> None:
    """A borg that was taken over may write where its count of nonces is, as the gate's own user."""
    for times, written in ((1, True), (1000, False)):
        (tmp_path / "state").write_bytes(b"old")
        with monkeypatch.context() as patch:
            seized = seizing(patch, times)
            with contextlib.nullcontext() if written else pytest.raises(BlockingIOError):
                atomic.replace(f"{tmp_path}/state", b"new")
        for fd in seized:
            os.close(fd)
        assert os.listdir(tmp_path) == ["state"]
        assert (tmp_path / "state").read_bytes() == (b"new" if written else b"old")


def test_only_drafts_are_removed_and_nothing_is_waited_for(tmp_path: Path, held: int) -> None:
    os.mkfifo(tmp_path / DEAD)
    kept = ["state", ".state.new", f"state.{'0' * 16}.new", f".state.{'0' * 15}.new", f"{DEAD}.x"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f".link.{'0' * 16}.new").symlink_to("state")
    atomic.remove_drafts(held)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, f".link.{'0' * 16}.new"])
    os.fstat(held)  # is still open


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = stage.descriptors()
    atomic.replace(f"{tmp_path}/state", b"x")
    with pytest.raises(FileExistsError):
        atomic.create(f"{tmp_path}/state", b"x")
    with pytest.raises(FileNotFoundError):
        atomic.replace(f"{tmp_path}/none/state", b"x")
    assert stage.descriptors() == before


def test_directories_are_private_and_on_disk(tmp_path: Path, synced: list[str]) -> None:
    top = str(tmp_path)
    assert atomic.directories(f"{top}/a/b") == [f"{top}/a", f"{top}/a/b"]
    assert synced == [top, f"{top}/a"]
    assert [os.stat(path).st_mode & 0o777 for path in (f"{top}/a", f"{top}/a/b")] == [0o700, 0o700]
    assert atomic.directories(f"{top}/a/b") == []


def test_a_file_that_moves_is_at_its_new_place_on_disk(tmp_path: Path, held: int, synced: list[str]) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    atomic.move("new", "old", at=held)
    assert synced == [str(tmp_path)] and (tmp_path / "old").read_text() == "new"
