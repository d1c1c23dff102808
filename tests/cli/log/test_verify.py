"""`borgctl audit verify` finds every change, removal, addition, move and cut; a crash or a clock looks different."""

import json
import os
import shutil
import signal
import subprocess

import programs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from borgctl.audit.chain import digest
from borgctl.audit.log import Log
from borgctl.cli.app import app
from borgctl.cli.log.verify import verify as verify_logs
from borgctl.values import Head


def written(path, count=9, **more):
    log = Log.open(str(path), syslog=False)
    heads = [log.append({"type": "exit", "n": number, **more}) for number in range(count)]
    log.close()
    return heads


@pytest.fixture
def path(tmp_path):
    (tmp_path / "log").mkdir(mode=0o700)
    return tmp_path / "log/audit.jsonl"


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def verify(*arguments):
    done = CliRunner().invoke(app, ["audit", "verify", *map(str, arguments)])
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done


def bad(path, *heads):
    """Return the first bad record; the file beside the log is made to agree, as whoever forges the log would."""
    return verify_logs([str(path)], heads).plain["bad"]


def test_a_log_that_nobody_touched_is_proved(path):
    heads = written(path)
    done = verify(path)
    assert done.exit_code == 0, done.output
    assert f"proved: records 1 to 9 in 1 file\nhead: {heads[-1]}\n" == done.output
    assert verify("--head", heads[3], "--head", heads[8], path).exit_code == 0


@pytest.mark.parametrize(
    ("forge", "first"),
    [
        (lambda found: [*found[:4], found[4].replace(b'"n": 4', b'"n": 5'), *found[5:]], 5),
        (lambda found: [found[0].replace(b'"n": 0', b'"n": 7'), *found[1:]], 1),
        (lambda found: [*found[:3], *found[5:]], 4),
        (lambda found: [*found[:3], found[4], found[3], *found[5:]], 4),
        (lambda found: [*found[:5], found[2], *found[5:]], 3),
        (lambda found: [*found[:5], b'{"type": "exit", "forged": true}\n', *found[5:]], 5),
        (lambda found: [*found[:5], b"\n", *found[5:]], 5),
        (lambda found: found[:6], 7),
        (lambda found: [], 1),
        (lambda found: [*found[:8], found[8].replace(b'"n": 8', b'"n": 9')], 9),
    ],
    ids=["edit", "first", "deletion", "reordering", "copy", "insertion", "empty-line", "truncation", "all", "last"],
)
def test_what_was_forged_is_found_with_its_number(path, forge, first):
    written(path)
    path.write_bytes(b"".join(forge(lines(path))))
    assert bad(path) == first
    assert verify(path).exit_code == 2


@pytest.mark.parametrize("kept", [0, 1, 5, 8])
def test_what_was_cut_is_found_by_the_servers_head_where_all_else_was_forged(path, kept):
    heads = written(path)
    path.write_bytes(b"".join(lines(path)[:kept]))
    os.unlink(f"{path}.head")
    if kept:
        assert verify(path).exit_code == 0
    done = verify("--head", heads[-1], path)
    assert done.exit_code == 2 and "the server saw record 9" in done.output


def test_a_log_that_was_written_anew_is_found_by_the_servers_head(path):
    heads = written(path)
    os.unlink(path)
    os.unlink(f"{path}.head")
    written(path, 20, forged=True)
    assert verify(path).exit_code == 0
    assert "rewritten" in verify("--head", heads[-1], path).output
    assert bad(path, heads[2]) == 3


def test_an_older_log_in_the_place_of_a_newer_one_is_found(path):
    written(path, 3)
    shutil.copyfile(path, path.parent / "old")
    heads = written(path, 3)
    shutil.copyfile(path.parent / "old", path)
    assert bad(path) == 4 and bad(path, heads[-1]) == 4


def test_a_whole_part_that_is_gone_is_found(path):
    for number in (3, 2, 1):
        written(path, 4)
        os.rename(path, f"{path}.{number}")
    written(path, 4)
    assert verify(path).exit_code == 0
    subprocess.run(["/bin/gzip", f"{path}.3", f"{path}.2"], check=True)
    assert "records 1 to 16 in 4 files" in verify(path).output
    os.unlink(f"{path}.2.gz")
    assert bad(path) == 5
    os.unlink(f"{path}.3.gz")
    done = verify(path)
    assert done.exit_code == 0 and "records 9 to 16 in 2 files" in done.output
    assert "name the older parts" in verify("--head", f"3:{'0' * 64}", path).output


