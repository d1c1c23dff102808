"""Each run is recorded, and compared with those before it: a stand-in for the gate tells the sizes."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from machines import wait_for

from borgctl.pull.report import trends
from borgctl.pull.report.outcome import exit_status
from borgctl.pull.state import history, state_file
from borgctl.pull.state.history import ACCEPTED, RAISED, Run
from borgctl.pull.targets.paths import TargetName, lock

NAME = TargetName("web1")
NOW = time.time()


def archived(files: object, original: object = 1000, **more: object) -> str:
    """What borg prints of an archive."""
    stats = {"nfiles": files, "original_size": original, "compressed_size": 500, "deduplicated_size": 20}
    return json.dumps({"archive": {"name": "web1-default-1", "stats": stats | more}})


def told(world, *lines: str, ends: str = "ok", **keys: object) -> list:
    """Run a target whose client prints these lines as borg's result."""
    steps = [["start"], *(["out", line] for line in lines), ["exit", ends, 0 if ends == "ok" else 1]]
    return world.run(world.local(steps, borg=world.quiet_serve(), **keys))


def run(world, files: object, original: object = 1000) -> tuple[str, str | None, list[str]]:
    """Make one backup; return its outcome, its reason, and the reasons of its alerts."""
    (report,) = told(world, archived(files, original))
    return report.verdict.outcome, report.verdict.reason, [alert.reason for alert in report.alerts]


def rows(world) -> list[Run]:
    return list(history.runs(world.folders, (), None))


def earlier(world, *files: int, **more: object) -> None:
    """Record good runs as if they had been made."""
    for number in files:
        fields = {"duration": 100.0, "outcome": "ok", "files": number, "original": 1000} | more
        history.append(world.folders, Run("web1", "run", "default", "create", None, NOW, ended=NOW, **fields), NOW)


ALL_IS_WELL = ("ok", None, [])
SMALL = ("warning", "backup-shrunken", ["backup-shrunken"])


def test_a_run_is_recorded_with_all_that_is_known_of_it(world) -> None:
    begun = time.time()
    assert run(world, 7) == ALL_IS_WELL
    (row,) = rows(world)
    assert begun <= row.begun <= row.ended <= time.time() and 0 < row.duration < row.ended - begun + 1
    assert row[:5] == ("web1", "run", "default", "create", None)
    assert (row.outcome, row.reason, row.archive) == ("ok", None, "web1-default-1")
    assert (row.files, row.original, row.compressed, row.deduplicated) == (7, 1000, 500, 20)
    assert row.put_bytes > 0 and row.received > row.put_bytes and row.sent is None, "no ssh, so nothing was sent by it"
    assert os.stat(world.folders.history).st_mode & 0o777 == 0o600


def test_a_shrunken_backup_is_a_warning_and_an_alert_until_a_person_accepts_it(world, borgpull) -> None:
    for _ in range(3):
        assert run(world, 100) == ALL_IS_WELL
    assert run(world, 49) == run(world, 40) == SMALL
    screen = world.screen.getvalue()
    assert "web1 default: warning (launcher: backup-shrunken, status 0), 49 files" in screen
    assert "job default: 49 files, 1.0 kB; the last 3 good runs had 100 files, 1.0 kB (median)" in screen
    assert "hint: the backup was made, and is empty, or less than half as large as usual" in screen
    assert [row.shrunken for row in rows(world)] == [0, 0, 0, RAISED, RAISED]
    status, out, _ = borgpull("status")
    assert status == 2 and "ALERT: backup-shrunken: job default: 49 files" in out and ", 2 times)" in out
    assert borgpull("accept", "web1", "--reason", "moved away")[0] == 0
    assert rows(world)[-1].shrunken == ACCEPTED
    assert run(world, 20) == run(world, 40) == ALL_IS_WELL
    assert run(world, 19) == SMALL, "half of 40, the median of 40, 20 and 40"


def test_a_backup_without_a_file_is_a_warning_even_if_it_is_the_first(world, borgpull) -> None:
    assert run(world, 0) == run(world, 0) == SMALL
    borgpull("accept", "web1", "--reason", "nothing there yet")
    assert run(world, 0) == run(world, 5) == ALL_IS_WELL


def test_what_is_empty_on_purpose_after_it_was_full_stays_accepted(world, borgpull) -> None:
    for _ in range(3):
        run(world, 100)
    assert run(world, 0) == ("failed", "nothing-backed-up", ["nothing-backed-up"])
    borgpull("accept", "web1", "--reason", "emptied")
    assert run(world, 0) == run(world, 0) == ALL_IS_WELL


