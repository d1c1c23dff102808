"""Whoever looks at a history of another user's writes nothing for that user, and root has none of root's rights."""

import contextlib
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import machines
import pytest

from borgctl.pull.state import history, history_copy
from borgctl.pull.state.as_chooser import as_chooser, chooser
from borgctl.pull.state.history import Run
from borgctl.pull.state.history_replacement import HistoryUnusable
from borgctl.pull.targets.paths import Folders

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
THEM, SOMEBODY = 64123, 64124
MAGIC = bytes.fromhex("d9d505f920a163d7")  # of a rollback journal (sqlite.org/fileformat2.html, 3)


@pytest.fixture
def there() -> Iterator[Path]:
    """A directory that every user can reach, as /var/lib is."""
    with machines.scratch() as directory:
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def folders(there: Path) -> Folders:
    """Folders of a user's, with one run in the history."""
    made = Folders(f"{there}/config", f"{there}/state")
    Path(made.state).mkdir(mode=0o755)
    run = Run("web1", "run", "default", "create", "0" * 16, begun=1.0, ended=2.0, duration=1.0, outcome="ok")
    history.append(made, run, 3.0)
    give(Path(made.state))
    return made


def give(path: Path, user: int = THEM) -> None:
    """Make all of it that user's."""
    for one in (path, *path.rglob("*")):
        os.chown(one, user, user)


def lay_journal(file: str, victim: Path) -> None:
    """Put beside the file what a writer leaves that was killed: a journal, which here names a file to delete."""
    with sqlite3.connect(file, isolation_level=None) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("PRAGMA cache_size = 2")
        writer.execute("CREATE TABLE more (text)")
        writer.executemany("INSERT INTO more VALUES (?)", [("x" * 500,)] * 200)
        writer.execute("BEGIN")
        writer.execute("UPDATE more SET text = 'y' || text")
        journal, data = Path(f"{file}-journal").read_bytes(), Path(file).read_bytes()
        writer.execute("ROLLBACK")
    writer.close()
    name, (page,) = os.fsencode(victim), struct.unpack(">I", journal[24:28])
    check = sum(byte - 256 * (byte > 127) for byte in name) & 0xFFFFFFFF
    end = struct.pack(">I", 0x40000000 // page + 1) + name + struct.pack(">II", len(name), check) + MAGIC
    Path(file).write_bytes(data)
    Path(f"{file}-journal").write_bytes(journal + end)


def look(folders: Folders) -> list[str]:
    return [run.target for run in history.runs(folders, (), None)]


def copied(folders: Folders) -> list[str]:
    place = f"{os.path.dirname(folders.state)}/copy.db"
    Path(place).write_bytes(b"")
    history_copy.copy(folders, place)
    with sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True) as connection:
        return [target for (target,) in connection.execute("SELECT target FROM runs")]


@pytest.mark.parametrize("act", [look, copied])
def test_a_file_of_roots_outlives_roots_look_at_a_journal_that_names_it(folders, there, act) -> None:
    victim = there / "roots"
    victim.write_text("x")
    lay_journal(folders.history, victim)
    give(Path(folders.state))
    with contextlib.suppress(HistoryUnusable):  # it is told that the journal cannot be played back
        act(folders)
    assert victim.exists()


@pytest.mark.parametrize("act", [look, copied])
def test_a_file_of_roots_stays_roots_where_it_has_the_name_of_sqlites_memory(folders, there, act) -> None:
    """A kernel without fs.protected_hardlinks lets them link it; SQLite shortens that file, and gives it away."""
    victim = there / "roots"
    victim.write_text("x" * 100)
    os.link(victim, f"{folders.history}-shm")
    with contextlib.suppress(HistoryUnusable):
        act(folders)
    assert (victim.read_bytes(), victim.stat().st_uid) == (b"x" * 100, 0)


def test_a_file_of_another_users_does_so_too(folders, there) -> None:
    own = there / "somebodys"
    own.mkdir()
    (own / "file").write_text("x")
    lay_journal(folders.history, own / "file")
    give(Path(folders.state))
    give(own, SOMEBODY)
    for path in (folders.state, folders.history, f"{folders.history}-journal"):
        os.chmod(path, 0o777)
    reader = os.fork()
    if reader == 0:
        ended = 1
        try:
            os.setgroups([])
            os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
            os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
            look(folders)
        except HistoryUnusable:
            ended = 3
        finally:
            os._exit(ended)
    assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 3, "a journal that is not played back is a fault"
    assert (own / "file").exists()


def test_root_leaves_nothing_of_roots_in_a_folder_of_theirs(folders) -> None:
    with sqlite3.connect(folders.history) as writer:  # a launcher at work, so its log is there
        writer.execute("UPDATE runs SET target = 'web2'")
        writer.commit()
        give(Path(folders.state))
        assert look(folders) == ["web2"]
        assert copied(folders) == ["web2"]
        assert {path.stat().st_uid for path in Path(folders.state).iterdir()} == {THEM}
    writer.close()


def test_root_is_root_again_also_after_a_fault(folders) -> None:
    before = (*os.getresuid(), *os.getresgid(), *os.getgroups())
    during = []

    def fail() -> None:
        with as_chooser(folders.history):
            during.append((os.geteuid(), os.getegid(), os.getgroups()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert during == [(THEM, THEM, [THEM])]
    assert (*os.getresuid(), *os.getresgid(), *os.getgroups()) == before


def theirs(place: Path) -> str:
    give(place)
    return f"{place}/file"


def their_link(place: Path) -> str:
    """What they let it lead to just now is root's."""
    (place / "link").symlink_to("/etc")
    os.lchown(place / "link", THEM, THEM)
    return f"{place}/link/passwd"


def roots_link(place: Path) -> str:
    (place / "theirs").mkdir()
    give(place / "theirs")
    (place / "link").symlink_to("./x/../theirs")
    (place / "x").mkdir()
    return f"{place}/link/file"


def below_sticky(place: Path) -> str:
    place.chmod(0o1777)
    (place / "file").touch()
    give(place / "file")
    return f"{place}/./file"


@pytest.mark.parametrize("make", [theirs, their_link, roots_link, below_sticky])
def test_the_first_owner_besides_root_chooses(there, make: Callable[[Path], str]) -> None:
    (there / "place").mkdir(mode=0o755)
    assert chooser(make(there / "place")) == THEM


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_where_others_may_replace_what_is_in_a_directory_of_roots_nothing_is_read(folders, mode) -> None:
    lay_journal(folders.history, victim := Path(os.path.dirname(folders.state), "roots"))
    victim.touch()
    give(Path(folders.state), 0)
    os.chmod(folders.state, mode)
    with pytest.raises(HistoryUnusable, match="others may replace what is in"):
        look(folders)
    assert victim.exists()


def test_root_chooses_what_only_root_can_change(there) -> None:
    (there / "link").symlink_to("/etc/passwd")
    (there / "loop").symlink_to("loop")
    assert (chooser("/etc/passwd"), chooser(f"{there}/link")) == (0, 0)
    with pytest.raises(OSError, match="Too many"):
        chooser(f"{there}/loop")
