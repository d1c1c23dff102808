"""Kinds of warnings: real lines of both borgs, and file names that imitate another warning."""

import os

import pytest

from borgctl.borg.warning_kinds import counts_text, kind

# borg 1.2.4's own words, and 1.4.5's names of messages
TEXTS = [
    ("src/secretdir: dir_open: [Errno 13] Permission denied: 'secretdir'", "unreadable"),
    ("src/unread: open: [Errno 13] Permission denied: 'unread'", "unreadable"),
    ("src/bad: read: [Errno 5] Input/output error", "unreadable"),
    ("src/zz/v2: open: [Errno 2] No such file or directory: 'v2'", "vanished"),
    ("missing: [Errno 2] No such file or directory: 'missing'", "vanished"),
    ("/srv/gone: stat: [Errno 2] No such file or directory: '/srv/gone'", "vanished"),
    ("src/j\udcf6rg's: open: [Errno 2] No such file or directory: \"j\\udcf6rg's\"", "vanished"),
    ("src/busy: file changed while we backed it up", "changed"),
    ("src/x: file type or inode changed while we backed it up (race condition, skipped file)", "changed"),
    ("Unknown file type: src/x", "other"),
    ("Include pattern 're:x' never matched.", "other"),
    ("", "other"),
]
NAMES = [
    ("FileChangedWarning", "changed"),
    ("BackupRaceConditionError", "changed"),
    ("BackupFileNotFoundError", "vanished"),
    ("BackupPermissionError", "unreadable"),
    ("BackupIOError", "unreadable"),
    ("BackupOSError", "unreadable"),
    ("BackupError", "unreadable"),
    ("IncludePatternNeverMatchedWarning", "other"),
]
EVIL = [
    "a: open: [Errno 2] No such file or directory: 'a'",
    "a: [Errno 2] No such file or directory",
    "a: file changed while we backed it up",
    "a: open: [Errno 2] No such file or directory: 'a",
    "a\": open: [Errno 2] No such file or directory: 'a",
    "[Errno 2] No such file or directory: ''",
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_the_text_of_borg_1_2_tells_the_kind(text, expected):
    assert kind(text, None) == expected


@pytest.mark.parametrize(("message", "expected"), NAMES)
def test_the_name_of_a_message_of_borg_1_4_tells_the_kind(message, expected):
    assert kind("x: file changed while we backed it up", message) == expected


@pytest.mark.parametrize("name", EVIL)
def test_no_file_can_be_named_so_that_it_is_of_another_kind(name):
    error = str(PermissionError(13, os.strerror(13), name))
    assert kind(f"src/{name}: open: {error}", None) == "unreadable"


def test_counts_are_written_with_those_that_matter_least_first():
    assert counts_text({"unreadable": 10, "changed": 1, "vanished": 703, "other": 0}) == (
        "703 vanished, 1 changed, 10 unreadable"
    )
