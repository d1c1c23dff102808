"""More than one server: two that pull one client, and one that takes the place of a lost one. All programs are real."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import machines
import pytest
from machines import run, wait_for
from pair import Pair, with_a_repository


@pytest.fixture
def one_borg(find_borg):
    return find_borg("borg-1.4")


# ---- two copies


def second(first, directory):
    """Set up another server of the client of `first`, with a policy of its own, the same data and the same log."""
    server = machines.Server(directory / "server")
    client = machines.Client(directory / "policy-2", server.repository, borg=first.borg.path)
    client.source, client.audit_file = first.client.source, first.client.audit_file
    client.policy()
    pair = Pair(client, server, first.sshd, first.borg, "stdio")
    pair.good("--job", "init")
    return pair


def waiting(pair):
    """Let the job save a FIFO of its own too, so that borg waits in the middle of it; return that."""
    own = pair.client.directory / "own"
    own.mkdir()
    os.mkfifo(own / "fifo")
    paths = [pair.client.source, own]
    pair.client.policy(jobs={"default": {"paths": paths, "options": {"read-special": True}}})
    return own / "fifo"


def feed(fifo):
    """Give borg the end that it waits for, once it reads."""

    def opened():
        with contextlib.suppress(OSError):  # ENXIO: nobody reads yet (fifo(7))
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)

    os.close(wait_for(opened, 60, "borg to read the FIFO"))


def accepted(client):
    """Return the repositories of the backups that have begun."""
    return sorted(record["repository"] for record in client.records("accept") if record.get("job") == "default")


def test_two_servers_pull_one_client_at_the_same_time_and_neither_touches_the_other(kept, one_borg, scratch):
    first = kept(with_a_repository, one_borg, "stdio")
    pairs = [first, second(first, scratch)]
    fifos = [waiting(pair) for pair in pairs]
    for pair in pairs:
        pair.set("jobs", "[default]")
    begun = [
        subprocess.Popen(pair.server.borgpull("run", "web1", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for pair in pairs
    ]
    try:
        wait_for(lambda: len(accepted(first.client)) == len(pairs), 60, "both runs to begin")
        assert accepted(first.client) == sorted(str(pair.server.repository) for pair in pairs), "one log has both"
        for fifo in fifos:
            feed(fifo)
        told = [json.loads(process.communicate(timeout=60)[0]) for process in begun]
    finally:
        for process in begun:
            process.kill()
            process.communicate()
    assert [(one["outcome"], one["reason"], one["alerts"]) for one in told] == [("ok", None, [])] * 2

    repositories = set()
    for pair in pairs:
        listed = json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)
        assert len(listed["archives"]) == 1
        repositories.add(listed["repository"]["id"])
        assert os.listdir(pair.client.base / "borg/.config/borg/security") == [listed["repository"]["id"]]
        where = f"{pair.server.repository}::{listed['archives'][0]['name']}"
        data = pair.borg_local("extract", "--stdout", where, str(pair.client.source / "etc/secret").lstrip("/"))
        assert data.stdout == "only the owner may read this\n"
        assert pair.borgpull("status").returncode == 0
    assert len(repositories) == 2
    assert run([machines.program("borgctl"), "audit", "verify", first.client.audit_file]).returncode == 0

    target = first.server.config / "targets/web1.yaml"
    other = f"repository: {pairs[1].server.repository}"
    target.write_text(re.sub(r"(?m)^repository: .*", other, target.read_text()))
    shutil.rmtree(first.server.state)
    code, told = first.told()
    assert (code, told["outcome"], told["reason"]) == (2, "refused", "unknown-repository"), "no key reaches the other's"


# ---- a server that is lost


def exported(pair, place):
    made = pair.borgpull("export", "--to", place)
    assert (made.returncode, made.stderr) == (0, ""), made
    return place


def lose(pair, directory, export):
    """Take the server's disk away, but for its repository, and put the export into other directories."""
    old = pair.server
    repository = directory / "given-back"
    os.rename(old.repository, repository)
    shutil.rmtree(old.directory)
    new = machines.Server(directory / "server")
    old.repositories.mkdir(parents=True)
    os.rename(repository, old.repository)
    for part, place in (("config", new.config), ("state", new.state)):
        assert run(["cp", "-a", f"{export}/{part}/.", place]).returncode == 0
    new.repository = old.repository
    pair.server = new


def test_another_server_goes_on_from_an_export_and_nobody_touches_the_client(kept, one_borg, scratch):
    pair = kept(with_a_repository, one_borg, "stdio")
    pair.good()
    early = exported(pair, scratch / "early")
    pair.good()
    export = exported(pair, scratch / "export")
    assert run(["sha256sum", "--check", "--quiet", "--strict", "manifest"], cwd=export).returncode == 0
    history = pair.borgpull("history", "--json").stdout
    head = json.loads(pair.borgpull("status", "--json").stdout)["head"]
    client = {path: path.read_bytes() for path in (pair.client.policy_file, *pair.client.base.glob("*-*"))}
    assert head and len(client) > 3

    (scratch / "one").mkdir()
    lose(pair, scratch / "one", export)
    assert json.loads(pair.borgpull("status", "--json").stdout)["head"] == head
    code, told = pair.told()
    assert (code, told["outcome"], told["alerts"], told["audit"]["continues"]) == (0, "ok", [], True)
    rows = pair.borgpull("history", "--json").stdout
    assert rows.startswith(history) and len(rows.splitlines()) == len(history.splitlines()) + 1
    assert {path: path.read_bytes() for path in client} == client
    assert len(json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)["archives"]) == 3

    (scratch / "two").mkdir()
    lose(pair, scratch / "two", early)
    code, told = pair.told()
    assert (code, told["outcome"], told["audit"]["continues"]) == (1, "ok", True)
    assert [alert["reason"] for alert in told["alerts"]] == ["repository-changed"], "of the runs since the export"
    assert pair.borgpull("accept", "web1", "--reason", "an export of before").returncode == 0
    pair.good()
