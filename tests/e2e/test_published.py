"""The published way: SendEnv, an empty command and ssh -R, with the policy saying `published: yes`."""

import pytest
from machines import key_line, program, run
from pulling import over_stdio, served_socket

ACCEPT = "AcceptEnv BORG_SOCKET BORG_REPOPATH"
SOCKET_OPTIONS = 'restrict,port-forwarding,permitopen="localhost:1",permitlisten="localhost:1"'


@pytest.fixture
def published(client, key, sshd, server, borg):
    """An initialized repository, and an sshd that takes the published scripts' variables."""
    client.policy(published=True)
    sshd.authorize(key_line(key, client.command(key), SOCKET_OPTIONS))
    sshd.configure([ACCEPT, "StreamLocalBindUnlink no"])
    made = over_stdio(sshd.ssh_argv(key), "run init", borg.path, server.repository, server.state)
    assert made.returncode == 0, made.stderr
    return sshd


def pull(sshd, key, remote, local, monkeypatch, repository=None, *options):
    monkeypatch.setenv("BORG_SOCKET", str(remote))
    monkeypatch.setenv("BORG_REPOPATH", str(repository or ""))
    return run(sshd.ssh_argv(key, "-o", "SendEnv=BORG_SOCKET BORG_REPOPATH", "-R", f"{remote}:{local}", *options))


def test_a_plain_ssh_with_variables_and_no_command_runs_the_default_job(
    published, client, key, server, borg, scratch, monkeypatch
):
    remote, local = client.socket_directory / "r1.sock", scratch / "l.sock"
    with served_socket(local, borg.path, server.repository, server.state) as serves:
        result = pull(published, key, remote, local, monkeypatch, server.repository)
    assert result.returncode == 0, result.stderr
    record = client.records("exit")[-1]
    assert (record["job"], record["outcome"], record["command"]) == ("default", "ok", "create")
    assert client.records("accept")[-1]["transport"] == "socket"
    assert len(serves) == 1  # connected once
    assert not remote.exists()


def test_the_settings_that_authorize_prints_let_the_variables_through_and_no_others(
    client, key, sshd, server, borg, scratch, monkeypatch
):
    client.policy(published=True, environment={"accept": ["COLUMNS"]})
    argv = [program("borgctl"), "authorize", key.public, client.policy_file, "--host-key", sshd.host_key_file]
    printed = run([*argv, "--transport", "socket"]).stdout
    sshd.authorize(next(line for line in printed.splitlines() if not line.startswith("#")))
    block = printed.partition("# 2.")[2].partition("# 3.")[0]
    sshd.configure(["AcceptEnv LINES", *(line[1:].strip() for line in block.splitlines() if line.startswith("#   "))])
    client.policy(published=True, environment={"accept": ["COLUMNS", "LINES"]})  # sshd knows only what was printed
    monkeypatch.setenv("COLUMNS", "99")
    monkeypatch.setenv("LINES", "99")
    remote, local = client.socket_directory / "r0.sock", scratch / "l.sock"
    also = ("-o", "SendEnv=COLUMNS LINES")
    with served_socket(local, borg.path, server.repository, server.state):
        made = run([*sshd.ssh_argv(key, "-R", f"{remote}:{local}"), f"run init --socket={remote}"])
        assert made.returncode == 0, made.stderr
        result = pull(sshd, key, remote, local, monkeypatch, server.repository, *also)
    assert result.returncode == 0, result.stderr
    accept = client.records("accept")[-1]
    assert (accept["job"], accept["transport"]) == ("default", "socket")
    assert "COLUMNS" in accept["environment"] and "LINES" not in accept["environment"]


def test_without_published_in_the_policy_the_variables_mean_nothing(
    published, client, key, server, borg, scratch, monkeypatch
):
    client.policy()
    remote, local = client.socket_directory / "r2.sock", scratch / "l.sock"
    with served_socket(local, borg.path, server.repository, server.state) as serves:
        result = pull(published, key, remote, local, monkeypatch, server.repository)
    assert result.returncode == 76
    assert client.records("refuse")[-1]["reason"] == "empty-request"
    assert serves == []


def test_a_repository_that_is_not_in_the_policy_is_refused_and_no_name_is_left(
    published, client, key, server, borg, scratch, monkeypatch
):
    remote, local = client.socket_directory / "r3.sock", scratch / "l.sock"
    with served_socket(local, borg.path, server.repository, server.state) as serves:
        result = pull(published, key, remote, local, monkeypatch, "/srv/borg/other")
    assert result.returncode == 77
    assert client.records("refuse")[-1]["reason"] == "unknown-repository"
    assert not remote.exists()
    assert serves == []


def test_both_carriers_with_different_values_are_malformed(published, client, key, scratch, monkeypatch):
    remote = client.socket_directory / "r4.sock"
    monkeypatch.setenv("BORG_SOCKET", str(remote))
    argv = published.ssh_argv(key, "-o", "SendEnv=BORG_SOCKET", "-R", f"{remote}:{scratch}/none")
    result = run([*argv, f"run default --socket={remote}2"])
    assert result.returncode in (76, 77)
    assert client.records("refuse")[-1]["reason"] in ("conflicting-values", "socket-refused")


def test_a_dead_name_of_an_earlier_run_is_swept_and_a_living_one_is_not(
    published, client, key, server, borg, scratch, monkeypatch
):
    dead, living = client.socket_directory / "dead.sock", client.socket_directory / "living.sock"
    import socket

    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead))
    with (
        socket.socket(socket.AF_UNIX) as listener,
        served_socket(scratch / "l.sock", borg.path, server.repository, server.state),
    ):
        listener.bind(str(living))
        listener.listen()
        result = pull(published, key, client.socket_directory / "r5.sock", scratch / "l.sock", monkeypatch)
        assert result.returncode == 0, result.stderr
        assert not dead.exists()
        assert living.exists()
