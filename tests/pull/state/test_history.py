"""The history: every run as a row, in a file that may be in any state; no run is the worse for it."""

import contextlib
import itertools
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import machines
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import full_disk

from borgctl.fs import atomic
from borgctl.pull.state import history, history_file, history_replacement
from borgctl.pull.state.history import ACCEPTED, RAISED, Run, Window
from borgctl.pull.state.history_replacement import MOST_BROKEN, HistoryUnusable
from borgctl.pull.targets.paths import Folders, TargetName

DAY = 86400.0
NOW = 1_796_000_000.0
WEB1, WWW = TargetName("web1"), TargetName("www")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(str(tmp_path / "config"), str(tmp_path / "state"))


@pytest.fixture
def path(folders: Folders) -> Path:
    os.makedirs(folders.state)
    return Path(folders.history)


def backup(files: int | None = 7, begun: float = NOW, job: str | None = "default", **more: object) -> Run:
    """A good run of web1 of 10 s, in which each file has 100 bytes."""
    fields = {"target": "web1", "kind": "run", "command": "create", "run": "0" * 16, "outcome": "ok", "duration": 10.0}
    fields |= {"ended": begun + 10, "original": None if files is None else 100 * files} | more
    return Run(job=job, begun=begun, files=files, **fields)


def add(folders: Folders, *runs: Run, now: float = NOW) -> str | None:
    """Append runs; return what the last one said."""
    return [history.append(folders, run, now) for run in runs][-1]


def rows(folders: Folders, *targets: str, since: float | None = None) -> list[Run]:
    return list(history.runs(folders, targets, since))


def sizes(folders: Folders) -> list[float]:
    """The numbers of files that the next run is compared with."""
    return [files for files, _ in history.past(folders, "web1", "default")[0].values]


def aside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("history.db.broken-*"))


# ---- rows


def test_a_run_comes_back_as_it_was_told(folders) -> None:
    full = backup(
        *(3, 1.5, "weekly"),
        ended=9.25,
        duration=7.75,
        outcome="warning",
        reason="backup-slow",
        archive="a-1",
        compressed=2,
        deduplicated=1,
        received=4,
        sent=5,
        put_bytes=6,
        shrunken=2,
        slow=1,
    )
    bare = Run("web2", "hello", None, None, None, 2.0, None, None, "failed")
    assert add(folders, full, bare, now=9.0) is None
    assert rows(folders) == [full, bare]
    assert rows(folders, "web2") == [bare] and rows(folders, since=2.0) == [bare]
    assert rows(folders, "web1", "web3", since=2.0) == []


def test_more_rows_than_are_read_at_once_come_in_order(folders, monkeypatch) -> None:
    monkeypatch.setattr(history, "_PAGE", 3)
    add(folders, *(backup(number) for number in range(10)))
    assert [run.files for run in rows(folders, "web1")] == [*range(10)]


def test_the_file_is_its_owners_alone_and_nothing_stays_beside_it(folders, path) -> None:
    add(folders, backup())
    rows(folders)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(folders.state)) == ["history.db", "history.db.lock"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (history_file.VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("UPDATE runs SET slow = 0")
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("history.db-*")} == {0o600}


NUMBERS = [(0, 0), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, None), (10**400, None), (-1, None), (True, None)]


@pytest.mark.parametrize(("told", "kept"), [*NUMBERS, (1.5, None), ("7", None), (None, None), ([], None), ({}, None)])
def test_a_number_that_no_column_holds_is_unknown(folders, told, kept) -> None:
    assert history.number(told) == kept
    add(folders, backup(history.number(told), original=0))
    assert rows(folders)[0].files == kept


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_whatever_a_client_tells_is_a_harmless_word_or_none(told) -> None:
    for check in (history.word, history.archive):
        kept = check(told)
        assert kept is None or (kept == told and kept.isascii() and kept.isprintable() and len(kept) <= 200)
    kept = history.number(told)
    assert kept is None or 0 <= kept < 1 << 63


@pytest.mark.parametrize(
    "name", ["a\x1b[2J", "\ud83d", "a b", "", "x" * 201, "-a", "a/b", "a::b", 7, None, "a\n", "a\0"]
)
def test_an_archives_name_is_kept_where_a_gate_would_give_it(name) -> None:
    assert history.archive(name) is None and history.archive("web1-default-2026-11-30T02:30:01") is not None


