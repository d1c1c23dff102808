"""Every refusal over a real sshd: one clear line with a reason code and the run id, a record, the right status."""

import contextlib
import json
import os
import re
import socket
import subprocess

import machines
import pytest
from machines import key_line, run
from pulling import last_line, over_stdio, served_socket


@pytest.fixture
def client(scratch, server, one_borg, request):
    """The gate's own refusals do not depend on borg's version; where borg answers, a test asks for both by name."""
    borg = request.getfixturevalue("borg") if "borg" in request.fixturenames else one_borg
    return machines.Client(scratch / "client", server.repository, borg=borg.path)


@pytest.fixture
def gate(client, key, sshd):
    """Ask the client over ssh; `ask(request, *ssh_options)`, the request None for an empty command."""
    options = 'restrict,port-forwarding,permitopen="localhost:1",permitlisten="localhost:1"'
    sshd.authorize(key_line(key, client.command(key), options))
    sshd.configure("StreamLocalBindUnlink no")

    def ask(request, *ssh_options):
        argv = sshd.ssh_argv(key, *ssh_options)
        return run(argv if request is None else [*argv, request])

    return ask


def assert_refused(result, client, reason, status, recorded=True):
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    *said, last = result.stderr.strip().splitlines()
    told = json.loads(last)
    assert (told["event"], told["reason"], told["code"], told["origin"]) == ("exit", reason, status, "gate")
    if said:
        assert re.search(rf"{reason}.*{told['run']}", said[-1]), said
    if recorded:
        record = client.records()[-1]
        assert (record["type"], record["reason"], record["run"]) == ("refuse", reason, told["run"])
    assert not client.records("accept")


def test_no_policy(gate, client):
    client.policy_file.unlink()
    assert_refused(gate("run default"), client, "policy-unreadable", 78, recorded=False)


def test_a_policy_that_others_may_write(gate, client):
    client.policy_file.chmod(0o666)
    assert_refused(gate("run default"), client, "policy-unsafe", 78, recorded=False)


def test_a_policy_in_a_directory_that_others_may_write(gate, client):
    client.directory.chmod(0o777)
    assert_refused(gate("run default"), client, "policy-unsafe", 78, recorded=False)
    client.directory.chmod(0o700)


@pytest.mark.parametrize("line", ["version: 1", "x: !!python/object:os.system {}", "jobs: &a {}", "nonsense: 1"])
def test_yaml_with_duplicate_keys_tags_anchors_or_unknown_keys(gate, client, line):
    text = client.policy_file.read_text()
    client.policy(template=f"{text}{line}\n")
    result = gate("run default")
    assert_refused(result, client, "policy-invalid", 78, recorded="nonsense" in line)
    assert str(client.policy_file) not in result.stderr  # the details are for the client's own log


@pytest.mark.parametrize(
    ("request_line", "reason", "status"),
    [
        (None, "empty-request", 76),
        ("", "empty-request", 76),
        ("run", "bad-words", 76),
        ("run weekly", "unknown-job", 77),
        ("run ../default", "bad-value", 76),
        ("run default --repository=relative", "bad-value", 76),
        ("run default --repository=/srv/../etc", "bad-value", 76),
        ("run default --repository=/srv/borg/other", "unknown-repository", 77),
        ("borg create ::x /etc", "command-not-offered", 77),
        ("borg delete ::x", "unknown-command", 76),
        ("run default\x1b[2J", "not-printable", 76),
        ("run default\n", "not-printable", 76),
        ("run d\u00e9fault", "not-printable", 76),
        ("run " + "x" * 131_046, "request-too-long", 76),
        ("run " + "x " * 200, "request-too-long", 76),
        ("window", "window-closed", 77),
    ],
)
def test_a_request_that_is_no_request(gate, client, request_line, reason, status):
    assert_refused(gate(request_line), client, reason, status)
    assert len(client.audit_file.read_bytes()) < 16384


