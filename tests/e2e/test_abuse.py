"""What the published recipes let a backup server do, tried against a real sshd with our key lines: none of it works."""

import contextlib
import re
import socket
import subprocess

import machines
import pytest
from machines import run
from probes import listener

# As loose as the published recipe's sshd_config, and looser. Not PermitTunnel: OpenSSH 9.2 asks no key option about it
# (test_doctor.py), so that authorize prints what sshd must say.
LOOSE = [
    "AcceptEnv BORG_*",
    "AllowTcpForwarding yes",
    "AllowStreamLocalForwarding yes",
    "AllowAgentForwarding yes",
    "StreamLocalBindUnlink yes",
    "X11Forwarding yes",
    "GatewayPorts clientspecified",
    "Subsystem sftp internal-sftp",
]


def authorized(client, key, sshd, *options):
    """Return what `borgctl authorize` prints: the key line, and the settings for sshd without their comment signs."""
    argv = [machines.program("borgctl"), "authorize", key.public, client.policy_file, "--host-key", sshd.host_key_file]
    printed = run([*argv, *options])
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    block = printed.stdout.partition("# 2.")[2].partition("# 3.")[0]
    return line, [line[1:].strip() for line in block.splitlines() if line.startswith("#   ")]


@pytest.fixture
def client(scratch, server, one_borg):
    """A client; what sshd lets through does not depend on borg's version."""
    return machines.Client(scratch / "client", server.repository, borg=one_borg.path)


@pytest.fixture
def stdio(client, key, sshd):
    """The key line alone, on an sshd that allows everything else."""
    sshd.configure(LOOSE)
    sshd.authorize(authorized(client, key, sshd)[0])
    return sshd


@pytest.fixture
def socketed(client, key, sshd):
    """The socket transport's key line and the sshd settings printed with it, below a loose global section."""
    line, settings = authorized(client, key, sshd, "--transport", "socket")
    sshd.configure([line for line in LOOSE if not line.startswith("StreamLocalBindUnlink")] + settings)
    sshd.authorize(line)
    return sshd