def test_a_slow_backup_is_a_warning_and_an_alert(world, monkeypatch) -> None:
    monkeypatch.setattr(trends, "_NEVER_SLOW", 0.0)
    earlier(world, 7, 7, 7, duration=0.001)
    assert run(world, 7) == ("warning", "backup-slow", ["backup-slow"])
    assert rows(world)[-1].slow == RAISED and "job default: took 0 s" not in rows(world)[-1].reason
    assert state_file.load(world.folders, NAME).jobs["default"].good is not None


def test_both_at_once_are_two_alerts_and_one_reason(world, monkeypatch) -> None:
    monkeypatch.setattr(trends, "_NEVER_SLOW", 0.0)
    earlier(world, 7, 7, 7, duration=0.001)
    assert run(world, 1) == ("warning", "backup-shrunken", ["backup-shrunken", "backup-slow"])


def test_only_a_job_that_saves_is_slow(world, monkeypatch) -> None:
    monkeypatch.setattr(trends, "_NEVER_SLOW", 0.0)
    earlier(world, 7, 7, 7, duration=0.001)
    jobs = "{default: {kind: read}}"
    steps = [["start", "check"], ["exit", "ok", 0]]
    (report,) = world.run(world.local(steps, borg=world.quiet_serve(), jobs=jobs))
    assert report.verdict.reason is None and report.alerts == ()


def test_a_failed_run_is_recorded_and_compared_with_nothing(world) -> None:
    earlier(world, 100, 100, 100)
    (report,) = told(world, archived(1), ends="failed")
    assert report.verdict.outcome == "failed" and report.alerts == ()
    assert (rows(world)[-1].outcome, rows(world)[-1].files, rows(world)[-1].shrunken) == ("failed", 1, 0)
    assert len(history.past(world.folders, "web1", "default")[0].values) == 3


def test_a_dry_run_is_no_backup(world) -> None:
    earlier(world, 100, 100, 100)
    steps = [
        ["start"],
        ["out", archived(1)],
        ["say", "exit", {"outcome": "ok", "origin": "borg", "code": 0, "reason": "dry-run"}],
        ["status", 0],
    ]
    (report,) = world.run(world.local(steps, borg=world.quiet_serve()))
    assert report.verdict.reason == "dry-run" and report.alerts == ()
    assert len(history.past(world.folders, "web1", "default")[0].values) == 3


# ---- what a client tells


LIES = [
    archived(1 << 63),
    archived(-1),
    archived("7"),
    archived(7.5),
    archived(True),
    archived(None),
    archived(7, 10**400),
    json.dumps({"archive": {"name": 7, "stats": []}}),
    json.dumps({"archive": "\x1b[2J"}),
    "[" * 5000,
]


@pytest.mark.parametrize("line", LIES, ids=range(len(LIES)))
def test_impossible_numbers_are_unknown_ones_and_no_run_is_the_worse_for_them(world, line) -> None:
    earlier(world, 100, 100, 100)
    (report,) = told(world, line)
    row = rows(world)[-1]
    assert report.verdict.outcome == "ok" == row.outcome
    assert (row.files, row.original, row.deduplicated) == (None, None, None)
    assert row.put_bytes > 0, "what the guard counted is known all the same"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("web1-2026", "web1-2026"), ("\x1b[2J", None), ("\ud800", None), ("a\0b", None), ("x" * 5000, None), (7, None)],
)
def test_an_archives_name_that_no_gate_would_give_is_unknown(world, name, kept) -> None:
    line = json.loads(archived(7))
    line["archive"]["name"] = name
    line["archive"]["stats"]["compressed_size"] = "9"
    told(world, json.dumps(line))
    assert (rows(world)[-1].archive, rows(world)[-1].compressed, rows(world)[-1].files) == (kept, None, 7)


def test_the_largest_numbers_that_a_column_holds_are_kept_and_printed(world, borgpull) -> None:
    most = (1 << 63) - 1
    assert run(world, most, most) == ALL_IS_WELL
    assert (rows(world)[-1].files, rows(world)[-1].original) == (most, most)
    assert f"{most}  9223.4 PB" in borgpull("history")[1]


def test_no_reason_that_a_client_gives_is_taken_for_an_alert_of_ours(world) -> None:
    """Else what it calls empty could be accepted, and be the usual size."""
    steps = [["start"], ["out", archived(1)], ["refuse", "failed", 1, "nothing-backed-up"]]
    world.run(world.local(steps, borg=world.quiet_serve()))
    assert (rows(world)[-1].reason, rows(world)[-1].shrunken) == ("nothing-backed-up", 0)


# ---- no history, no worse


def broken(world) -> str:
    Path(world.folders.history).write_text("garbage")
    return "history.db was damaged (file is not a database): it is history.db.broken-"


