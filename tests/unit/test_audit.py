"""The audit log: one line a record, whole or not at all, in nobody else's hands."""

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import threading
import time

import programs
import pytest
import stage

from borgctl import history
from borgctl.audit import Log
from borgctl.chain import digest
from borgctl.cli.logs import lines
from borgctl.cli.verify import verified
from borgctl.errors import BorgctlError
from borgctl.values import Head

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")


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
        log.close()


def test_a_record_is_one_line_of_json_with_the_time_first(path):
    appended(path, {"type": "accept", "run": "1"}, {"type": "exit", "run": "1", "code": 0})
    one, other = map(json.loads, path.read_text("ascii").splitlines())
    assert list(one) == ["time", "sequence", "previous", "type", "run"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    assert other["code"] == 0


def test_each_record_tells_the_hash_of_the_line_before(path):
    appended(path, *({"type": "x", "n": number} for number in range(3)))
    written = path.read_bytes().splitlines()
    records = [json.loads(line) for line in written]
    assert [one["sequence"] for one in records] == [1, 2, 3]
    assert [one["previous"] for one in records] == ["0" * 64, *map(digest, written[:2])]


def test_the_head_is_that_of_the_record_that_was_written(path):
    log = opened(path)
    assert log.append({"type": "x"}) == Head(1, digest(path.read_bytes().rstrip()))
    assert log.append({"type": "x"}) == Head(2, digest(path.read_bytes().splitlines()[1]))
    log.close()


def test_the_log_is_made_private_with_its_directories(tmp_path):
    file = tmp_path / "a/b/audit.jsonl"
    appended(file, {"type": "x"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_record_is_on_disk_before_append_returns(path, monkeypatch):
    """What a machine that loses its power keeps: as much of the log as was there at the last fsync(2), and its name."""
    synced, fsync = {}, os.fsync

    def noted(fd):
        fsync(fd)
        synced[os.fstat(fd).st_ino] = os.fstat(fd).st_size

    monkeypatch.setattr(os, "fsync", noted)
    log = opened(path)
    for kind in ("accept", "exit"):
        log.append({"type": kind, "run": "1"})
        assert synced.get(path.stat().st_ino) == path.stat().st_size
    assert path.parent.stat().st_ino in synced
    log.close()


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
    assert json.loads(lines[2])["previous"] == digest(b'{"torn":')


def test_a_torn_record_is_in_the_chain_and_its_number_is_not_used_up(path):
    appended(path, {"type": "a"}, {"type": "b"})
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole.splitlines()[1].replace(b'"sequence": 2', b'"sequence": 3')[:-9])
    appended(path, {"type": "c"})
    assert [json.loads(line).get("sequence") for line in path.read_bytes().splitlines() if line.endswith(b"}")] == [
        1,
        2,
        3,
    ]
    assert verified([str(path)], []).status == 1  # odd, and no more


# ---- rotation


@pytest.mark.parametrize("rename", ["audit.jsonl.1", "audit.jsonl-20261123", "audit-20261123.jsonl"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("beside", ["kept", "lost", "torn"])
def test_a_new_log_continues_the_old_one(path, rename, packed, beside):
    appended(path, {"type": "a"}, {"type": "b"})
    os.rename(path, path.parent / rename)
    if packed:
        subprocess.run(["/bin/gzip", path.parent / rename], check=True)
    if beside == "lost":
        os.unlink(f"{path}.head")
    if beside == "torn":
        os.truncate(f"{path}.head", 20)
    appended(path, {"type": "c"})
    assert [one["type"] for one in chained(path)] == ["a", "b", "c"]


def test_a_log_whose_old_part_went_elsewhere_goes_on(path, tmp_path):
    appended(path, {"type": "a"}, {"type": "b"})
    os.rename(path, tmp_path / "elsewhere")
    appended(path, {"type": "c"})
    assert verified([str(tmp_path / "elsewhere"), str(path)], []).status == 0


def test_a_log_that_is_copied_and_truncated_goes_on(path):
    appended(path, {"type": "a"}, {"type": "b"})
    shutil.copyfile(path, f"{path}.1")
    os.chmod(f"{path}.1", 0o600)
    os.truncate(path, 0)
    appended(path, {"type": "c"})
    assert [one["type"] for one in chained(path)] == ["a", "b", "c"]


def test_what_is_lost_between_copy_and_truncation_is_found(path):
    appended(path, {"type": "a"}, {"type": "b"})
    shutil.copyfile(path, f"{path}.1")
    os.chmod(f"{path}.1", 0o600)
    appended(path, {"type": "lost"})
    os.truncate(path, 0)
    appended(path, {"type": "c"})
    (bad,) = verified([str(path)], []).walk.bad
    assert (bad.sequence, bad.text) == (3, "missing before record 4: 3")


def test_a_log_that_was_cut_says_so_itself(path):
    appended(path, {"type": "a"}, {"type": "b"}, {"type": "c"})
    first = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first)
    appended(path, {"type": "d"})
    told = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [(one["sequence"], one["type"]) for one in told] == [(1, "a"), (4, "alert"), (5, "d")]
    assert told[1]["reason"] == "log-cut" and told[1]["kept"].startswith("3:")


def test_a_log_whose_last_record_was_changed_says_so_itself(path):
    appended(path, {"type": "a", "n": 1})
    path.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n": 2'))
    appended(path, {"type": "b"})
    assert [json.loads(line)["type"] for line in path.read_bytes().splitlines()] == ["a", "alert", "b"]


def test_a_log_that_ends_in_an_endless_line_is_no_log(path):
    path.write_bytes(b"x" * (3 << 20))
    path.chmod(0o600)
    log = opened(path)
    with pytest.raises(BorgctlError):
        log.append({"type": "x"})
    log.close()


# ---- floods


def refusal(key="SHA256:a", **more):
    return {"type": "refuse", "policy": "/p", "key": key, "request": "x" * 100_000, "reason": "unknown-verb", **more}


def test_a_flood_of_refusals_is_counted_and_the_log_stays_small(path):
    log = opened(path)
    heads = [log.append(refusal()) for _ in range(2000)]
    log.append(refusal(key="SHA256:b"))
    log.close()
    told = chained(path)
    assert [one["type"] for one in told] == ["refuse"] * 100 + ["alert", "refuse"]
    assert told[100]["reason"] == "refusals-counted" and told[101]["key"] == "SHA256:b"
    assert path.stat().st_size < 200_000 and heads[-1].sequence == 101
    assert verified([str(path)], []).counted == 1899


def test_the_count_is_told_within_the_hour(path, monkeypatch):
    log, now = opened(path), time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    for _ in range(150):
        log.append(refusal())
    now += 3700
    log.append({"type": "exit", "policy": "/q"})
    log.close()
    alerts = [one for one in chained(path) if one["type"] == "alert"]
    assert [one["count"] for one in alerts] == [1, 49]


def test_who_asks_too_often_is_refused_and_nobody_else(path):
    log = opened(path)
    for _ in range(1000):
        log.append({"type": "accept", "policy": "/p", "key": "SHA256:a"})
    with pytest.raises(BorgctlError) as caught:
        log.append({"type": "accept", "policy": "/p", "key": "SHA256:a"})
    assert caught.value.reason.code == "asked-too-often"
    assert log.append({"type": "accept", "policy": "/p", "key": "SHA256:b"}).sequence == 1001
    log.close()


# ---- whether it holds what a server saw


def test_the_log_holds_what_it_wrote_and_nothing_else(path):
    log = opened(path)
    heads = [log.append({"type": "x", "n": number}) for number in range(5)]
    assert [log.holds(head) for head in heads] == [True] * 5
    assert log.holds(Head(6, "0" * 64)) is False and log.holds(Head(0, "0" * 64)) is False
    assert log.holds(Head(3, heads[3].digest)) is False
    os.rename(path, f"{path}.1")
    later = log.append({"type": "x"})
    subprocess.run(["/bin/gzip", f"{path}.1"], check=True)
    assert [log.holds(head) for head in (*heads, later)] == [True] * 6
    assert log.holds(Head(3, heads[3].digest)) is False
    os.unlink(f"{path}.1.gz")
    assert [log.holds(head) for head in (*heads, later)] == [False] * 5 + [True]
    log.close()


def test_a_log_that_was_written_anew_does_not_hold_it(path):
    log = opened(path)
    kept = [log.append({"type": "x", "n": number}) for number in range(5)]
    os.unlink(path)
    os.unlink(f"{path}.head")
    for number in range(9):
        log.append({"type": "x", "n": number})
    assert [log.holds(head) for head in kept] == [False] * 5
    log.close()


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
    with path.open() as reader, open(f"{path}.head") as beside:
        fcntl.flock(reader, fcntl.LOCK_EX)
        fcntl.flock(beside, fcntl.LOCK_EX)
        appended(path, {"type": "y"})
    assert len(path.read_text().splitlines()) == 2


def test_the_file_of_the_lock_is_nobody_elses_to_read(path):
    """Whoever may read it can hold a shared lock on it (fcntl(2)), which keeps every record out."""
    appended(path, {"type": "x"})
    os.chmod(f"{path}.head", 0o644)
    appended(path, {"type": "y"})
    assert stat.S_IMODE(os.stat(f"{path}.head").st_mode) == 0o600


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


WRITER = """
import sys
from borgctl import history
from borgctl.audit import Log
from borgctl.chain import digest
from borgctl.cli.logs import lines
from borgctl.cli.verify import verified
log = Log.open(sys.argv[1], syslog=False)
for number in range(int(sys.argv[3])):
    log.append({"type": "x", "writer": sys.argv[2], "number": number, "pad": "x" * 500})
"""


def chained(path):
    """Return the records of a log and its older parts, after checking that they are one chain."""
    proof = verified([str(path)], [])
    assert proof.walk.bad == [], proof.lines
    return [record for line in lines(list(proof.files)) if (record := json.loads(line.text))]


def test_twenty_writers_at_once_make_one_chain_of_whole_lines(path):
    writers = [programs.started(WRITER, path, number, 50) for number in range(20)]
    assert [writer.wait(120) for writer in writers] == [0] * 20
    seen = chained(path)
    assert [one["sequence"] for one in seen] == list(range(1, 1001))
    assert len({(one["writer"], one["number"]) for one in seen}) == 1000
    for writer in map(str, range(20)):
        assert [one["number"] for one in seen if one["writer"] == writer] == list(range(50))


def test_a_log_that_is_rotated_while_they_write_is_one_chain(path):
    """As logrotate renames it, at any moment; the older parts are compressed later (delaycompress)."""
    appended(path, {"type": "first"})
    writers = [programs.started(WRITER, path, number, 60) for number in range(6)]
    number = 0
    while any(writer.poll() is None for writer in writers):
        number += 1
        os.rename(path, f"{path}.{1000 - number}")
        programs.wait_for(lambda: path.exists() or all(writer.poll() is not None for writer in writers))
    assert [writer.wait() for writer in writers] == [0] * 6
    appended(path, {"type": "last"})
    assert number > 1
    assert len(chained(path)) == 6 * 60 + 2


FULL = """
import resource, sys
from borgctl import history
from borgctl.audit import Log
from borgctl.chain import digest
from borgctl.cli.logs import lines
from borgctl.cli.verify import verified
from borgctl.errors import BorgctlError
from borgctl.values import Head
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
from borgctl import history
from borgctl.audit import Log
from borgctl.chain import digest
from borgctl.cli.logs import lines
from borgctl.cli.verify import verified
from borgctl.errors import BorgctlError
from borgctl.values import Head
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
fd = os.open(sys.argv[1] + ".head", os.O_RDWR)
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
    log.close()
    with pytest.raises(BorgctlError) as caught:
        log.append({"type": "x"})
    assert caught.value.reason.code == "log-unusable"


def test_where_nothing_is_there_the_fallback_writes_no_file(tmp_path):
    log = Log.fallback(str(tmp_path / "none/audit.jsonl"))
    assert log.above is None and log.syslog
    assert os.listdir(tmp_path) == []


def test_where_the_directory_is_there_the_fallback_is_the_usual_file(path):
    log = Log.fallback(str(path))
    assert log.above is not None and log.path == str(path)
    log.close()


def test_a_log_that_is_not_safe_is_no_fallback(path):
    path.parent.chmod(0o777)
    assert Log.fallback(str(path)).above is None


def test_a_record_goes_to_syslog_as_the_same_line(path, monkeypatch):
    import syslog

    said = []
    monkeypatch.setattr(syslog, "openlog", lambda *_: None)
    monkeypatch.setattr(syslog, "syslog", lambda priority, line: said.append(line))
    log = Log.open(str(path), syslog=True)
    log.append({"type": "x"})
    log.close()
    assert said == path.read_text().splitlines()


def test_a_record_is_found_among_very_many_and_the_work_ends_somewhere(path, monkeypatch):
    log = opened(path)
    heads = [log.append({"type": "x"}) for _ in range(3)]
    line = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as file:
        file.writelines(line.replace(b'"sequence": 3', b'"sequence": %d' % number) for number in range(4, 50_000))
    assert [log.holds(head) for head in heads] == [True] * 3
    assert log.holds(Head(2, "0" * 64)) is False
    last = line.replace(b'"sequence": 3', b'"sequence": 20000').rstrip()
    assert log.holds(Head(20_000, digest(last))) is True
    monkeypatch.setattr(history, "_MOST", 1 << 20)
    assert log.holds(heads[0]) is None and log.holds(Head(49_999, "0" * 64)) is False
    subprocess.run(["/bin/gzip", "-k", path], check=True)
    os.rename(f"{path}.gz", f"{path}.1.gz")
    os.truncate(path, 0)
    assert log.holds(heads[0]) is True and log.holds(Head(49_999, "0" * 64)) is None
    log.close()
