"""The audit log: one line a record, whole or not at all, in nobody else's hands."""

import fcntl
import json
import os
import re
import stat
import threading

import draws
import programs
import pytest
import stage
import structlog
from hypothesis import given
from hypothesis import strategies as st

from borgctl.audit import LARGEST, Log, render
from borgctl.errors import BorgctlError

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=50)
RECORDS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=8),
    SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3),
    max_size=10,
)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "log").mkdir(mode=0o700)
    return tmp_path / "log/audit.jsonl"


def opened(path):
    return Log.open(str(path), syslog=False)


def refused(path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BorgctlError) as caught:
        opened(path)
    assert caught.value.reason.code == "log-unusable"
    assert len(os.listdir("/proc/self/fd")) == before
    return caught.value.detail


def appended(path, *records):
    log = opened(path)
    try:
        for record in records:
            log.append(record)
    finally:
        os.close(log.fd)


def test_a_record_is_one_line_of_json_with_the_time_first(path):
    appended(path, {"type": "accept", "run": "1"}, {"type": "exit", "run": "1", "code": 0})
    one, other = map(json.loads, path.read_text("ascii").splitlines())
    assert list(one) == ["time", "type", "run"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    assert other["code"] == 0


@given(RECORDS)
def test_structlogs_renderer_would_have_written_the_same(record):
    written = render(record)
    value = json.loads(written)
    again = structlog.processors.JSONRenderer()(None, "info", dict(value))
    assert written == again
    assert {key: value[key] for key in record if key != "time"} == {k: v for k, v in record.items() if k != "time"}


@draws.FEWER
@given(RECORDS | st.fixed_dictionaries({"request": st.text(min_size=1000, max_size=3000)}))
def test_a_line_is_printable_ascii_and_never_too_long(record):
    line = render(record)
    assert line.isascii() and line.isprintable() and len(line) < LARGEST


@pytest.mark.parametrize("character", ["x", "\n", "\x1b", "\udcff", "é", "日", "\U0001f4be", '"', "\\"])
def test_whatever_a_peer_sends_the_record_stays_small(character):
    flood = character * 200_000
    line = render(
        {
            "type": "refuse",
            "run": "1",
            "request": flood,
            "detail": flood,
            "policy": flood,
            "peer": flood,
            "argv": [flood] * 300,
            "environment": {flood: flood},
            "rule": flood,
            "job": flood,
        }
    )
    assert len(line) < LARGEST and line.isascii()
    assert json.loads(line)["type"] == "refuse"


def test_what_was_cut_says_so():
    long = json.loads(render({"request": "x" * 5000}))["request"]
    assert long.startswith("x" * 1000) and long.endswith("… (5000 characters)")
    many = json.loads(render({"run": "1", "argv": ["x" * 1000] * 200}))
    assert many["cut"] is True and many["run"] == "1" and "argv" not in many


def test_the_log_is_made_private_with_its_directories(tmp_path):
    file = tmp_path / "a/b/audit.jsonl"
    appended(file, {"type": "x"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_records_are_added_and_nothing_is_overwritten(path):
    path.write_text('{"old":1}\n')
    path.chmod(0o600)
    appended(path, {"type": "new"})
    assert path.read_text().startswith('{"old":1}\n{"time"')


def test_a_line_that_was_torn_is_ended_first(path):
    path.write_text('{"old":1}\n{"torn":')
    path.chmod(0o600)
    appended(path, {"type": "a"}, {"type": "b"})
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"old":1}', '{"torn":']
    assert [json.loads(line)["type"] for line in lines[2:]] == ["a", "b"]


def test_a_symlink_a_fifo_a_directory_and_a_device_are_refused(path):
    other = path.parent / "other"
    other.write_text("precious")
    path.symlink_to(other)
    refused(path)
    assert other.read_text() == "precious"
    path.unlink()
    os.mkfifo(path, 0o600)
    refused(path)
    path.unlink()
    path.mkdir()
    refused(path)
    refused(os.path.normpath("/dev/null"))


def test_a_second_link_is_refused(path):
    appended(path, {"type": "x"})
    os.link(path, path.parent / "second")
    assert "one link" in refused(path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_log_that_others_may_write_is_refused(path, mode):
    appended(path, {"type": "x"})
    path.chmod(mode)
    assert "others may write" in refused(path)


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_a_log_that_others_may_read_works(path, mode):
    appended(path, {"type": "x"})
    path.chmod(mode)
    appended(path, {"type": "y"})


def test_whoever_may_only_read_the_log_cannot_stop_it(path):
    """flock(2) needs no more than a descriptor for reading."""
    appended(path, {"type": "x"})
    with path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        appended(path, {"type": "y"})
    assert len(path.read_text().splitlines()) == 2


@only_root
def test_a_log_of_another_user_is_refused(path):
    appended(path, {"type": "x"})
    os.chown(path, OTHER, OTHER)
    refused(path)


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o707])
def test_a_log_in_a_directory_that_others_may_write_is_refused(path, mode):
    path.parent.chmod(mode)
    assert "mode" in refused(path)
    assert not path.exists()


def test_a_log_in_a_directory_that_is_missing_three_times_is_refused(tmp_path):
    refused(tmp_path / "a/b/c/audit.jsonl")
    assert os.listdir(tmp_path) == []


def test_many_writers_at_once_keep_every_line_whole(path):
    code = """
import sys
from borgctl.audit import Log
log = Log.open(sys.argv[1], syslog=False)
for number in range(50):
    log.append({"type": "x", "writer": sys.argv[2], "number": number, "pad": "x" * 500})
"""
    writers = [programs.started(code, path, number) for number in range(4)]
    assert [writer.wait(30) for writer in writers] == [0] * 4
    seen = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert len({(one["writer"], one["number"]) for one in seen}) == len(seen) == 200
    for writer in "0123":
        assert [one["number"] for one in seen if one["writer"] == writer] == list(range(50))


FULL = """
import resource, sys
from borgctl.audit import Log
from borgctl.errors import BorgctlError
log = Log.open(sys.argv[1], syslog=False)
log.append({"type": "first"})
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try:
    log.append({"type": "second", "pad": "x" * 1000})
    print("written")
except BorgctlError as error:
    print(error.reason.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
log.append({"type": "third"})
"""


@pytest.mark.parametrize("limit", [60, 64, 100, 1000])
def test_a_full_disk_leaves_no_part_of_a_line(path, limit):
    done = programs.python(FULL, path, limit)
    assert (done.stdout, done.stderr, done.returncode) == (b"log-unusable\n", b"", 0)
    assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == ["first", "third"]


@only_root
def test_a_really_full_file_system_leaves_no_part_of_a_line(tmp_path):
    code = """
import ctypes, json, os, sys
from borgctl.audit import Log
from borgctl.errors import BorgctlError
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):  # CLONE_NEWNS, MS_REC | MS_PRIVATE
    sys.exit(f"no mounts here: {os.strerror(ctypes.get_errno())}")
if libc.mount(b"tmpfs", sys.argv[1].encode(), b"tmpfs", 0, b"size=16k,mode=0700"):
    sys.exit(f"no tmpfs here: {os.strerror(ctypes.get_errno())}")
log = Log.open(sys.argv[1] + "/audit.jsonl", syslog=False)
count = 0
try:
    while count < 1000:
        log.append({"type": "x", "pad": "x" * 700})
        count += 1
except BorgctlError as error:
    print(error.reason.code)
lines = open(sys.argv[1] + "/audit.jsonl").read()
assert lines.endswith("\\n") and len([json.loads(line) for line in lines.splitlines()]) == count > 5
"""
    done = programs.python(code, tmp_path)
    if b"no mounts here" in done.stderr or b"no tmpfs here" in done.stderr:
        pytest.skip(done.stderr.decode())
    assert (done.stdout, done.stderr, done.returncode) == (b"log-unusable\n", b"", 0)


def test_a_writer_that_was_killed_holds_nobody_up(path):
    code = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
fcntl.lockf(fd, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
    appended(path, {"type": "x"})
    with programs.ended(programs.started(code, path, stdout=programs.subprocess.PIPE)) as holder:
        holder.stdout.readline()
        timer = threading.Timer(0.2, holder.kill)
        timer.start()
        appended(path, {"type": "y"})
        timer.join()


def test_a_closed_descriptor_is_an_error_of_ours(path):
    log = opened(path)
    os.close(log.fd)
    with pytest.raises(BorgctlError) as caught:
        log.append({"type": "x"})
    assert caught.value.reason.code == "log-unusable"


def test_where_nothing_is_there_the_fallback_writes_no_file(tmp_path):
    log = Log.fallback(str(tmp_path / "none/audit.jsonl"))
    assert log.fd is None and log.syslog
    assert os.listdir(tmp_path) == []


def test_where_the_directory_is_there_the_fallback_is_the_usual_file(path):
    log = Log.fallback(str(path))
    assert os.readlink(f"/proc/self/fd/{log.fd}") == str(path)
    os.close(log.fd)


def test_a_log_that_is_not_safe_is_no_fallback(path):
    path.parent.chmod(0o777)
    assert Log.fallback(str(path)).fd is None


def test_a_record_goes_to_syslog_as_the_same_line(path, monkeypatch):
    import syslog

    said = []
    monkeypatch.setattr(syslog, "openlog", lambda *_: None)
    monkeypatch.setattr(syslog, "syslog", lambda priority, line: said.append(line))
    log = Log.open(str(path), syslog=True)
    log.append({"type": "x"})
    os.close(log.fd)
    assert said == path.read_text().splitlines()
