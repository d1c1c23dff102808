"""borgpull history, and what other commands do to a target's rows."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from borgctl.pull.state import history, history_file
from borgctl.pull.state.history import ACCEPTED, RAISED, Run
from borgctl.text import iso

NOW = time.time()
FULL = Run(
    *("web1", "run", "default", "create", "0a1b2c3d4e5f6071", NOW - 3600.5, NOW - 3600, 0.5),
    outcome="warning",
    reason="backup-shrunken",
    archive="web1-default-1",
    files=7,
    original=1_234_567,
    compressed=1_000_000,
    deduplicated=4000,
    received=5000,
    sent=600,
    put_bytes=4500,
    shrunken=ACCEPTED,
    slow=RAISED,
)
BARE = Run("web2", "hello", None, None, None, NOW - 5 * 86400, None, None, "failed", "ssh-failed")


@pytest.fixture
def rows(world) -> None:
    """Two targets with a row each, and one without."""
    for name in ("web1", "web2", "web3"):
        world.local([], name=name)
    for run in (BARE, FULL):
        history.append(world.folders, run, NOW)


def test_a_table_for_people_has_a_row_for_each_run_the_newest_last(world, borgpull, rows) -> None:
    status, out, err = borgpull("history")
    head, bare, full = out.splitlines()
    assert (status, err) == (0, "")
    assert head.split() == [
        *["begun", "target", "and", "job", "outcome", "files", "original", "new", "put", "took", "reason,", "archive"]
    ]
    assert bare.split()[1:] == ["web2", "hello", "failed", *"-----", "ssh-failed"]
    words = "web1 default warning 7 1.2 MB 4.0 kB 4.5 kB 1 s backup-shrunken, accepted, web1-default-1"
    assert full.split()[1:] == words.split()
    assert head.index("outcome") == bare.index("failed") == full.index("warning")


def test_json_has_all_that_is_known_one_object_a_line(world, borgpull, rows) -> None:
    first, second = map(json.loads, borgpull("history", "--all", "--json")[1].splitlines())
    alerts = [{"reason": "backup-shrunken", "accepted": True}, {"reason": "backup-slow", "accepted": False}]
    expected = FULL._asdict() | {"begun": iso(NOW - 3600.5), "ended": iso(NOW - 3600), "alerts": alerts}
    assert second == {name: value for name, value in expected.items() if name not in ("shrunken", "slow")}
    assert (first["job"], first["ended"], first["duration"], first["alerts"]) == (None, None, None, [])


def test_targets_and_a_time_choose(world, borgpull, rows) -> None:
    def chosen(*words: str) -> list[str]:
        status, out, err = borgpull("history", "--json", *words)
        assert (status, err) == (0, "")
        return [json.loads(line)["target"] for line in out.splitlines()]

    assert chosen("web1") == ["web1"] and chosen("web2", "web1", "web2") == ["web2", "web1"]
    assert chosen("web3") == [] and chosen("--since", "1d") == ["web1"] and chosen("--since", "14d") == ["web2", "web1"]
    assert chosen("--since", "2000-01-01") == ["web2", "web1"] and chosen("--since", "2999-01-01 10:00") == []


@pytest.mark.parametrize(
    "words", [("--since", "x"), ("--since", "0001-01-01"), ("nosuch",), ("web1", "--all"), ("-x",)]
)
def test_what_is_no_target_or_no_time_is_an_error(world, borgpull, rows, words) -> None:
    status, out, err = borgpull("history", *words)
    assert status == 2 and out == "" and err and "Traceback" not in err


def test_without_a_run_nothing_is_printed_and_no_file_made(world, borgpull) -> None:
    world.local([])
    assert borgpull("history") == (0, "", "") and not os.path.exists(world.folders.history)


@pytest.mark.parametrize("content", ["garbage", None])
def test_a_broken_file_is_an_error_and_stays(world, borgpull, rows, content) -> None:
    path = Path(world.folders.history)
    path.unlink()
    path.mkdir() if content is None else path.write_text(content)
    status, out, err = borgpull("history")
    assert (status, out) == (2, "") and err.startswith(f"error: {path}: damaged (") and "Traceback" not in err
    assert "hint: the next run puts it aside and begins a new one" in err and path.exists()


def test_values_that_somebody_wrote_into_the_file_are_escaped(world, borgpull, rows) -> None:
    with contextlib.closing(sqlite3.connect(world.folders.history)) as connection:
        connection.execute(
            "UPDATE runs SET archive = 'a' || char(27) || '[2J' || char(0x202e), reason = char(10) || 'x'"
        )
        connection.commit()
    out = borgpull("history")[1]
    assert r"\nx, accepted, a\x1b[2J\u202e" in out and len(out.splitlines()) == 3


def test_who_reads_no_more_ends_it_quietly(world, rows) -> None:
    more = "INSERT INTO runs (target, kind, begun, outcome, shrunken, slow) VALUES ('web1', 'run', 1, 'ok', 0, 0)"
    history_file.write(world.folders, lambda connection: connection.executemany(more, [()] * 5000) and None)
    with world.start("history", "--json") as shown:
        shown.stdout.readline()
        shown.stdout.close()
        assert shown.stderr.read() == b"" and shown.wait(60) != 0


def test_root_reads_the_history_of_another_user_and_leaves_nothing_of_its_own(world, borgpull, rows) -> None:
    other, state = 12345, Path(world.folders.state)
    world.root.chmod(0o755)  # that user can reach what is theirs
    for path in (state, *state.iterdir()):
        os.chown(path, other, other)

    def owners(connection: sqlite3.Connection) -> list[int]:
        connection.execute("SELECT * FROM runs").fetchone()
        assert Path(f"{world.folders.history}-wal").exists()
        return [path.stat().st_uid for path in state.iterdir()]

    assert {*history_file.read(world.folders, owners)} == {other}
    assert borgpull("history")[0] == 0 and {path.stat().st_uid for path in state.iterdir()} == {other}


def test_nothing_that_starts_a_run_has_imported_sqlite(world) -> None:
    """It takes longer than all that a run needs of the history before ssh and serve have been started."""
    script = (
        "import sys, borgctl.pull.app, borgctl.pull.run.run; print('sqlite3' in sys.modules, '_sqlite3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_renamed_target_keeps_its_runs_and_a_removed_one_leaves_none(world, borgpull, rows) -> None:
    assert borgpull("rename", "web1", "www")[::2] == (0, "")
    assert [json.loads(line)["target"] for line in borgpull("history", "--json")[1].splitlines()] == ["web2", "www"]
    assert borgpull("remove", "www")[::2] == (0, "")
    assert [json.loads(line)["target"] for line in borgpull("history", "--json")[1].splitlines()] == ["web2"]


def test_a_target_is_renamed_and_removed_whatever_the_history_is_like_and_a_person_is_told(
    world, borgpull, rows
) -> None:
    with contextlib.closing(sqlite3.connect(world.folders.history)) as connection:
        connection.execute("PRAGMA user_version = 7")
    status, _, err = borgpull("rename", "web1", "www")
    assert status == 0 and err.startswith("www: warning: the history of runs cannot be used: ")
    status, _, err = borgpull("remove", "www")
    assert status == 0 and err.startswith("www: warning: the history of runs cannot be used: ")
    Path(world.folders.history).write_text("garbage")
    status, _, err = borgpull("remove", "web2")
    assert status == 0 and "is history.db.broken-" in err
