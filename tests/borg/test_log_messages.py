"""Real log lines of both borgs, and a server's messages, which prove nothing."""

import json

import pytest

from borgctl.borg.log_messages import DAMAGED, BorgLog


def message(text, level="WARNING", **more):
    return json.dumps({"type": "log_message", "time": 1.5, "message": text, "levelname": level, **more})


def heard(command, *lines):
    kept = []
    log = BorgLog(command, lambda *warning: kept.append(warning))
    for line in lines:
        log.take(line)
    return log, kept


def test_warnings_of_create_are_counted_by_kind_and_handed_on():
    texts = [f"src/v{number}: open: [Errno 2] No such file or directory: 'v{number}'" for number in range(703)]
    lines = [*map(message, texts), message("src/x: whatever", msgid="BackupPermissionError"), message("odd")]
    log, kept = heard("create", *lines)
    assert log.warnings == {"vanished": 703, "unreadable": 1, "other": 1}
    assert kept[0] == ("vanished", texts[0]) and len(kept) == 705


@pytest.mark.parametrize(
    "line",
    [
        message("Remote: src/a: file changed while we backed it up"),  # the server's words
        message("Remote: x", msgid="BackupFileNotFoundError"),
        message("Creating archive", "INFO"),
        message("x", "ERROR"),
        message(["x"]),
        message("x", msgid=["x"]),
        '{"type": "log_message"',
        '"log_message"',
        '{"type": "file_status", "message": "log_message", "levelname": "WARNING"}',
        '{"type": "log_message", "message": "x", "levelname": ["WARNING"]}',
        "[" * 100_000 + '"log_message"',
        "",
    ],
)
def test_whatever_else_is_no_warning_about_a_file(line):
    log, kept = heard("create", line)
    assert (log.warnings, kept) == ({}, [])


def test_only_create_reads_files():
    assert heard("check", message("x", msgid="BackupFileNotFoundError"))[0].warnings == {}


DAMAGE = message("Data integrity error: Segment entry checksum mismatch", "ERROR", msgid="IntegrityError")
TRACE = "Traceback (most recent call last):\n  File …\n{}: [Errno 28] No space left on device\n\nDuring handling of …"
FULL = message(TRACE.format("OSError"), "ERROR")
FOUND = message("Remote: Index object count mismatch.", "ERROR", name="borg.repository")


@pytest.mark.parametrize(
    ("command", "lines", "status", "expected"),
    [
        ("check", [FOUND], 1, DAMAGED),  # the repository, or archives with all their chunks
        ("check", [], 1, DAMAGED),
        ("check", [], 0, None),
        ("check", [DAMAGE], 2, DAMAGED),  # 1.2: an archive's metadata
        ("check", [DAMAGE], 90, DAMAGED),  # 1.4
        ("check", [message("no such lock", "ERROR", msgid="LockTimeout")], 2, None),
        ("create", [DAMAGE], 2, DAMAGED),
        ("create", [message("x", "ERROR", msgid="Repository.ObjectNotFound")], 17, DAMAGED),
        ("create", [message("x", "ERROR", msgid="Repository.CheckNeeded")], 12, DAMAGED),
        ("create", [DAMAGE], 0, None),
        ("create", [message("x")], 1, None),
        ("create", [FULL], 2, "no-space"),
        ("create", [DAMAGE, FULL], 2, DAMAGED),
        ("create", [FULL], 1, None),
        ("create", [message("Remote: " + TRACE.format("OSError"), "ERROR")], 2, None),
        ("create", [message(TRACE.format("Borg server: OSError"), "ERROR")], 2, None),
        ("create", [message(TRACE.format("OSError"), "ERROR", msgid="OSError")], 2, None),  # the server's disk is full
        ("list", [message("Remote: x", "ERROR", msgid="IntegrityError")], 2, None),
    ],
)
def test_damage_is_what_check_says_or_what_borg_broke_off_for(command, lines, status, expected):
    assert heard(command, *lines)[0].reason(status) == expected


def test_the_first_errors_are_kept_and_no_more():
    trace = message("Traceback (most recent call last):\n  File …", "ERROR")
    log, _ = heard("check", trace, *(message(f"{number} {'x' * 1000}", "ERROR") for number in range(1000)))
    assert [line[:2] for line in log.errors] == ["0 ", "1 ", "2 ", "3 ", "4 "]
    assert max(map(len, log.errors)) == 300