def newer(world) -> str:
    with closing(sqlite3.connect(world.folders.history)) as connection:
        connection.execute("PRAGMA user_version = 7")
    return "the history of runs cannot be used: "


def locked(world) -> str:
    world.holder = sqlite3.connect(world.folders.history, isolation_level=None)
    world.holder.execute("BEGIN IMMEDIATE")
    return "history.db: database is locked"


def unwritable(world) -> str:
    os.unlink(world.folders.history)
    Path(f"{world.folders.history}.lock").unlink()
    Path(f"{world.folders.history}.lock").mkdir()
    return "history.db.lock: Is a directory"


@pytest.mark.parametrize("damage", [broken, newer, locked, unwritable])
def test_no_state_of_the_history_keeps_a_backup_from_being_made_and_each_is_told(world, damage) -> None:
    world.holder = None
    earlier(world, 100, 100, 100)
    text = damage(world)
    (report,) = told(world, archived(100))
    assert (report.verdict.outcome, report.alerts) == ("ok", ())
    assert exit_status([report.verdict.outcome]) == 0
    (message,) = [one for one in report.transcript.messages if one.source == "borgpull"]
    assert message.level == "WARNING" and text in message.text
    assert f"borgpull: warning: {message.text}" in world.screen.getvalue()
    assert state_file.load(world.folders, NAME).jobs["default"].good is not None
    if world.holder is not None:
        world.holder.close()


def test_no_flood_of_messages_hides_that_the_history_is_broken(world) -> None:
    os.makedirs(world.folders.state)
    text = broken(world)
    flood = ["flood", "noise\n", 1100]
    world.run(world.local([["start"], flood, ["exit", "ok", 0]], borg=world.quiet_serve()))
    assert text in world.screen.getvalue()


def test_a_history_that_was_lost_knows_no_usual_size_until_three_more_runs(world) -> None:
    earlier(world, 100, 100, 100)
    os.unlink(world.folders.history)
    assert run(world, 1) == run(world, 100) == run(world, 100) == ALL_IS_WELL
    assert run(world, 1) == SMALL


def test_a_person_can_accept_an_alert_whatever_the_history_is_like_and_is_told(world, borgpull) -> None:
    earlier(world, 100, 100, 100)
    assert run(world, 1) == SMALL
    newer(world)
    status, out, err = borgpull("accept", "web1", "--reason", "x")
    assert status == 0 and "web1: accepted: ALERT: backup-shrunken" in out
    assert err.startswith("web1: warning: the history of runs cannot be used: ") and "newer borgpull" in err
    assert state_file.load(world.folders, NAME).alerts == {}


# ---- what is no backup


def test_a_run_that_does_not_begin_is_recorded_too(world, borgpull) -> None:
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    with lock(world.folders, NAME):
        assert borgpull("run", "web1")[0] == 2
    assert [(*row[:3], row.outcome, row.reason) for row in rows(world)] == [
        ("web1", "run", None, "busy", "target-busy")
    ]


def test_a_target_that_cannot_be_used_is_recorded_and_a_mistyped_name_is_not(world, borgpull) -> None:
    world.local([], borg=world.quiet_serve())
    Path(world.folders.target(NAME)).write_text("bogus: 1\n")
    assert borgpull("run", "web1")[0] == borgpull("run", "web2")[0] == borgpull("run", "../x")[0] == 2
    assert [(row.target, row.outcome, row.reason) for row in rows(world)] == [("web1", "failed", "target-invalid")]


def test_a_client_that_offers_nothing_is_recorded(world) -> None:
    world.run(world.local({"hello": [["hello"]]}, jobs=None, borg=world.quiet_serve()))
    assert [(*row[1:3], row.outcome, row.reason) for row in rows(world)] == [("hello", None, "failed", "no-jobs")]


def test_a_run_that_broke_off_is_recorded_by_the_next_one(world) -> None:
    note = world.root / "there"
    world.local([["start"], ["note", str(note)], ["sleep", 60]], borg=world.quiet_serve())
    launcher = world.start("run", "web1")
    wait_for(note.exists, 30)
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate(timeout=60)
    assert rows(world) == []
    run(world, 7)
    first, second = rows(world)
    assert (first.job, first.outcome, first.reason, first.ended, first.duration) == (
        *("default", "failed", "broken-off"),
        *(None, None),
    )
    assert first.begun < second.begun and second.outcome == "ok"


def test_a_window_is_recorded_as_one(world, borgpull) -> None:
    steps = {"window": [["say", "start", {"command": "window"}], ["claim", "ok", 0]], "run": []}
    world.local(steps, borg=world.quiet_serve())
    borgpull("window", "web1", "--for", "5s")
    (row,) = rows(world)
    assert (row.kind, row.job, row.files) == ("window", None, None)