@pytest.fixture(params=["stdio", "socketed"])
def either(request, sshd):
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def forwarding(sshd, key, *options):
    """Hold a connection that only forwards (ssh -N) for as long as the block lasts."""
    process = subprocess.Popen(
        [*sshd.ssh_argv(key, "-N", *options)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def dial(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(3)
        with contextlib.suppress(OSError):
            client.connect(address)
            client.sendall(b"x")
            client.recv(1)


def test_variables_of_the_server_run_no_command(either, client, key, scratch, monkeypatch):
    proof = scratch / "proof"
    code = f"sh -c 'touch {proof}'"
    hostile = {
        "BORG_PASSCOMMAND": code,
        "BORG_RSH": code,
        "BORG_REPO": f"ssh://-oProxyCommand=touch${{IFS}}{proof}/x",
        "BORG_REMOTE_PATH": code,
        "BORG_LOGGING_CONF": str(scratch / "logging.conf"),
        "BORG_BASE_DIR": str(scratch / "elsewhere"),
        "BORG_KEY_FILE": str(scratch / "elsewhere-key"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_POLICY": "/dev/null",
    }
    (scratch / "logging.conf").write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nhandlers=h\n"
        f"[handler_h]\nclass=StreamHandler\nargs=(__import__('os').system({f'touch {proof}'!r}),)\n"
    )
    client.policy(transports=["stdio", "socket"])
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    result = run([*either.ssh_argv(key, "-o", f"SendEnv={' '.join(hostile)}"), "run default"])
    assert client.records("accept"), result.stderr
    assert not proof.exists()
    assert not (scratch / "elsewhere").exists()
    assert set(client.records("accept")[-1]["environment"]).isdisjoint(
        {"BORG_PASSCOMMAND", "BORG_REPO", "BORG_LOGGING_CONF"}
    )


def test_the_lock_printed_for_stdio_keeps_every_variable_out(client, key, sshd, monkeypatch):
    line, lock = authorized(client, key, sshd, "--login", "root")
    lock = [entry.replace("Match User root", f"Match User {sshd.user}") for entry in lock]
    sshd.authorize(line)
    client.policy(environment={"accept": ["COLUMNS"]})  # from here on, not when the lock was printed
    monkeypatch.setenv("COLUMNS", "99")
    for settings, came in ((["AcceptEnv COLUMNS LC_*"], True), (["AcceptEnv COLUMNS LC_*", *lock], False)):
        sshd.configure(settings)
        run([*sshd.ssh_argv(key, "-o", "SendEnv=COLUMNS"), "run default"])
        assert ("COLUMNS" in client.records("accept")[-1]["environment"]) == came


COMMANDS = [
    "touch {proof}",
    "sh -c 'touch {proof}'",
    "run default; touch {proof}",
    "run default\ntouch {proof}",
    "run $(touch {proof})",
    "run `touch {proof}`",
    "run 'default --rsh=touch {proof}'",
    "borg --rsh='touch {proof}' list",
    "borg list --rsh 'touch {proof}'",
    "borg create --rs='touch {proof}' ::x /etc",
    "borg create --content-from-command ::x -- touch {proof}",
    "borg list 'ssh://-oProxyCommand=touch {proof}/x'",
    "borg with-lock /x touch {proof}",
    "borg list --debug-profile={proof}",
    "borg --debug-profile={proof} list",
    "borg export-tar ::x {proof}",
    "borg key export :: {proof}",
    "run default --socket={proof}",
    "run default --repository=/etc",
    "internal-sftp",
]


def test_no_command_line_does_anything_but_a_refusal(stdio, client, key, scratch):
    for command in COMMANDS:
        proof, before = scratch / "proof", len(client.records("refuse"))
        result = run([*stdio.ssh_argv(key), command.format(proof=proof)])
        assert result.returncode in (76, 77), (command, result.stderr)
        assert "Traceback" not in result.stderr, command
        assert not proof.exists(), command
        (record,) = client.records("refuse")[before:]
        assert record["code"] == result.returncode, command
        assert not client.records("accept"), command


def test_subsystem_pty_and_shell_lead_to_the_gate_and_nowhere_else(either, client, key):
    assert run([*either.ssh_argv(key, "-s"), "sftp"]).returncode in (76, 255)
    assert run(either.ssh_argv(key, "-tt")).returncode == 255  # no terminal, and so no command
    assert run(either.ssh_argv(key)).returncode == 76
    assert {record["type"] for record in client.records()} == {"refuse"}


def test_no_tcp_port_can_be_reached_through_the_client(either, key):
    with listener(socket.AF_INET, ("127.0.0.1", 0)) as ((_, port), arrived):
        result = run(either.ssh_argv(key, "-W", f"127.0.0.1:{port}"))
        assert result.returncode == 255
        local = machines.free_port()
        with forwarding(either, key, "-L", f"127.0.0.1:{local}:127.0.0.1:{port}") as ssh:
            machines.wait_for(lambda: ssh.poll() is not None or _accepts(local))
            dial(("127.0.0.1", local))
        assert arrived == []


def test_no_unix_socket_can_be_reached_through_the_client(either, key, scratch):
    with listener(socket.AF_UNIX, str(scratch / "docker.sock")) as (path, arrived):
        local = machines.free_port()
        with forwarding(either, key, "-L", f"127.0.0.1:{local}:{path}") as ssh:
            machines.wait_for(lambda: ssh.poll() is not None or _accepts(local))
            dial(("127.0.0.1", local))
        assert arrived == []


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_no_tcp_port_can_be_opened_on_the_client(either, key):
    for address in ("127.0.0.1:0", "0.0.0.0:0", "127.0.0.1:2", "localhost:0"):
        argv = either.ssh_argv(key, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{address}:127.0.0.1:9")
        assert run(argv).returncode == 255, address


def test_over_stdio_no_socket_can_be_made_and_no_file_removed(stdio, key, scratch):
    victim = scratch / "victim"
    victim.write_text("kept")
    for path in (victim, scratch / "new.sock"):
        argv = stdio.ssh_argv(key, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{path}:{scratch}/none")
        assert run(argv).returncode == 255
    assert victim.read_text() == "kept"
    assert not (scratch / "new.sock").exists()


def test_over_the_socket_no_file_and_no_socket_of_others_can_be_removed(socketed, client, key, scratch):
    victim = scratch / "victim"
    victim.write_text("kept")
    with listener(socket.AF_UNIX, str(scratch / "other.sock")) as (path, _):
        for name in (victim, path):
            argv = socketed.ssh_argv(key, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{name}:{scratch}/none")
            assert run(argv).returncode == 255
        # the published scripts' cleanup removed whatever name the server sent
        for name in (victim, path, client.policy_file, client.audit_file):
            result = run([*socketed.ssh_argv(key), f"run default --socket={name}"])
            assert result.returncode == 77, result.stderr
            assert client.records("refuse")[-1]["reason"] == "socket-refused"
        assert (scratch / "other.sock").is_socket()
    assert victim.read_text() == "kept"


def test_over_the_socket_what_stays_open_is_the_making_of_sockets_and_that_is_all(socketed, client, key, scratch):
    made = scratch / "made.sock"
    with forwarding(socketed, key, "-R", f"{made}:{scratch}/none"):
        machines.wait_for(made.exists)
        assert made.is_socket()
        assert made.stat().st_mode & 0o777 == 0o600
    assert client.records() == []  # as design says: without a record
    result = run(socketed.ssh_argv(key, "-o", "LogLevel=INFO", "-W", "localhost:1"))
    assert result.returncode == 255
    assert re.search("prohibited|refused", result.stderr)


def test_with_the_socket_key_line_alone_localhost_1_is_the_only_port(client, key, sshd):
    line, _ = authorized(client, key, sshd, "--transport", "socket")
    sshd.configure("StreamLocalBindUnlink no")
    sshd.authorize(line)
    said = run(sshd.ssh_argv(key, "-o", "LogLevel=INFO", "-W", "localhost:1")).stderr
    assert "prohibited" not in said  # tried, and nobody listens there
    assert "prohibited" in run(sshd.ssh_argv(key, "-o", "LogLevel=INFO", "-W", "localhost:22")).stderr


def test_from_keeps_the_key_to_its_addresses(client, key, sshd):
    line, _ = authorized(client, key, sshd, "--from", "192.0.2.1")
    sshd.authorize(line)
    assert run([*sshd.ssh_argv(key), "hello"]).returncode == 255
    assert client.records() == []
