"""The audit log: one line a record, complete or not at all, and writable by nobody else."""

import errno
import fcntl
import hashlib
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

from borgctl.audit import lookup, rotation
from borgctl.audit import record as audit_record
from borgctl.audit.chain import link
from borgctl.audit.log import Log
from borgctl.cli.log.read import lines
from borgctl.cli.log.verify import verify
from borgctl.errors import BorgctlError
from borgctl.values import Head
from borgctl.wire.hashchain import MOST, follows

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "log").mkdir(mode=0o700)
    return tmp_path / "log/audit.jsonl"


def opened(path):
    return Log.open(str(path), syslog=False)


def refused(path):
    before = len(stage.descriptors())
    with pytest.raises(BorgctlError) as caught:
        opened(path)
    assert caught.value.reason.code == "log-unusable"
    assert len(stage.descriptors()) == before
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
    assert list(one) == ["time", "sequence", "chain", "previous", "salt", "type", "run"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    assert other["code"] == 0


def links(path):
    """Return each line's link as docs/audit.md defines it, from the bytes of the lines alone."""
    previous, found = bytes(32), []
    for line in path.read_bytes().splitlines():
        told = re.search(rb'"previous": "([0-9a-f]{64})"', line)
        assert bytes.fromhex(told[1].decode()) == previous
        body = line[: told.start(1)] + line[told.end(1) :]
        previous = hashlib.sha256(previous + hashlib.sha256(body).digest()).digest()
        found.append(previous.hex())
    return found


def test_each_record_tells_the_link_of_the_record_before(path):
    appended(path, *({"type": "x", "n": number} for number in range(3)))
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [(one["sequence"], one["chain"]) for one in records] == [(1, 2), (2, 2), (3, 2)]
    assert [one["previous"] for one in records] == ["0" * 64, *links(path)[:2]]


def test_the_head_is_that_of_the_record_that_was_written(path):
    log = opened(path)
    assert log.append({"type": "x"}) == Head(1, links(path)[0])
    assert log.append({"type": "x"}) == Head(2, links(path)[1])
    log.close()


def test_no_digest_tells_by_trial_what_is_in_a_record(path, monkeypatch):
    """A server knows the run's id and roughly the time; it must not be able to guess an admin's command in a window."""
    monkeypatch.setattr(audit_record, "stamp", lambda _: "2026-11-23T04:05:06.789Z")
    log = opened(path)
    first = log.append({"type": "window", "argv": ["list"]})
    told = log.for_server(log.append({"type": "window", "argv": ["list"]}), first)
    salts = [json.loads(line)["salt"] for line in path.read_bytes().splitlines()]
    assert all(re.fullmatch(r"[0-9a-f]{32}", salt) for salt in salts) and len(set(salts)) == 2
    assert not any(salt in json.dumps(told) for salt in salts)
    log.close()


@pytest.mark.parametrize("name", ["sequence", "chain", "previous"])
def test_a_record_in_which_its_place_stands_twice_is_none(path, name):
    """JSON takes the last of two keys; what people see must be what was chained."""
    appended(path, {"type": "x"})
    line = path.read_bytes().rstrip()
    assert link(line) is not None
    other = {"sequence": b"7", "chain": b"null", "previous": b'"' + b"1" * 64 + b'"'}[name]
    assert link(line[:-1] + b', "%s": %s}' % (name.encode(), other)) is None


def test_a_record_is_on_disk_before_its_head_is_told(path, monkeypatch):
    """In this order: its bytes, fsync(2) of the log, of its directory where the name is new, and then the head file."""
    done, write, fsync, pwrite = [], os.write, os.fsync, os.pwrite

    def kind(fd):
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "write", lambda fd, data: (done.append(("write", kind(fd))), write(fd, data))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(("fsync", kind(fd))), fsync(fd))[1])
    monkeypatch.setattr(os, "pwrite", lambda fd, *rest: (done.append(("head", kind(fd))), pwrite(fd, *rest))[1])
    log = opened(path)
    log.append({"type": "a"})
    first, rest = list(done), done.clear()
    log.append({"type": "b"})
    log.close()
    written, head = [("write", "audit.jsonl"), ("fsync", "audit.jsonl")], ("head", "audit.jsonl.head")
    assert rest is None and first == [*written, ("fsync", "log"), head]
    assert done == [*written, head]