def test_a_sandbox_that_cannot_be_had(gate, client):
    client.policy(borg="/usr/bin/ldd")  # a shell's script: what would that need?
    assert_refused(gate("run default"), client, "sandbox-unavailable", 78)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's borg runs as that user")
def test_a_user_for_borg_who_is_not_here(gate, client):
    client.policy(user="no-such-user")
    assert_refused(gate("run default"), client, "sandbox-unavailable", 78)


def test_a_missing_borg(gate, client):
    client.policy(borg=client.directory / "no-borg")
    assert_refused(gate("run default"), client, "borg-missing", 69)


def test_a_borg_that_others_may_write(gate, client):
    borg = client.directory / "borg"
    borg.write_text("#!/bin/sh\necho borg 1.4.5\n")
    borg.chmod(0o777)
    client.policy(borg=borg, sandbox="off")
    assert_refused(gate("run default"), client, "borg-unsafe", 78)


def test_a_borg_of_an_unknown_series(gate, client):
    borg = client.directory / "borg"
    borg.write_text("#!/bin/sh\necho borg 2.0.0\n")
    borg.chmod(0o755)
    client.policy(borg=borg, sandbox="off")
    assert_refused(gate("run default"), client, "borg-unsupported", 78)


def make_socket(path, mode=0o600):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        path.chmod(mode)


@pytest.mark.parametrize("kind", ["file", "symlink", "dead", "open-to-others", "elsewhere", "directory", "missing"])
def test_a_socket_that_is_none_of_ours(gate, client, scratch, kind):
    announced = client.socket_directory / "x.sock"
    match kind:
        case "file":
            announced.write_text("kept")
        case "symlink":
            make_socket(scratch / "real.sock")
            announced.symlink_to(scratch / "real.sock")
        case "dead":
            make_socket(announced)
        case "open-to-others":
            make_socket(announced, 0o666)
        case "elsewhere":
            announced = scratch / "x.sock"
            make_socket(announced)
        case "directory":
            announced.mkdir()
    assert_refused(gate(f"run default --socket={announced}"), client, "socket-refused", 77)
    assert announced.exists() == (kind in ("file", "symlink", "elsewhere", "directory"))


def test_a_socket_that_another_process_of_the_client_serves(gate, client):
    announced = client.socket_directory / "x.sock"
    with socket.socket(socket.AF_UNIX) as listener:  # this process is an ancestor of the gate here, but no sshd
        listener.bind(str(announced))
        announced.chmod(0o600)
        listener.listen()
        assert_refused(gate(f"run default --socket={announced}"), client, "socket-refused", 77)


def test_someone_elses_socket(gate, client):
    if os.geteuid() != 0:
        pytest.skip("only root can make a file somebody else's")
    announced = client.socket_directory / "x.sock"
    make_socket(announced)
    os.chown(announced, 12345, 12345)
    assert_refused(gate(f"run default --socket={announced}"), client, "socket-refused", 77)
    assert announced.exists()


def test_a_refused_request_leaves_no_name_behind(gate, client, scratch):
    for request in ("run weekly", "run default --repository=/x", "run 'd", "run default --log=xml"):
        announced = client.socket_directory / "fresh.sock"
        words = request.split(" ", 2)
        asked = " ".join([*words[:1], *words[1:2], f"--socket={announced}", *words[2:]])
        result = gate(asked, "-R", f"{announced}:{scratch}/none", "-o", "ExitOnForwardFailure=yes")
        assert result.returncode in (76, 77), result.stderr
        assert not announced.exists() or "'d" in request
        announced.unlink(missing_ok=True)