# ---- 400 days, and clocks that jump


def test_a_row_is_kept_for_400_days(folders) -> None:
    add(folders, *(backup(days, NOW - days * DAY) for days in (401, 400, 399, 2, 0)), now=NOW - 401 * DAY)
    add(folders, backup(1))
    assert [run.files for run in rows(folders)] == [400, 399, 2, 0, 1]


def test_a_row_from_the_future_is_not_deleted_and_hides_none(folders) -> None:
    add(folders, backup(3, NOW + 1000 * DAY), *(backup(number, NOW - DAY) for number in range(10, 19)))
    assert [run.files for run in rows(folders)] == [3, *range(10, 19)]
    assert sizes(folders) == [*range(18, 9, -1), 3]
    add(folders, backup(19))
    assert sizes(folders) == [*range(19, 9, -1)], "the order is that in which they were recorded"


@pytest.mark.parametrize("ahead", [33, 390, 4000])
def test_a_clock_that_is_ahead_for_a_whole_run_of_all_targets_removes_nothing(folders, ahead) -> None:
    days = [399, 380, 200, 31, 30, 2, 1]
    add(folders, *(backup(ago, NOW - ago * DAY) for ago in days))
    wrong = NOW + ahead * DAY
    add(folders, *(backup(0, wrong + seconds) for seconds in range(3)), now=wrong + 3)
    add(folders, backup(0))
    assert [run.files for run in rows(folders)] == [*days, 0, 0, 0, 0]


def test_what_one_run_removes_is_bounded(folders, monkeypatch) -> None:
    monkeypatch.setattr(history, "_MOST_REMOVED", 2)
    add(folders, *(backup(number) for number in range(5)), backup(5, NOW + 998 * DAY))
    add(folders, backup(9), now=NOW + 1000 * DAY)
    assert [run.files for run in rows(folders)] == [2, 3, 4, 5, 9]


def test_an_end_before_the_begin_is_kept_as_it_was(folders) -> None:
    add(folders, backup(begun=NOW, ended=NOW - DAY))
    assert (rows(folders)[0].ended, rows(folders)[0].duration) == (NOW - DAY, 10.0)


@pytest.mark.parametrize("begun", [-1.0, 1e300, float("inf"), float("nan")])
def test_a_time_that_cannot_be_written_as_a_date_is_not_kept(folders, begun) -> None:
    with pytest.raises(HistoryUnusable, match="constraint failed"):
        add(folders, backup(begun=begun))
    assert rows(folders) == []


# ---- what a run is compared with


def test_only_good_backups_of_the_same_job_are_compared_with_and_the_last_ten(folders) -> None:
    others = [
        backup(1, outcome="failed"),
        backup(2, outcome="warning", reason="dry-run"),
        backup(3, job="weekly"),
        backup(4, target="web2"),
        backup(5, job=None),
        backup(None),
        backup(6, shrunken=RAISED, outcome="warning"),
    ]
    add(folders, *others, *(backup(number, outcome="warning") for number in range(20, 31)), *others)
    assert sizes(folders) == [*range(30, 20, -1)]
    durations = history.past(folders, "web1", "default")[1]
    assert len(durations.values) == history.MOST and not durations.accepted


def test_what_a_person_accepts_is_normal_and_what_was_before_counts_no_more(folders) -> None:
    add(folders, *[backup(100)] * 5, backup(10, shrunken=RAISED), backup(9, outcome="failed", shrunken=RAISED))
    assert sizes(folders) == [100] * 5
    assert history.accept(folders, WWW) is None and sizes(folders) == [100] * 5
    assert history.accept(folders, WEB1) is None
    window, durations = history.past(folders, "web1", "default")
    assert window == Window(((9, 900),), accepted=True)
    assert not durations.accepted and len(durations.values) == 6, "only the size was accepted"
    add(folders, backup(8), backup(7))
    assert sizes(folders) == [7, 8, 9]


