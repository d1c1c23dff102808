"""How real borgs end what is no success: damage, files that are not as they stood, sources that are not there."""

import contextlib
import json

import machines
import pytest
from machines import run
from pair import with_a_repository

CHECKS = {
    "whole": {},
    "repository": {"repository-only": True},
    "archives": {"archives-only": True},
    "data": {"verify-data": True},
}


WAYS = [("borg-1.4", "stdio"), ("borg-debian", "socket")]


@pytest.fixture(params=WAYS, ids="-".join)
def pair(request, find_borg, kept):
    """A client and a server with a new repository."""
    name, transport = request.param
    return kept(with_a_repository, find_borg(name), transport)


def borgctl(pair, *words):
    return run([machines.program("borgctl"), *words])


@contextlib.contextmanager
def damaged(repository):
    """Flip bytes near the end of the largest segment, where the metadata of an archive is, for a while."""
    segment = max(repository.glob("data/*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    for place in range(len(content) - 300, len(content) - 292):
        content[place] ^= 0xFF
    kept = segment.read_bytes()
    segment.write_bytes(content)
    yield
    segment.write_bytes(kept)


def test_each_kind_of_check_that_finds_damage_has_failed_and_both_sides_say_so(pair):
    kinds = CHECKS if pair.transport == "stdio" else ("whole", "archives")
    checks = {name: {"command": "check", "options": CHECKS[name]} for name in kinds}
    pair.client.policy(jobs={"default": {"paths": [pair.client.source]}} | checks)
    pair.set("jobs", machines.flow({"default": {}} | {name: {"kind": "read", "run": False} for name in kinds}))
    assert pair.told()[0] == 0
    with damaged(pair.server.repository):
        result = pair.run("--json", *(word for name in kinds for word in ("--job", name)))
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 2 and [one["job"] for one in told] == [*kinds], result.stderr
    runs = [one["run"] for one in told]
    assert {(one["outcome"], one["reason"], one["code"]) for one in told} == {("failed", "repository-damaged", 65)}
    assert all([alert["reason"] for alert in one["alerts"]] == ["repository-damaged"] for one in told), told
    assert "Data integrity error: Segment entry checksum mismatch" in told[0]["alerts"][0]["text"]
    own = borgctl(pair, "status", pair.client.policy_file)
    assert own.returncode == 2 and own.stdout.count("damaged, found by") == len(kinds), own.stdout
    alerts = {alert["job"]: alert for alert in pair.client.records("alert") if alert["run"] in runs}
    assert list(alerts) == [*kinds] and {one["reason"] for one in alerts.values()} == {"repository-damaged"}
    assert "Data integrity error" in alerts["archives"]["found"][0]  # what serve has found it says on the server alone


@contextlib.contextmanager
def unreadable(file):
    """Make a file that not even root can read for a while: the memory of a process has nothing at its beginning."""
    file.touch()
    assert run(["mount", "--bind", "/proc/1/mem", file]).returncode == 0
    try:
        yield file
    finally:
        assert run(["umount", file]).returncode == 0
        file.unlink()


def test_files_that_were_not_saved_are_counted_for_the_server_and_named_on_the_client(pair):
    pair.client.policy(jobs={"default": {"paths": [pair.client.source]}})
    with unreadable(pair.client.source / "bad") as file:
        result = pair.run("--json")
    told = json.loads(result.stdout)
    assert (result.returncode, told["outcome"], told["warnings"]) == (1, "warning", {"unreadable": 1}), told
    assert told["messages"] == [] and str(file) not in result.stdout + result.stderr
    (ended,) = [one for one in pair.client.records("exit") if one["run"] == told["run"]]
    assert (ended["warnings"], ended["listed"]) == ({"unreadable": 1}, 1)
    found = borgctl(pair, "audit", "show", "--run", told["run"], "--files", pair.client.audit_file)
    assert found.stdout.startswith(f"unreadable  {file}: "), found


def test_a_source_that_is_not_there_or_suddenly_empty_is_no_backup_on_either_side(pair):
    data = pair.client.directory / "data"
    data.mkdir()
    (data / "file").write_text("x")
    pair.client.policy(jobs={"data": {"paths": [pair.client.source, data]}, "mount": {"paths": [data]}})
    pair.set("jobs", "[data, mount]")
    assert pair.told()[0] == 0
    (data / "file").unlink()
    code, told = pair.told("--job", "mount")
    assert (code, told["outcome"], told["reason"]) == (2, "failed", "nothing-backed-up"), told
    assert [alert["reason"] for alert in told["alerts"]] == ["nothing-backed-up"]
    data.rmdir()
    code, told = pair.told("--job", "data")
    assert (code, told["outcome"], told["reason"], told["code"]) == (2, "failed", "source-missing", 66), told
    assert str(data) not in json.dumps(told) and repr(str(data)) in pair.client.records("exit")[-1]["detail"]
    own = borgctl(pair, "status", pair.client.policy_file)
    assert "data: failing" in own.stdout and "source-missing" in own.stdout, own.stdout


@contextlib.contextmanager
def small_disk(place):
    """Mount a small file system for a while."""
    place.mkdir(mode=0o700)
    assert run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "none", place]).returncode == 0
    try:
        yield place
    finally:
        assert run(["umount", place]).returncode == 0


def test_a_client_without_room_for_borgs_own_files_says_so_and_where(pair):
    with small_disk(pair.client.directory / "small") as disk:
        pair.client.policy(jobs={"default": {"paths": [pair.client.source]}}, base=disk / "base")
        assert pair.told("--job", "default")[0] == 0
        with (disk / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
            while fill.write(b"x" * 4096):
                pass
        code, told = pair.told("--job", "default")
        assert (code, told["reason"], told["code"]) == (2, "no-space", 69), told
        assert str(disk) not in json.dumps(told) and str(disk) in pair.client.records("exit")[-1]["detail"]
        tested = pair.borgpull("test", "web1")
        assert tested.returncode == 2 and "make room on the client's disk" in tested.stdout, tested.stdout
