"""What a job's paths hold besides files, with real borgs: other file systems, devices, pipes."""

import contextlib
import json
import os
import sys

import pytest
from machines import run
from pair import with_a_repository
from pulling import last_line, over_stdio
from stage import SUPPORT

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and read devices")


@pytest.fixture
def pair(kept, find_borg, way):
    return kept(with_a_repository, find_borg(way[0]), way[1])


@contextlib.contextmanager
def mounted(place):
    place.mkdir()
    assert run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place]).returncode == 0
    try:
        yield
    finally:
        run(["umount", place])


def saved(pair):
    """Return the paths in the newest archive."""
    (archive,) = json.loads(pair.borg_local("list", "--json", "--last", "1", pair.server.repository).stdout)["archives"]
    where = f"{pair.server.repository}::{archive['name']}"
    return pair.borg_local("list", "--format", "/{path}{NL}", where).stdout.splitlines()


@root
def test_a_file_system_that_a_backup_stays_out_of_is_counted_on_the_server_and_named_on_the_client(pair):
    client, place = pair.client, pair.client.source / "db"
    client.policy(jobs={"default": {"paths": [client.source], "options": {"one-file-system": True}}})
    with mounted(place):
        (place / "table").touch()
        code, told = pair.told()
        assert (code, told["outcome"], told["skipped_mounts"]) == (0, "ok", 1), told
        assert client.records("exit")[-1]["skipped"] == [str(place)]
        checks = [json.loads(line) for line in pair.borgpull("test", "--json", "web1").stdout.splitlines()]
        (check,) = [check for check in checks if check["check"] == "mounts"]
        assert check["level"] == "warn" and "default 1" in check["text"]
        assert str(place) not in json.dumps([told, checks])
        found = saved(pair)
        assert str(place) in found and f"{place}/table" not in found  # what borg does is what we say of it
        client.policy(jobs={"default": {"paths": [client.source]}})
        assert pair.told()[1]["skipped_mounts"] == 0
        assert f"{place}/table" in saved(pair)
    assert "skipped" not in client.records("exit")[-1]


@contextlib.contextmanager
def loop(file):
    """Make a block device of a file."""
    made = run(["losetup", "--find", "--show", "--read-only", file])
    assert made.returncode == 0, made.stderr
    try:
        yield made.stdout.strip()
    finally:
        run(["losetup", "--detach", made.stdout.strip()])


def hurried(client, server, request):
    """Ask a gate that has little patience, with a `borg serve` at the other end."""
    gate = [sys.executable, "-I", SUPPORT / "hurried.py", "gate", "--policy", client.policy_file]
    env = {"SSH_ORIGINAL_COMMAND": request, "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    argv = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items()), *map(str, gate)]
    return over_stdio(argv, None, client.borg, server.repository, server.state)


@root
def test_a_block_device_that_a_job_names_is_saved_with_what_is_on_it_and_no_other_device_is(pair):
    client, (one, other) = pair.client, (pair.client.directory / "one.img", pair.client.directory / "other.img")
    for file in (one, other):
        file.write_bytes(os.urandom(1 << 20))
    link, astray = client.directory / "disk", client.source / "astray"
    with loop(one) as device, loop(other) as second:
        link.symlink_to(device)
        astray.symlink_to(second)  # in a directory of the job: borg would follow it, and is held
        client.policy(jobs={"default": {"paths": [device, link, client.source], "options": {"read-special": True}}})
        code, told = pair.told()
        assert (code, told["outcome"]) == (1, "warning"), told
        found = saved(pair)
        assert device in found and str(link) in found and str(astray) not in found
        (archive,) = json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)["archives"]
        where = f"{pair.server.repository}::{archive['name']}"
        for path in (device, str(link)):
            assert f"{path[1:]} 1048576" in pair.borg_local("list", "--format", "{path} {size}{NL}", where).stdout
        restored = pair.borg_local("extract", where, device[1:])
        assert restored.returncode == 0, restored.stderr
        assert (pair.server.directory / device[1:]).read_bytes() == one.read_bytes()


def test_a_pipe_into_which_nobody_writes_ends_the_run_and_is_named_on_the_client_only(pair):
    client, server = pair.client, pair.server
    pipe = client.source / "dumps" / "db.fifo"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    writer = [["/bin/sh", "-c", f"setsid sh -c 'sleep 1; echo dump >{pipe}' &"]]
    job = {"paths": [pipe], "options": {"read-special": True}}
    client.policy(jobs={"alone": {**job, "paths": [client.source]}, "fed": {**job, "before": writer}})
    result = hurried(client, server, "run alone")
    assert (last_line(result)["outcome"], last_line(result)["reason"]) == ("failed", "pipe-without-writer"), (
        result.stderr
    )
    assert "db.fifo" not in result.stderr
    assert client.records("exit")[-1]["reading"] == str(pipe)
    assert last_line(hurried(client, server, "run fed"))["outcome"] == "ok"