def test_a_record_that_does_not_reach_the_disk_is_none(path, monkeypatch):
    def broken(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    appended(path, {"type": "a"})
    before, log = path.read_bytes(), opened(path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(BorgctlError) as caught:
        log.append({"type": "b"})
    log.close()
    assert caught.value.reason.code == "log-unusable" and path.read_bytes() == before


def test_the_log_is_made_private_with_its_directories(tmp_path):
    file = tmp_path / "a/b/audit.jsonl"
    appended(file, {"type": "x"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_record_is_on_disk_before_append_returns(path, monkeypatch):
    """After a power cut the log has what was there at the last fsync(2), and its name."""
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
    skipped = hashlib.sha256(b'{"old":1}\n{"torn":\n').hexdigest()
    assert [json.loads(line).get("skipped") for line in lines[2:]] == [skipped, None]


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
    assert verify([str(path)], []).status == 1  # odd, and no more


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
    assert verify([str(tmp_path / "elsewhere"), str(path)], []).status == 0


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
    (bad,) = verify([str(path)], []).check.bad
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
    assert verify([str(path)], []).counted == 1899


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
    assert caught.value.reason.code == "rate-limited"
    assert log.append({"type": "accept", "policy": "/p", "key": "SHA256:b"}).sequence == 1001
    log.close()


# ---- what leads from the record that a server saw


def answers(log, head, *heads):
    """Return whether the log, which ends with `head`, holds each of these heads."""
    return [log.for_server(head, one)["continues"] for one in heads]


def test_the_log_holds_what_it_wrote_and_nothing_else(path):
    log = opened(path)
    heads = [log.append({"type": "x", "n": number}) for number in range(5)]
    assert answers(log, heads[4], *heads) == [True] * 5
    assert answers(log, heads[4], Head(6, "0" * 64), Head(0, "0" * 64), Head(3, heads[3].digest)) == [False] * 3
    os.rename(path, f"{path}.1")
    later = log.append({"type": "x"})
    subprocess.run(["/bin/gzip", f"{path}.1"], check=True)
    assert answers(log, later, *heads, later) == [True] * 6
    assert answers(log, later, Head(3, heads[3].digest)) == [False]
    os.unlink(f"{path}.1.gz")
    assert answers(log, later, *heads, later) == [False] * 5 + [True]
    log.close()


def test_a_log_that_was_written_anew_does_not_hold_it(path):
    log = opened(path)
    kept = [log.append({"type": "x", "n": number}) for number in range(5)]
    os.unlink(path)
    os.unlink(f"{path}.head")
    for number in range(9):
        head = log.append({"type": "x", "n": number})
    assert answers(log, head, *kept) == [False] * 5
    log.close()


@pytest.mark.parametrize("form", ["one file", "renamed", "packed", "torn", "torn and packed"])
def test_the_digests_lead_from_every_record_to_the_head(path, form):
    log = opened(path)
    heads = [log.append({"type": "x", "n": number}) for number in range(4)]
    if "torn" in form:
        with path.open("ab") as file:
            file.write(path.read_bytes().splitlines()[3].replace(b'"sequence": 4', b'"sequence": 5')[:-9])
    heads += [log.append({"type": "x", "n": number}) for number in range(3)]
    if form != "one file":
        os.rename(path, f"{path}.1")
    if "packed" in form:
        subprocess.run(["/bin/gzip", f"{path}.1"], check=True)
    heads += [log.append({"type": "x", "n": number}) for number in range(2)]
    for seen in heads:
        told = log.for_server(heads[-1], seen)
        assert (told["sequence"], told["head"], told["continues"], told["behind"]) == (9, heads[-1].digest, True, 0)
        assert len(told["digests"]) == 9 - seen.sequence and follows(seen, told["digests"], heads[-1])
    log.close()


def test_of_very_many_records_the_first_are_told_and_how_many_are_left(path, monkeypatch):
    monkeypatch.setattr(lookup, "MOST", 3)
    log = opened(path)
    heads = [log.append({"type": "x", "n": number}) for number in range(8)]
    seen, lengths = heads[0], []
    while seen != heads[-1]:
        told = log.for_server(heads[-1], seen)
        reached = Head(told["sequence"], told["head"])
        assert follows(seen, told["digests"], reached) and told["behind"] == 8 - reached.sequence
        seen = reached
        lengths.append(len(told["digests"]))
    assert lengths == [3, 3, 1]
    log.close()


def test_a_record_that_another_gate_writes_meanwhile_is_left_for_the_next_answer(path):
    log = opened(path)
    seen, head, _ = (log.append({"type": "x"}) for _ in range(3))
    told = log.for_server(head, seen)
    assert (told["sequence"], told["head"], told["behind"]) == (2, head.digest, 0)
    assert follows(seen, told["digests"], head)
    log.close()


def test_without_a_question_the_head_is_told_and_no_digests(path):
    log = opened(path)
    head = log.append({"type": "x"})
    assert log.for_server(head, None) == {"sequence": 1, "head": head.digest, "continues": None, "chain": 2}
    assert log.for_server(None, head) is None
    log.close()


@pytest.mark.parametrize("number", [2, 3])
def test_where_a_record_is_missing_or_was_changed_nothing_leads_there(path, number):
    log = opened(path)
    heads = [log.append({"type": "x", "n": count}) for count in range(1, 5)]
    found = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*found[: number - 1], *found[number:]]))
    told = log.for_server(heads[-1], heads[0])
    assert told["continues"] is True and "digests" not in told
    found[number - 1] = found[number - 1].replace(b'"n": %d' % number, b'"n": 7')
    path.write_bytes(b"".join(found))
    assert not follows(heads[0], log.for_server(heads[-1], heads[0])["digests"], heads[-1])
    log.close()


def test_a_log_that_is_rotated_while_it_is_searched_is_searched_again(path, monkeypatch):
    """Between the listing of names and the opening of the first, logrotate renames every part."""
    log = opened(path)
    heads = [log.append({"type": "x"})]
    os.rename(path, f"{path}.1")
    heads.append(log.append({"type": "x"}))
    names, calls = lookup.older(log.above, log.name), []

    def older(*_):
        calls.append(1)
        if len(calls) == 1:
            os.rename(f"{path}.1", f"{path}.2")
            os.rename(path, f"{path}.1")
            return names
        return rotation.older(log.above, log.name)

    monkeypatch.setattr(lookup, "older", older)
    assert follows(heads[0], log.for_server(heads[1], heads[0])["digests"], heads[1])
    log.close()


# ---- a log of before the chain had links


def old(path, count):
    """Write a log as early versions did: each record holds the hash of the line before it."""
    previous, lines, heads = "0" * 64, [], []
    for number in range(1, count + 1):
        line = b'{"time": "2026-11-23T04:05:06.789Z", "sequence": %d, "previous": "%s", "type": "exit"}'
        lines.append(line % (number, previous.encode()))
        previous = hashlib.sha256(lines[-1]).hexdigest()
        heads.append(Head(number, previous))
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    path.chmod(0o600)
    return heads


@pytest.mark.parametrize("beside", [None, "before"])
@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("torn", [b"", b'{"time": "2'])
def test_an_old_log_is_continued_by_one_record_that_says_so(path, beside, rotated, torn):
    heads = old(path, 3)
    with path.open("ab") as file:
        file.write(torn)
    if beside:
        (path.parent / "audit.jsonl.head").write_text(json.dumps({"head": str(heads[-1]), "accounts": {}}) + "\n")
        (path.parent / "audit.jsonl.head").chmod(0o600)
    if rotated:
        os.rename(path, f"{path}.1")
    appended(path, {"type": "a"}, {"type": "b"})
    proof = verify([str(path)], heads)
    assert proof.status == (1 if torn else 0), proof.lines
    told = [json.loads(line) for line in path.read_bytes().splitlines() if b'"chain"' in line]
    assert [(one["sequence"], one["type"]) for one in told] == [(4, "chain"), (5, "a"), (6, "b")]
    assert told[0]["continues"] == str(heads[-1]) and told[0]["previous"] == heads[-1].digest
    (path.parent / "audit.jsonl.head").unlink()
    appended(path, {"type": "c"})
    assert [one["type"] for one in map(json.loads, path.read_bytes().splitlines()[-1:])] == ["c"]


def test_an_old_head_is_found_and_digests_lead_from_the_last_old_record(path):
    heads = old(path, 3)
    log = opened(path)
    log.append({"type": "a"})
    new = log.append({"type": "b"})
    assert follows(heads[2], log.for_server(new, heads[2])["digests"], new)
    assert log.for_server(new, heads[1]) == {"sequence": 6, "head": new.digest, "continues": True, "chain": 2}
    assert answers(log, new, Head(2, heads[2].digest)) == [False]
    log.close()


def test_an_old_record_that_was_changed_is_found_behind_the_new_ones(path):
    heads = old(path, 3)
    appended(path, {"type": "a"})
    path.write_bytes(path.read_bytes().replace(b'"exit"', b'"edit"', 1))
    assert verify([str(path)], []).plain["bad"] == 1
    path.write_bytes(path.read_bytes().replace(b'"edit"', b'"exit"', 1))
    assert verify([str(path)], heads).status == 0
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:2], whole[2].replace(b'"exit"', b'"edit"'), *whole[3:]]))
    assert verify([str(path)], []).plain["bad"] == 3


