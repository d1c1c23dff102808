"""Both ssh transports through a real sshd on loopback; the forced command is the stand-in gate."""

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import stop
from stage import SUPPORT

from borgctl.openssh_key import HostKey
from borgctl.pull.client import ssh
from borgctl.pull.targets import setup
from borgctl.pull.targets.paths import TargetName

NAME = TargetName("web1")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


class Sshd:
    """A client on loopback: its port, its host key, and what its forced command plays."""

    def __init__(self, world) -> None:
        self.world, self.root = world, world.root / "sshd"
        self.root.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        argv = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.root / "host")]
        subprocess.run(argv, check=True)
        self.host_key = (self.root / "host.pub").read_text().strip()

    def start(self, public: str, options: str = "restrict") -> None:
        standin = SUPPORT / "standin.py"
        gate = shlex.join([sys.executable, "-I", str(standin), "--policy", str(self.root / "steps.json")])
        (self.root / "keys").write_text(f'{options},command="exec {gate}" {public}\n')
        (self.root / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.root}/host\nAuthorizedKeysFile {self.root}/keys\n"
            "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.root / "config")]
        with open(self.root / "log", "wb") as log:
            self.process = subprocess.Popen(argv, stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail((self.root / "log").read_text())

    def add(self, borg: str, **keys: str):
        """Make the target as `borgpull add` and `trust` do, and let sshd know its key."""
        transport = keys.pop("transport", "stdio")
        public = setup.add(
            self.world.folders,
            NAME,
            host=f"{getpass.getuser()}@127.0.0.1",
            port=self.port,
            repository=str(self.world.root / "repo" / "web1"),
            quota="100M",
            transport=transport,
            policy=None,
        )
        setup.trust(self.world.folders, NAME, HostKey.read(self.host_key), replace=False)
        path = Path(self.world.folders.target(NAME))
        path.write_text(
            path.read_text() + f"borg: {borg}\n" + "".join(f"{key}: {value}\n" for key, value in keys.items())
        )
        self.start(public or "", "restrict,port-forwarding" if transport == "socket" else "restrict")

    def begins(self, words: str) -> None:
        """Let the login say something before the gate does."""
        keys = (self.root / "keys").read_text()
        (self.root / "keys").write_text(keys.replace('command="exec ', f'command="{words}; exec '))

    def plays(self, steps: object) -> None:
        Path(self.world.steps(steps)).rename(self.root / "steps.json")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def sshd(world) -> Iterator[Sshd]:
    client = Sshd(world)
    yield client
    client.stop()


def create(borg: str, world) -> list:
    (world.root / "data").mkdir(exist_ok=True)
    (world.root / "data" / "file").write_bytes(os.urandom(300_000))
    return [["start"], ["borg", borg, "create", "--json", "REPO::monday", str(world.root / "data")]]


def test_a_run_over_ssh_asks_hello_and_makes_an_archive(world, sshd, borg, repository, borgpull) -> None:
    sshd.add(borg)
    sshd.plays({"hello": [["hello", "default"]], "run": create(borg, world)})
    status, _, err = borgpull("run", "web1")
    assert status == 0, err
    assert "web1 hello: offers default" in err
    assert "web1 default: ok, 1 files" in err


NOLOGIN = "This account is currently not available."


@pytest.mark.parametrize(
    ("words", "shown"),
    [("printf 'h\\033i'", "'h\\x1bi'"), ("exec /usr/sbin/nologin", f"'{NOLOGIN}'")],
    ids=["text", "nologin"],
)
def test_what_a_login_prints_before_the_gate_speaks_is_shown_and_is_no_attack(
    world, sshd, borg, repository, borgpull, words, shown
) -> None:
    sshd.add(borg)
    sshd.plays({"hello": [["hello", "default"]], "run": create(borg, world)})
    sshd.begins(words)
    for argv in (("run", "web1", "--job", "default"), ("run", "web1")):
        status, _, err = borgpull(*argv)
        assert status == 2 and "stray-output" in err and shown in err.replace("\\\\", "\\")
        assert "~/.bashrc" in err and "ALERT" not in err
    status, out, _ = borgpull("test", "web1", "--json")
    (check,) = [one for one in map(json.loads, out.splitlines()) if one["check"] == "hello"]
    assert (status, check["level"]) == (2, "error") and shown in check["text"] and "~/.bashrc" in check["hint"]


def test_what_a_login_prints_on_stderr_keeps_no_run_from_going_well(world, sshd, borg, repository, borgpull) -> None:
    sshd.add(borg)
    sshd.plays({"hello": [["hello", "default"]], "run": create(borg, world)})
    sshd.begins("echo hi >&2")
    assert borgpull("run", "web1")[0] == 0


def test_a_connection_that_is_lost_in_a_run_is_no_client_that_cannot_be_reached(
    world, sshd, borg, repository, borgpull
) -> None:
    sshd.add(borg, jobs="[default]")
    sshd.plays([["start"], ["cut-off"]])
    status, _, err = borgpull("run", "web1")
    assert status == 2 and "web1 default: failed (ssh: connection-lost, status 255)" in err
    assert "hint: connection lost after " in err and "run again" in err and "under this name" not in err


def test_a_wrong_host_key_ends_the_run_before_anything_is_said(world, sshd, borg, repository, borgpull) -> None:
    sshd.add(borg, jobs="[default]")
    other = setup.add(
        world.folders,
        TargetName("x"),
        host="h",
        port=None,
        repository="/r/x",
        quota="1G",
        transport="stdio",
        policy=None,
    )
    setup.trust(world.folders, NAME, HostKey.read(other or ""), replace=True)
    sshd.plays(create(borg, world))
    status, _, err = borgpull("run", "web1")
    assert (status, "web1 default: failed (ssh: ssh-failed, status 255)" in err) == (2, True), err
    assert "Host key verification failed" in err and "IDENTIFICATION HAS CHANGED" in err
    assert "known_hosts" not in err and "ssh-keygen" not in err and "remove with" not in err
    assert "serve" not in err


@pytest.mark.parametrize(
    ("answers", "said"), [(True, "Connection timed out during banner exchange"), (False, "Connection refused")]
)
def test_a_host_that_says_nothing_and_one_that_is_not_there_are_told_with_a_hint(
    world, repository, borgpull, monkeypatch, answers, said
) -> None:
    monkeypatch.setattr(ssh, "PATIENCE", 1)
    with socket.socket() as host:
        host.bind(("127.0.0.1", 0))
        if answers:
            host.listen()
        words = {"repository": str(repository), "quota": "100M", "transport": "stdio", "policy": None}
        setup.add(world.folders, NAME, host="root@127.0.0.1", port=host.getsockname()[1], **words)
        setup.trust(world.folders, NAME, HostKey.read(KEY), replace=False)
        status, _, err = borgpull("run", "web1")
    assert status == 2 and f"ssh or client: {'' if answers else 'ssh: connect to host 127.0.0.1 port '}" in err
    assert said in err and "web1: failed (ssh: ssh-failed, status 255)" in err and "Traceback" not in err
    assert err.endswith("hint: can the client be reached under this name and port?\n")


def test_the_socket_transport_serves_one_connection_under_a_fresh_name(world, sshd, borg, repository, borgpull) -> None:
    directory = world.root / "in"
    directory.mkdir(mode=0o700)
    sshd.add(borg, transport="socket", jobs="[default]", socket_directory=str(directory))
    sshd.plays(create(borg, world))
    status, _, err = borgpull("run", "web1")
    assert status == 0, err
    assert "web1 default: ok, 1 files" in err
    (name,) = directory.iterdir()  # the gate unlinks it, the stand-in does not
    assert name.is_socket()


def test_a_client_that_never_connects_to_the_socket_has_not_succeeded(world, sshd, borg, repository, borgpull) -> None:
    (world.root / "in").mkdir(mode=0o700)
    sshd.add(borg, transport="socket", jobs="[default]", socket_directory=str(world.root / "in"))
    sshd.plays([["start"], ["claim", "ok", 0]])
    status, _, err = borgpull("run", "web1")
    assert (status, "failed (launcher: serve-unused)" in err) == (2, True), err


def test_a_name_that_the_client_cannot_bind_ends_the_run(world, sshd, borg, repository, borgpull) -> None:
    sshd.add(borg, transport="socket", jobs="[default]", socket_directory=str(world.root / "missing"))
    sshd.plays([["start"], ["exit", "ok", 0]])
    status, _, err = borgpull("run", "web1")
    assert (status, "ssh-failed" in err, "remote port forwarding failed" in err) == (2, True, True), err


def test_sshd_going_away_in_the_middle_is_a_failure_of_ssh(world, sshd, borg, repository, borgpull) -> None:
    sshd.add(borg, jobs="[default]")
    sshd.plays([["start"], ["note", str(world.root / "pid")], ["sleep", 60]])
    launcher = world.start("run", "--json", "web1")
    pid = appears(world.root / "pid")
    os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), 9)  # its sshd
    out, _ = launcher.communicate(timeout=30)
    os.kill(int(pid), 9)
    report = json.loads(out)
    assert (report["outcome"], report["origin"], report["code"]) == ("failed", "ssh", 255)
    assert launcher.returncode == 2


def test_an_ssh_that_is_stopped_does_not_outlive_a_killed_launcher(world, sshd, borg, repository) -> None:
    sshd.add(borg, jobs="[default]")
    sshd.plays([["start"], ["note", str(world.root / "pid")], ["sleep", 60]])
    launcher = world.start("run", "web1")
    gate = int(appears(world.root / "pid"))
    ours = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    (ssh,) = [int(pid) for pid in ours if b"/usr/bin/ssh\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    stop(ssh)
    launcher.kill()
    launcher.communicate(timeout=60)
    for _ in range(200):
        if not Path(f"/proc/{ssh}/cmdline").exists() or not Path(f"/proc/{ssh}/cmdline").read_bytes():
            break
        time.sleep(0.05)
    else:
        os.kill(ssh, signal.SIGKILL)
        raise AssertionError("ssh lives on")
    os.kill(gate, signal.SIGKILL)
    shutil.rmtree(world.root / "state" / "run")  # what the next run would do


def appears(path: Path) -> str:
    for _ in range(200):
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")