def test_a_failed_run_that_names_its_size_does_not_stand_before_the_one_that_a_person_accepts(folders) -> None:
    add(folders, *[backup(100)] * 3, backup(9, shrunken=RAISED), backup(9, outcome="failed"))
    history.accept(folders, WEB1)
    assert sizes(folders) == [9]


def test_an_alert_from_before_the_backup_was_whole_again_makes_nothing_normal(folders) -> None:
    add(folders, *[backup(100)] * 3, backup(1, shrunken=RAISED), backup(100))
    history.accept(folders, WEB1)
    assert sizes(folders) == [100] * 4


def test_a_slow_run_is_accepted_apart_from_the_size(folders) -> None:
    add(folders, *[backup(100)] * 3, backup(100, slow=RAISED, duration=99.0), backup(None, outcome="failed"))
    history.accept(folders, WEB1)
    window, durations = history.past(folders, "web1", "default")
    assert len(window.values) == 4 and not window.accepted
    assert durations == Window(((99.0,),), accepted=True)
    assert [run.slow for run in rows(folders)] == [0, 0, 0, ACCEPTED, 0]


def test_nothing_is_known_without_a_file_and_none_is_made(folders) -> None:
    assert history.past(folders, "web1", "default") == (Window(), Window())
    assert rows(folders) == [] and history.accept(folders, WEB1) is None
    assert history.rename(folders, WEB1, WWW) is None and history.remove(folders, WEB1) is None
    assert not os.path.exists(folders.state)


# ---- rename, remove


def test_rows_go_along_with_a_target_that_is_renamed_and_go_with_one_that_is_removed(folders) -> None:
    add(folders, backup(1), backup(2, target="www"), backup(3, target="web11"))
    history.rename(folders, WEB1, WWW)
    assert [(run.target, run.files) for run in rows(folders)] == [("www", 1), ("web11", 3)], "www was removed before"
    history.remove(folders, WWW)
    assert [run.target for run in rows(folders)] == ["web11"]


# ---- a file in any state


def damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 5000)


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def of_others(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE runs (id INTEGER); PRAGMA user_version = 1")


def without_rows(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE runs")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_text("x")


def a_link(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_beside(path: Path) -> None:
    (path.parent / "elsewhere").write_text("precious")
    path.with_name("history.db-wal").symlink_to("elsewhere")


BROKEN = {
    "garbage": lambda path: damaged(path, os.urandom(9000)),
    "text": lambda path: damaged(path, b"web1: ok\n" * 2000),
    "empty": lambda path: damaged(path, b""),
    "header-only": lambda path: damaged(path, path.read_bytes()[:100]),
    **{make.__name__: make for make in (truncated, overwritten, of_others, without_rows, a_directory)},
    **{make.__name__: make for make in (a_link, a_dangling_link, a_fifo, a_link_beside)},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_put_aside_and_told_and_a_new_one_begins(folders, path, kind) -> None:
    add(folders, *[backup()] * 50)
    BROKEN[kind](path)
    before = path.lstat()
    told = add(folders, backup(1))
    (name,) = (file for file in aside(path) if not file.endswith(("-wal", "-shm")))
    assert told is not None and told.startswith(f"{path} was damaged (") and name in told
    assert (path.with_name(name).lstat().st_ino, path.with_name(name).lstat().st_mode) == (
        before.st_ino,
        before.st_mode,
    )
    assert [run.files for run in rows(folders)] == [1]
    assert stat.S_ISREG(path.lstat().st_mode) and stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert add(folders, backup(2)) is None and len(rows(folders)) == 2
    if kind == "a_link_beside":
        assert (path.parent / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize("kind", BROKEN)
def test_who_only_reads_a_broken_file_changes_nothing(folders, path, kind) -> None:
    add(folders, *[backup()] * 50)
    BROKEN[kind](path)
    if kind in ("truncated", "overwritten"):
        with pytest.raises(HistoryUnusable):
            rows(folders)
    else:
        with pytest.raises(HistoryUnusable, match="damaged"):
            history.past(folders, "web1", "default")
    assert aside(path) == []


def test_few_broken_files_are_kept_the_newest(folders, path, monkeypatch) -> None:
    add(folders, backup())
    for number in range(6):
        monkeypatch.setattr(history_replacement.time, "time", lambda number=number: NOW + number // 2)
        path.write_text(f"garbage {number}")
        assert add(folders, backup())
    assert len(aside(path)) == MOST_BROKEN
    assert [path.with_name(name).read_text() for name in aside(path)] == ["garbage 3", "garbage 4", "garbage 5"]


def test_what_somebody_keeps_in_a_directory_that_was_put_aside_stays(folders, path) -> None:
    path.with_name("history.db.broken-20200101T000000").mkdir()
    path.with_name("history.db.broken-20200101T000000").joinpath("mine").write_text("x")
    for _ in range(MOST_BROKEN):
        path.write_text("garbage")
        add(folders, backup())
    assert path.with_name("history.db.broken-20200101T000000").joinpath("mine").exists()


@pytest.mark.parametrize("version", [history_file.VERSION + 1, (1 << 31) - 1])
def test_a_newer_versions_file_is_left_alone_and_told(folders, path, version) -> None:
    add(folders, backup())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"ALTER TABLE runs ADD COLUMN more TEXT; PRAGMA user_version = {version}")
    before = path.read_bytes()
    for act in (lambda: add(folders, backup()), lambda: rows(folders), lambda: history.accept(folders, WEB1)):
        with pytest.raises(HistoryUnusable, match=rf"newer borgpull \(version {version}"):
            act()
    assert path.read_bytes() == before and aside(path) == []


@pytest.mark.parametrize("there", [True, False])
def test_on_a_full_disk_nothing_is_damaged_and_the_next_run_is_recorded(folders, path, there) -> None:
    if there:
        add(folders, backup(1))
    with full_disk(), pytest.raises(HistoryUnusable, match="history"):
        add(folders, backup(2))
    assert add(folders, backup(3)) is None
    assert [run.files for run in rows(folders)] == ([1, 3] if there else [3])
    assert [name for name in os.listdir(folders.state) if name.endswith(".new")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("options", ["size=256k", "size=256k,nr_inodes=9"])
def test_that_the_disk_is_full_is_told_also_to_who_only_reads(folders, path, options) -> None:
    assert machines.run(["mount", "-t", "tmpfs", "-o", options, "none", folders.state]).returncode == 0
    try:
        add(folders, backup(1))
        with contextlib.suppress(OSError), path.with_name("ballast").open("wb", buffering=0) as file:
            for number in itertools.count():
                path.with_name(f"file-{number}").touch() if "nr_inodes" in options else file.write(bytes(4096))
        for act in (lambda: rows(folders), lambda: add(folders, backup(2))):
            with pytest.raises(HistoryUnusable, match=r"history\.db: .* \(no space left on its disk\)"):
                act()
    finally:
        assert machines.run(["umount", folders.state]).returncode == 0


def test_a_broken_file_on_a_full_disk_is_told_with_its_new_name(folders, path) -> None:
    path.write_text("garbage")
    with full_disk(), pytest.raises(HistoryUnusable, match=r"the old one, which was damaged, is history\.db\.broken-"):
        add(folders, backup())
    assert add(folders, backup(1)) is None and len(rows(folders)) == 1


def test_a_log_without_its_file_is_not_taken_for_a_new_ones(folders, path) -> None:
    """What SQLite finds in such a log would be written over the new file."""
    add(folders, backup(1))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO runs SELECT NULL, * FROM (SELECT target, kind, job, command, run, begun, ended, "
            "duration, outcome, reason, archive, files, original, compressed, deduplicated, received, "
            "sent, put_bytes, shrunken, slow FROM runs)"
        )
        connection.commit()
        log = path.with_name("history.db-wal").read_bytes()
    path.unlink()
    path.with_name("history.db-wal").write_bytes(log)
    assert add(folders, backup(2)) is None
    assert [run.files for run in rows(folders)] == [2] and [name[-4:] for name in aside(path)] == ["-wal"]


# ---- others at the same time

WRITER = """
import sys
from borgctl.pull.state import history
from borgctl.pull.targets.paths import Folders
folders = Folders("/nonexistent", sys.argv[1])
for number in range(int(sys.argv[2])):
    run = history.Run("web1", "run", sys.argv[3], None, None, float(number), None, None, "ok")
    print(history.append(folders, run, 0.0), flush=True)
"""


def writer(folders: Folders, times: int, job: str) -> subprocess.Popen:
    argv = [sys.executable, "-c", WRITER, folders.state, str(times), job]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("content", [None, b"garbage" * 1000])
def test_launchers_that_write_at_once_lose_no_row_and_replace_a_broken_file_once(folders, path, content) -> None:
    if content is not None:
        path.write_bytes(content)
    writers = [writer(folders, 20, f"job-{number}") for number in range(3)]
    told = [line for process in writers for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in writers] == [0, 0, 0]
    assert len(rows(folders)) == len(told) == 60
    assert len([line for line in told if line != "None"]) == len(aside(path)) == (0 if content is None else 1)


def test_a_file_that_another_launcher_puts_aside_just_now_is_no_fault(folders, path, monkeypatch) -> None:
    add(folders, backup(1))
    look = history_file.identity

    def look_before_it_goes(folders: Folders) -> object:
        seen = look(folders)
        monkeypatch.setattr(history_file, "identity", look)
        path.rename(f"{path}.broken-20261130T023000")
        return seen

    monkeypatch.setattr(history_file, "identity", look_before_it_goes)
    assert add(folders, backup(2)) is None
    assert sizes(folders) == [2]


def test_who_holds_the_file_for_long_is_told_and_not_waited_for(folders, path, monkeypatch) -> None:
    monkeypatch.setattr(history_file, "PATIENCE", 0.1)
    add(folders, backup(1))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnusable, match="database is locked"):
            add(folders, backup(2))
        assert sizes(folders) == [1], "whoever reads waits for nobody"
    assert add(folders, backup(3)) is None


def test_who_holds_the_lock_of_replacement_is_not_waited_for_either(folders, path, monkeypatch) -> None:
    monkeypatch.setattr(history_replacement, "PATIENCE", 0.1)
    path.write_text("garbage")
    with history_replacement._lock(folders), pytest.raises(HistoryUnusable, match="another borgpull replaces it"):
        add(folders, backup())


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_leaves_whole_rows(folders, path) -> None:
    for number in range(12):
        process = writer(folders, 100_000, f"job-{number}")
        process.stdout.readline()
        time.sleep(0.01 * number)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(rows(folders))
        assert add(folders, backup(number), now=0.0) is None and len(rows(folders)) == before + 1
    assert aside(path) == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("step", ["rename", "create"])
def test_a_launcher_that_dies_while_it_replaces_a_file_leaves_what_the_next_one_can_use(
    folders, path, monkeypatch, step
) -> None:
    path.write_text("garbage")
    path.with_name("history.db-wal").write_text("log")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    real = os.rename
    with monkeypatch.context() as patch:
        if step == "create":
            patch.setattr(atomic, "create", die)
        else:
            patch.setattr(os, "rename", lambda old, new: die() if str(old).endswith(".db") else real(old, new))
        with pytest.raises(KeyboardInterrupt):
            add(folders, backup())
    add(folders, backup(1))
    assert [run.files for run in rows(folders)] == [1]


# ---- rights


def mounted_read_only(place: str) -> contextlib.ExitStack:
    """Make a directory read-only, also for root, until the stack is closed."""
    stack = contextlib.ExitStack()
    assert machines.run(["mount", "--bind", place, place]).returncode == 0
    stack.callback(lambda: machines.run(["umount", place]))
    assert machines.run(["mount", "-o", "remount,bind,ro", place]).returncode == 0
    return stack


def test_in_a_directory_that_is_read_only_rows_can_be_read_and_writing_is_told(folders, path) -> None:
    add(folders, backup(1))
    with mounted_read_only(folders.state):
        assert [run.files for run in rows(folders)] == [1] and sizes(folders) == [1]
        with pytest.raises(HistoryUnusable, match=r"history\.db"):
            add(folders, backup(2))
    assert add(folders, backup(3)) is None and [run.files for run in rows(folders)] == [1, 3]


def test_without_a_file_a_directory_that_is_read_only_is_told(folders, path) -> None:
    with mounted_read_only(folders.state), pytest.raises(HistoryUnusable, match="Read-only"):
        add(folders, backup())