def test_records_of_an_older_gate_among_the_new_ones_are_odd_and_proved(path):
    appended(path, {"type": "a"})
    last = path.read_bytes().rstrip()
    line = b'{"time": "2126-11-23T04:05:06.789Z", "sequence": 2, "previous": "%s", "type": "exit"}\n'
    with path.open("ab") as file:
        file.write(line % hashlib.sha256(last).hexdigest().encode())
    (path.parent / "audit.jsonl.head").unlink()
    appended(path, {"type": "b"})
    proof = verify([str(path)], [])
    assert proof.status == 1 and "written by an older gate" in "\n".join(proof.lines)
    assert [json.loads(line)["type"] for line in path.read_bytes().splitlines()] == ["a", "exit", "chain", "b"]


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
    """flock(2) needs only a descriptor for reading."""
    appended(path, {"type": "x"})
    with path.open() as reader, open(f"{path}.head") as beside:
        fcntl.flock(reader, fcntl.LOCK_EX)
        fcntl.flock(beside, fcntl.LOCK_EX)
        appended(path, {"type": "y"})
    assert len(path.read_text().splitlines()) == 2


def test_the_file_of_the_lock_is_nobody_elses_to_read(path):
    """Whoever may read it can hold a shared lock on it (fcntl(2)), which blocks every record."""
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