def test_parts_can_be_named_in_any_order(path, tmp_path):
    written(path, 4)
    os.rename(path, tmp_path / "b")
    written(path, 4)
    os.rename(path, tmp_path / "a")
    assert verify_logs([str(tmp_path / "a"), str(tmp_path / "b")], []).status == 0


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_byte_can_be_changed_unnoticed(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("x")
    directory.chmod(0o700)
    path = directory / "audit.jsonl"
    written(path, 4)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert verify_logs([str(path)], []).status == 2


RUN = """
import os, signal, sys
from borgctl.audit.log import Log
log = Log.open(sys.argv[1], syslog=False)
log.append({"type": "accept", "run": "killed", "policy": "/p", "repository": "/srv/a"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_shows_as_unfinished(path):
    assert programs.python(RUN, path).returncode == -signal.SIGKILL
    done = verify(path)
    assert done.exit_code == 0 and "run killed" in done.output and "unfinished: at work, or broken off" in done.output
    log = Log.open(str(path), syslog=False)
    log.append({"type": "accept", "run": "next", "policy": "/p", "repository": "/srv/a"})
    log.append({"type": "exit", "run": "next"})
    log.close()
    done = verify("--json", path)
    assert done.exit_code == 1
    assert [(one["run"], one["over"]) for one in json.loads(done.stdout)["unfinished"]] == [("killed", True)]


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
)
def test_a_log_that_was_changed_is_not_proved_whatever_time_stands_in_it(path, time):
    written(path, 3)
    first, *rest = lines(path)
    stood = json.loads(first)["time"].encode()
    path.write_bytes(b"".join([first.replace(stood, time.encode()), *rest]))
    done = verify("--json", path)
    assert (done.exit_code, json.loads(done.stdout)["proved"]) == (2, False)


def test_a_clock_that_was_set_back_is_told(path, monkeypatch):
    written(path, 2)
    line = lines(path)[-1].strip()
    old = b'{"time": "2020-01-01T00:00:00.000Z", "sequence": 3, "previous": "%s", "type": "exit"}\n'
    with path.open("ab") as file:
        file.write(old % digest(line).encode())
    done = verify(path)
    assert done.exit_code == 1 and "the clock was set back" in done.output


def test_lines_of_before_the_chain_are_told_and_held(path):
    path.write_text('{"time": "x", "type": "accept"}\n{"time": "x", "type": "exit"}\n')
    path.chmod(0o600)
    written(path)
    done = verify(path)
    assert done.exit_code == 1 and "2 lines from before the chain" in done.output
    path.write_text(path.read_text().replace('"exit"}\n{"time": "2', '"edit"}\n{"time": "2', 1))
    assert bad(path) == 1


@pytest.mark.parametrize("changed", [b"first", b"second"])
def test_every_line_between_two_records_that_is_none_is_held(path, changed):
    written(path, 2)
    with path.open("ab") as file:
        file.write(b'{"torn": "first\n{"torn": "second')
    written(path, 2)
    assert bad(path) is None and verify(path).exit_code == 1
    path.write_bytes(path.read_bytes().replace(changed, b"x"))
    assert bad(path) == 2


def test_a_last_line_that_is_being_written_breaks_nothing(path):
    written(path)
    with path.open("ab") as file:
        file.write(b'{"time": "2026')
    done = verify(path)
    assert done.exit_code == 1 and "torn, or is being written" in done.output


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"\xff\xfe\n" * 100, b"[" * 100_000 + b"\n", b"x" * (3 << 20)])
def test_whatever_is_in_the_file_there_is_an_answer(path, content):
    path.write_bytes(content)
    done = verify(path)
    assert done.exit_code in (0, 1, 2) and all(c.isprintable() or c == "\n" for c in done.output)


def test_a_log_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(Exception, match="no audit log"):
        verify_logs([str(tmp_path / "none")], [])


def test_a_head_that_is_none_is_an_error(path):
    with pytest.raises(Exception, match="sequence and head"):
        Head.read("7:short")


def test_a_compressed_part_that_is_damaged_is_an_error(path):
    written(path)
    os.rename(path, f"{path}.1")
    subprocess.run(["/bin/gzip", f"{path}.1"], check=True)
    whole = (path.parent / "audit.jsonl.1.gz").read_bytes()
    (path.parent / "audit.jsonl.1.gz").write_bytes(whole[:-20])
    written(path)
    with pytest.raises(Exception, match="cannot read"):
        verify_logs([str(path)], [])


def test_a_part_that_is_being_compressed_counts_once_and_another_of_that_name_counts(path):
    written(path, 4)
    os.rename(path, f"{path}.1")
    written(path, 4)
    subprocess.run(["/bin/gzip", "-k", f"{path}.1"], check=True)
    assert "records 1 to 8 in 2 files" in verify(path).output
    os.rename(path, f"{path}.1")
    written(path, 4)
    assert "records 1 to 12 in 3 files" in verify(path).output
