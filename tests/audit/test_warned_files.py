"""The list of files that borg warned about: beside the log, with its mode, bounded, and nothing depends on it."""

import json
import os
import stat

import pytest

from borgctl.audit.warned_files import MOST_RUNS, WarnedFiles


@pytest.fixture
def above(tmp_path):
    (tmp_path / "audit.jsonl").touch(0o640)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def listed(above, *warnings, run="0" * 16):
    with WarnedFiles(above, "audit.jsonl", run) as files:
        for warning in warnings:
            files.add(*warning)
    return files.listed


def test_every_warning_is_a_line(above, tmp_path):
    assert listed(above, ("vanished", "src/a"), ("unreadable", "src/j\udcf6rg\n\x1b")) == 2
    lines = (tmp_path / "audit.jsonl.files" / ("0" * 16)).read_bytes().splitlines()
    assert list(map(json.loads, lines)) == [
        {"kind": "vanished", "text": "src/a"},
        {"kind": "unreadable", "text": "src/j\udcf6rg\n\x1b"},
    ]


def test_a_run_without_warnings_leaves_nothing(above, tmp_path):
    assert listed(above) == 0
    assert os.listdir(tmp_path) == ["audit.jsonl"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_it_has_the_rights_of_the_log_and_nobody_else_may_write_it(above, tmp_path, mode):
    (tmp_path / "audit.jsonl").chmod(mode)
    listed(above, ("other", "x"))
    directory = tmp_path / "audit.jsonl.files"
    assert stat.S_IMODE((directory / ("0" * 16)).stat().st_mode) == mode & 0o644
    assert stat.S_IMODE(directory.stat().st_mode) == {0o600: 0o700, 0o640: 0o750, 0o666: 0o755}[mode]


def test_a_list_is_bounded_and_says_how_much_of_it_there_is(above, tmp_path):
    with WarnedFiles(above, "audit.jsonl", "1" * 16, room=1000) as files:
        for _ in range(100):
            files.add("vanished", "x" * 100)
    assert 0 < files.listed < 10
    assert (tmp_path / "audit.jsonl.files" / ("1" * 16)).stat().st_size <= 1000


def test_the_oldest_lists_go(above, tmp_path):
    for number in range(MOST_RUNS + 3):
        listed(above, ("other", "x"), run=f"{number:016x}")
        os.utime(tmp_path / "audit.jsonl.files" / f"{number:016x}", (number, number))
    left = sorted(os.listdir(tmp_path / "audit.jsonl.files"))
    assert left == [f"{number:016x}" for number in range(3, MOST_RUNS + 3)]


def test_what_cannot_be_written_is_not_listed_and_harms_nothing(above, tmp_path):
    assert listed(None, ("other", "x")) == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "audit.jsonl.files").symlink_to(tmp_path / "elsewhere")
    assert listed(above, ("other", "x")) == 0
    assert os.listdir(tmp_path / "elsewhere") == []
    (tmp_path / "audit.jsonl.files").unlink()
    (tmp_path / "audit.jsonl.files").touch()
    assert listed(above, ("other", "x")) == 0