def test_a_wrong_passphrase_is_borgs_own_answer(gate, client, key, sshd, server, borg):
    argv = (sshd.ssh_argv(key), borg.path, server.repository, server.state)
    assert over_stdio(argv[0], "run init", *argv[1:]).returncode == 0
    client.passphrase_file.write_text("another one\n")
    result = over_stdio(argv[0], "run default", *argv[1:])
    assert (last_line(result)["outcome"], last_line(result)["origin"]) == ("failed", "borg")
    assert result.returncode == last_line(result)["code"] != 0
    assert client.records("exit")[-1]["outcome"] == "failed"


def test_a_passphrase_that_others_may_read_is_not_used(gate, client, key, sshd, server, borg):
    client.passphrase_file.chmod(0o644)
    result = over_stdio(sshd.ssh_argv(key), "run init", borg.path, server.repository, server.state)
    assert result.returncode == 78
    assert last_line(result)["reason"] == "passphrase-unusable"
    assert not server.repository.exists()


def test_a_server_that_closes_at_once(gate, client):
    result = gate("run default")  # stdin is /dev/null
    assert last_line(result)["outcome"] in ("failed", "disconnected")
    assert result.returncode not in (0, 1)
    assert client.records("exit")[-1]["run"] == client.records("accept")[-1]["run"]


def test_a_full_disk_under_the_log(gate, client, scratch):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small = scratch / "small"
    small.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", small], check=True)
    try:
        (small / "ballast").write_bytes(b"x" * 4096)
        log = small / "audit.jsonl"
        log.write_text("")
        with (small / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
            while fill.write(b"x" * 4096):
                pass
        client.policy(audit={"file": log, "syslog": False})
        result = gate("run default")
        assert_refused(result, client, "no-space", 69, recorded=False)
        assert log.read_text() == ""
    finally:
        subprocess.run(["umount", small], check=True)


def test_names_in_borgs_output_never_pass_for_a_line_of_ours(gate, client, key, sshd, server, borg):
    forged = '{"type": "borgctl", "event": "exit", "run": "0", "outcome": "ok", "origin": "borg", "code": 0}'
    hostile = [f"x\n{forged}\ny", "esc\x1b]0;title\x07\x1b[2J", "utf\u2028line", "borg: x\rborgctl: ok"]
    for name in hostile:
        (client.source / name.replace("/", "_")).write_text("x")
    (client.source / "unreadable").symlink_to("loop")
    client.policy(
        jobs={
            "init": {"command": "init", "options": {"encryption": "repokey"}},
            "default": {"paths": [client.source], "options": {"list": True}},
            "list": {"command": "list", "options": {"short": True}},
        },
        commands={"list": {"options": ["short"]}},
        disclose="names",
    )
    argv = (sshd.ssh_argv(key), borg.path, server.repository, server.state)
    assert over_stdio(argv[0], "run init", *argv[1:]).returncode == 0
    for log in ("text", "json"):
        result = over_stdio(argv[0], f"run default --log={log}", *argv[1:])
        assert result.returncode in (0, 1), result.stderr
        archive = client.records("accept")[-1]["argv"][-2].partition("::")[2]
        listed = over_stdio(argv[0], f"borg --log={log} list --short ::{archive}", *argv[1:])
        for text in (result.stderr, listed.stderr):
            assert re.fullmatch(r"[\n\x20-\x7e]*", text)
            ours = [line for line in text.splitlines() if line.startswith("{") and json.loads(line)["event"] == "exit"]
            assert len(ours) == 1
            run_id = json.loads(ours[0])["run"]
            assert all(line.startswith("borg: ") or json.loads(line)["run"] == run_id for line in text.splitlines())
        assert "oloop" not in listed.stderr


def test_over_the_socket_a_server_that_closes_at_once(gate, client, scratch, borg):
    announced, local = client.socket_directory / "c.sock", scratch / "l.sock"
    with served_socket(local, "/bin/true", "/none", scratch):
        result = gate(f"run default --socket={announced}", "-R", f"{announced}:{local}")
    assert last_line(result)["outcome"] in ("failed", "disconnected")
    assert client.records("exit")[-1]["outcome"] in ("failed", "disconnected")
