"""What a job's paths hold besides files, with real borgs: other file systems, devices, pipes."""

import contextlib
import json
import os

import pytest
from machines import run
from pair import Pair

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and read devices")


@pytest.fixture
def borg(way, find_borg):
    return find_borg(way[0])


@pytest.fixture
def pair(client, server, sshd, way, find_borg):
    pair = Pair(client, server, sshd, find_borg(way[0]), way[1])
    code, told = pair.told("--job", "init")
    assert (code, told["outcome"]) == (0, "ok"), told
    return pair


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
