"""`borgpull test` against real clients: what is wrong is told by its name, before a night is lost to it."""

import json

import machines
import pytest
from machines import run


@pytest.fixture
def client(scratch, server, one_borg):
    return machines.Client(scratch / "client", server.repository, borg=one_borg.path)


@pytest.fixture
def pair(client, server, sshd, one_borg):
    """A client that its server can pull: added, authorized, trusted; returns what asks `borgpull test`."""
    host = f"{sshd.user}@127.0.0.1"
    words = ("--port", sshd.port, "--repository", server.repository, "--quota", "10M")
    added = run(server.borgpull("add", "web1", host, *words))
    assert added.returncode == 0, added.stderr
    target = server.config / "targets/web1.yaml"
    target.write_text(target.read_text().replace("#borg: /usr/bin/borg", f"borg: {one_borg.path}"))
    public = (server.config / "keys/web1.pub").read_text().strip()
    argv = [machines.program("borgctl"), "authorize", public, client.policy_file, "--host-key", sshd.host_key_file]
    printed = run(argv)
    sshd.authorize(next(line for line in printed.stdout.splitlines() if line and not line.startswith("#")))
    assert run(server.borgpull("trust", "web1", sshd.host_key)).returncode == 0

    def ask():
        done = run(server.borgpull("test", "web1", "--json"))
        assert not done.stderr, done.stderr
        return done.returncode, {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}

    return ask


def test_a_pair_that_is_set_up_is_ready(pair, client, server, sshd):
    code, found = pair()
    assert (code, found["repository"]["level"]) == (1, "warn")  # not made yet
    made = run(server.borgpull("run", "web1", "--job", "init"), timeout=120)
    assert made.returncode == 0
    assert "borg: warning: IMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!\n" in made.stderr
    code, found = pair()
    assert code == 0, found
    assert found["borg"]["text"].startswith("the client has borg 1.")
    assert found["clock"]["text"] == "the clocks agree"
    assert {record["command"] for record in client.records("accept")} == {"hello", "init"}


def test_what_the_client_lacks_is_told_before_it_is_needed(pair, client):
    client.passphrase_file.chmod(0o644)
    code, found = pair()
    assert (code, found["borg"]["level"], found["ready"]["level"]) == (2, "ok", "error")
    assert "passphrase-unusable" in found["ready"]["text"]
    client.passphrase_file.chmod(0o600)
    client.policy(borg="/nonexistent/borg")
    code, found = pair()
    assert (code, found["ready"]["text"]) == (2, "a run would fail there: borg-missing")


def test_another_host_key_is_told_by_its_name(pair, server, sshd, scratch):
    other = machines.keypair(scratch, "other")
    key = " ".join(other.public.split()[:2])
    assert run(server.borgpull("trust", "web1", key, "--replace")).returncode == 0
    code, found = pair()
    assert (code, found["host-key"]["level"]) == (2, "error")
    assert "trust" in found["host-key"]["hint"]


def test_a_key_that_is_not_authorized_is_told_by_its_name(pair, sshd):
    sshd.replace_keys()
    code, found = pair()
    assert (code, found["key"]["level"]) == (2, "error")


def test_a_client_that_cannot_be_reached_is_told_so(pair, server, sshd):
    target = server.config / "targets/web1.yaml"
    target.write_text(target.read_text().replace(f"port: {sshd.port}", f"port: {machines.free_port()}"))
    code, found = pair()
    assert (code, found["ssh"]["level"]) == (2, "error")
    assert "refused" in found["ssh"]["text"]


def test_the_socket_transport_is_tried_with_a_forward_and_leaves_no_name(pair, client, server, sshd):
    target = server.config / "targets/web1.yaml"
    target.write_text(f"{target.read_text()}transport: socket\nsocket_directory: {client.socket_directory}\n")
    code, found = pair()
    assert (code, found["socket"]["level"]) == (2, "error")  # the key line is for stdio
    public = (server.config / "keys/web1.pub").read_text().strip()
    argv = [machines.program("borgctl"), "authorize", public, client.policy_file, "--transport", "socket"]
    printed = run([*argv, "--host-key", sshd.host_key_file])
    sshd.replace_keys(next(line for line in printed.stdout.splitlines() if line and not line.startswith("#")))
    code, found = pair()
    assert (code, found["hello"]["level"]) == (1, "ok"), found
    assert list(client.socket_directory.iterdir()) == []
