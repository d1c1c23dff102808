"""The exact argv and environment of ssh and borg."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from borgctl.pull.client import client_command, ssh
from borgctl.pull.repository import guard_process, serve
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import read
from borgctl.values import JobName
from borgctl.wire import gate_argv

FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
TEXT = f"host: root@web1\nport: 2222\nrepository: /srv/borg/web1\nquota: 500G\nhost_key: {KEY} root@web1\n"


def target(extra: str = "", name: str = "web1"):
    return read(TEXT + extra, TargetName(name), FOLDERS)


OPTIONS = [
    *(
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/r/known_hosts",
        "GlobalKnownHostsFile=/dev/null",
    ),
    *("KnownHostsCommand=none", "VerifyHostKeyDNS=no", "HostKeyAlias=borgpull-web1", "CheckHostIP=no"),
    *("UpdateHostKeys=no", "PreferredAuthentications=publickey", "IdentitiesOnly=yes", "IdentityAgent=none"),
    *("IdentityFile=/etc/borgpull/keys/web1", "ExitOnForwardFailure=yes"),
    *("ConnectTimeout=60", "ServerAliveInterval=30"),
    *("ServerAliveCountMax=3", "ControlMaster=no", "ControlPath=none", "Tunnel=no", "PermitLocalCommand=no"),
    *("RemoteCommand=none", "EscapeChar=none", "Compression=no", "LogLevel=ERROR"),
]


def words(*options: str) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def test_ssh_over_stdio_has_exactly_these_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "processor_has_aes", lambda: True)
    request = "run default --repository=/srv/borg/web1 --log=json"
    assert client_command.run(target(), JobName("default"), "/r").argv == [
        *("/usr/bin/ssh", "-T", "-a", "-x"),
        *words(*OPTIONS, "Ciphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com", "ClearAllForwardings=yes"),
        *("-p", "2222", "--", "root@web1", request),
    ]


def test_ssh_with_a_socket_forwards_it_and_keeps_its_forwarding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "processor_has_aes", lambda: False)
    call = client_command.run(target("transport: socket\n"), JobName("default"), "/r", nonce="0af")
    assert call.argv == [
        *("/usr/bin/ssh", "-T", "-a", "-x", *words(*OPTIONS), "-p", "2222"),
        *("-R", "/run/borgctl/borgpull-0af.sock:/r/serve.sock", "--", "root@web1"),
        "run default --repository=/srv/borg/web1 --socket=/run/borgctl/borgpull-0af.sock --log=json",
    ]
    assert call.listen == "/r/serve.sock"


def test_hello_needs_no_socket() -> None:
    call = client_command.hello(target("transport: socket\n"), "/r")
    assert call.argv[-3:] == ["--", "root@web1", "hello --log=json"]
    assert call.listen is None


def test_the_gate_of_a_local_target_gets_three_variables() -> None:
    text = "transport: local\npolicy: /etc/borgctl/me.yaml\nrepository: /srv/borg/me\nquota: 1G\n"
    call = client_command.run(read(text, TargetName("me"), FOLDERS), JobName("default"), "/r")
    assert call.argv == [sys.executable, "-I", "-m", "borgctl.gate", "--policy", "/etc/borgctl/me.yaml"]
    request = "run default --repository=/srv/borg/me --log=json"
    assert call.env == {"PATH": "/usr/bin:/bin", "TMPDIR": "/r", "SSH_ORIGINAL_COMMAND": request}


def test_ssh_gets_the_accounts_variables_and_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("BORG_PASSPHRASE", "secret")
    assert set(ssh.environment()) == {"HOME", "PATH", "USER", "LOGNAME"}


def test_serve_is_always_append_only_restricted_and_within_its_quota() -> None:
    assert serve.argv(target()) == [
        *("/usr/bin/borg", "serve", "--append-only", "--restrict-to-path", "/srv/borg/web1"),
        *("--restrict-to-repository", "/srv/borg/web1", "--storage-quota", "500G", "--umask=0077"),
    ]


def test_serves_environment_is_built_from_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "borg serve --debug")
    (tmp_path / "host-id").write_text(f"borgpull@{'0af1' * 8}")
    base = f"{tmp_path}/web1/borg"
    assert serve.environment(Folders("/etc/borgpull", str(tmp_path)), target(), "/r") == {
        "PATH": "/usr/bin:/bin",
        "HOME": base,
        "LANG": "C.UTF-8",
        "TMPDIR": "/r",
        "BORG_BASE_DIR": base,
        "BORG_HOST_ID": f"borgpull@{'0af1' * 8}",
        "BORG_EXIT_CODES": "modern",
        "BORG_SHOW_SYSINFO": "no",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    }


def test_the_known_hosts_file_has_the_alias_alone_in_lower_case() -> None:
    assert ssh.known_hosts(target(name="Web1")) == f"borgpull-web1 {KEY}\n"


def test_the_real_ssh_takes_every_option(tmp_path: Path) -> None:
    argv = ssh.argv(target(), "hello", str(tmp_path / "known_hosts"), aes=True)
    done = subprocess.run(
        [argv[0], "-G", *argv[1:]], env=ssh.environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    taken = done.stdout.splitlines()
    assert {"clearallforwardings yes", "hostkeyalias borgpull-web1", "stricthostkeychecking true"} <= set(taken)
    (ciphers,) = (line for line in taken if line.startswith("ciphers "))
    assert ciphers.startswith("ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,")
    assert "chacha20" in ciphers


@pytest.mark.parametrize(
    ("text", "found"),
    [("flags\t\t: fpu aes avx", True), ("Features\t: fp aes", True), ("flags : fpu vaes", False), ("", False)],
)
def test_aes_is_looked_up_in_the_processors_flags(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{text}\n")
    assert ssh.processor_has_aes(str(tmp_path / "cpuinfo")) is found


def test_a_run_starts_serve_the_guard_and_the_gate_and_nothing_else(world, fp) -> None:
    for _ in range(3):
        fp.pass_command([fp.any()])
    found = world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    (report,) = world.run(found)
    assert report.verdict.outcome == "ok"
    guarded = guard_process.argv(found, GuardSession("create"), 0)
    assert [list(call) for call in fp.calls] == [
        [*client_command.GATE, *gate_argv.arguments(found.policy)],
        serve.argv(found),
        guarded,
    ]


def test_neither_side_inherits_the_launchers_environment_or_descriptors(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "evil")
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    program = world.root / "serve"
    program.write_text(
        f"#!/bin/sh\nenv > {world.root}/env\nls /proc/self/fd > {world.root}/fds\numask > {world.root}/umask\ncat\n"
    )
    program.chmod(0o755)
    world.run(world.local([["start"], ["exit", "ok", 0]], borg=program))
    names = {line.split("=")[0] for line in (world.root / "env").read_text().splitlines()}
    expected = set(serve.environment(world.folders, target(), "/r"))
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == expected
    assert len((world.root / "fds").read_text().split()) == 4  # 0, 1, 2 and the directory that ls reads
    assert (world.root / "umask").read_text() == "0077\n"
    os.close(reader)
    os.close(writer)