def test_a_log_in_a_directory_that_is_missing_four_times_is_refused(tmp_path):
    refused(tmp_path / "a/b/c/d/audit.jsonl")
    assert os.listdir(tmp_path) == []


def test_an_ordinary_users_usual_directories_are_made_with_the_log(tmp_path):
    path = tmp_path / ".local/state/borgctl/audit.jsonl"
    Log.open(str(path), syslog=False).close()
    assert path.exists() and path.parent.stat().st_mode & 0o777 == 0o700


WRITER = """
import sys
from borgctl.audit.log import Log
log = Log.open(sys.argv[1], syslog=False)
for number in range(int(sys.argv[3])):
    log.append({"type": "x", "writer": sys.argv[2], "number": number, "pad": "x" * 500})
"""


def chained(path):
    """Check that a log and its older parts are one chain; return the records."""
    proof = verify([str(path)], [])
    assert proof.check.bad == [], proof.lines
    return [record for line in lines(list(proof.files)) if (record := json.loads(line.text))]


@pytest.mark.slow
def test_twenty_writers_at_once_make_one_chain_of_whole_lines(path):
    writers = [programs.started(WRITER, path, number, 50) for number in range(20)]
    assert [writer.wait(120) for writer in writers] == [0] * 20
    seen = chained(path)
    assert [one["sequence"] for one in seen] == list(range(1, 1001))
    assert len({(one["writer"], one["number"]) for one in seen}) == 1000
    for writer in map(str, range(20)):
        assert [one["number"] for one in seen if one["writer"] == writer] == list(range(50))


def test_a_log_that_is_rotated_while_they_write_is_one_chain(path):
    """logrotate renames it at any moment; older parts are compressed later (delaycompress)."""
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
from borgctl.audit import lookup
from borgctl.audit.log import Log
from borgctl.cli.log.read import lines
from borgctl.cli.log.verify import verify
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


@pytest.mark.parametrize(
    ("limit", "reason"), [(60, b"log-unusable"), (64, b"log-unusable"), (100, b"log-unusable"), (1000, b"no-space")]
)
def test_a_full_disk_leaves_no_part_of_a_line(path, limit, reason):
    done = programs.python(FULL, path, limit)
    assert (done.stdout, done.stderr, done.returncode) == (reason + b"\n", b"", 0)
    assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == ["first", "third"]


@only_root
def test_a_really_full_file_system_leaves_no_part_of_a_line(tmp_path):
    code = """
import ctypes, json, os, sys
from borgctl.audit import lookup
from borgctl.audit.log import Log
from borgctl.cli.log.read import lines
from borgctl.cli.log.verify import verify
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
    assert (done.stdout, done.stderr, done.returncode) == (b"no-space\n", b"", 0)


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
    end = Head(49_999, "0" * 64)
    assert answers(log, end, *heads) == [True] * 3
    assert answers(log, end, Head(2, "0" * 64)) == [False]
    last = link(line.replace(b'"sequence": 3', b'"sequence": 20000').rstrip())
    assert answers(log, end, last.head) == [True]
    assert len(log.for_server(end, heads[0])["digests"]) == log.for_server(end, heads[0])["sequence"] - 1 == MOST
    monkeypatch.setattr(lookup, "_MOST_BYTES", 1 << 20)
    assert answers(log, end, heads[0], end) == [None, False]
    subprocess.run(["/bin/gzip", "-k", path], check=True)
    os.rename(f"{path}.gz", f"{path}.1.gz")
    os.truncate(path, 0)
    assert answers(log, end, heads[0], end) == [True, None]
    log.close()
