"""Two hosts in network namespaces: the link between them goes down in the middle of a run, and comes back."""

import os
import re
import shlex
import subprocess
import sys
import time

import machines
import pytest
from machines import run, wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not (machines.may(12) and machines.may(21)), reason="only root makes network namespaces"
)
SERVER, CLIENT = "198.18.77.1", "198.18.77.2"  # of the block for tests between hosts (RFC 2544)
HURRIED = os.path.join(os.path.dirname(machines.__file__), "hurried.py")
GATE = f"{shlex.quote(HURRIED)} gate"  # or to end a waiting borg takes it 20 s more
KEEP_ALIVE = 2 * 2  # seconds; the same on both sides


def ip(*words):
    done = run(["ip", *words])
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Hosts:
    """Two namespaces and a pair of interfaces."""

    def __init__(self):
        self._names = {side: f"bt-{os.getpid()}-{side}" for side in ("server", "client")}
        for side, name in self._names.items():
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            if side == "client":
                ends = ("type", "veth", "peer", "name", "veth0", "netns", self._names["server"])
                ip("-n", name, "link", "add", "veth0", *ends)
        for side, address in (("server", SERVER), ("client", CLIENT)):
            ip("-n", self._names[side], "address", "add", f"{address}/30", "dev", "veth0")
        self.link("up")

    def link(self, state):
        """Set both ends up, or one of them down, as when a cable is pulled."""
        for side in ("server", "client") if state == "up" else ("client",):
            ip("-n", self._names[side], "link", "set", "veth0", state)

    def wait_for_the_client(self, port):
        """Wait until the server's side has forgotten that the client was not there (its neighbour table does)."""
        code = f"import socket; socket.create_connection(({CLIENT!r}, {port}), 1)"
        wait_for(lambda: run([*self.within("server"), sys.executable, "-c", code]).returncode == 0, 30, "the client")

    def slow(self):
        """Let the client send no more than 1 MB in a second."""
        shape = ("tbf", "rate", "8mbit", "burst", "32kbit", "latency", "400ms")
        done = run([*self.within("client"), "tc", "qdisc", "add", "dev", "veth0", "root", *shape])
        assert done.returncode == 0, done.stderr

    def within(self, side):
        return ("ip", "netns", "exec", self._names[side])

    def close(self):
        for name in self._names.values():
            run(["ip", "netns", "delete", name])


@pytest.fixture
def hosts():
    hosts = Hosts()
    try:
        yield hosts
    finally:
        hosts.close()


@pytest.fixture
def transport():
    """Return the transport; a test's parameter may take its place."""
    return "stdio"


@pytest.fixture
def client(scratch, server, one_borg):
    """A client; a link that goes down does not care for borg's version."""
    return machines.Client(scratch / "client", server.repository, borg=one_borg.path)


@pytest.fixture
def sshd(scratch, hosts):
    with machines.Sshd(scratch / "sshd", extra=f"ListenAddress {CLIENT}", within=hosts.within("client")) as sshd:
        yield sshd


def borgpull(hosts, server, *words):
    """Return the command line of a launcher on the server, whose ssh asks every 2 s whether anybody is there."""
    return [*hosts.within("server"), sys.executable, HURRIED, "borgpull", *server.borgpull(*words)[1:]]


def settings(printed):
    """Return the settings for sshd that `borgctl authorize` prints, with the seconds of a test in them."""
    block = printed.partition("# 2. ")[2].partition("# 3. ")[0]
    lines = [line[1:].strip() for line in block.splitlines() if line.startswith("#   ")]
    assert {"ClientAliveInterval 30", "ClientAliveCountMax 3"} <= set(lines)
    return [re.sub(r"^(ClientAlive\w+) .*", r"\1 2", line) for line in lines]


@pytest.fixture
def joined(hosts, server, client, sshd, one_borg, transport):
    """The two, set up by the pastes of the README."""
    words = ("--port", sshd.port, "--repository", server.repository, "--quota", "1G", "--transport", transport)
    added = run(borgpull(hosts, server, "add", "web1", f"root@{CLIENT}", *words))
    assert added.returncode == 0, added.stderr
    public = re.search(r"borgctl authorize '([^']+)'", added.stdout)[1]
    argv = [machines.program("borgctl"), "authorize", public, client.policy_file, "--transport", transport]
    printed = run([*argv, "--host-key", sshd.host_key_file]).stdout
    (line,) = [line for line in printed.splitlines() if line and not line.startswith("#")]
    sshd.authorize(line.replace("-m borgctl.gate", GATE))
    sshd.configure([f"ListenAddress {CLIENT}", *settings(printed)])
    assert run(borgpull(hosts, server, "trust", "web1", sshd.host_key)).returncode == 0
    with (server.config / "targets/web1.yaml").open("a") as target:
        target.write(f"borg: {one_borg.path}\njobs: [default]\n")
        if transport == "socket":
            target.write(f"socket_directory: {client.socket_directory}\n")
    made = run(borgpull(hosts, server, "run", "web1", "--job", "init"))
    assert made.returncode == 0, made.stderr


def waiting(client):
    """Let borg wait in the middle of a backup, with nothing to send, for a FIFO that nobody feeds."""
    os.mkfifo(client.source / "more")
    create = {"paths": [client.source], "options": {"read-special": True}}
    client.policy(jobs={"default": create})


def sending(client):
    """Give borg much to send, and a link that is slow enough."""
    with (client.source / "more").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))


@pytest.mark.parametrize(("transport", "busy"), [("stdio", waiting), ("socket", sending)])
def test_a_link_that_goes_down_ends_both_sides_and_the_next_pull_succeeds(hosts, server, client, sshd, joined, busy):
    busy(client)
    hosts.slow()
    argv, pipe = borgpull(hosts, server, "run", "web1"), subprocess.PIPE
    launcher = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: any("relay.py" in process.command for process in sshd.sessions()), 30, "borg to be at work")
    time.sleep(2)
    hosts.link("down")
    begun = time.monotonic()
    said, _ = launcher.communicate(timeout=60)
    server_seconds = time.monotonic() - begun
    wait_for(lambda: not sshd.sessions(), 60, "the client to end")
    client_seconds = time.monotonic() - begun
    print(f"{busy.__name__}: the server's side ended after {server_seconds:.1f} s, the client's {client_seconds:.1f} s")
    assert launcher.returncode == 2
    assert "web1 default: failed (ssh: connection-lost, status 255)" in said and "hint: connection lost after" in said
    assert server_seconds < KEEP_ALIVE + 15
    assert client_seconds < KEEP_ALIVE + 25  # and some to end borg in order
    assert client.records("exit")[-1]["outcome"] in ("disconnected", "failed")
    assert len(client.records("exit")) == len(client.records("accept"))
    (client.source / "more").unlink()
    hosts.link("up")
    hosts.wait_for_the_client(sshd.port)
    again = run(borgpull(hosts, server, "run", "web1"))
    assert again.returncode == 0, again.stderr
    assert not [path for path in server.repository.iterdir() if path.name.startswith("lock.e")]
    assert [*client.socket_directory.iterdir(), *(client.base / "runs").iterdir()] == []


def test_a_link_that_is_down_from_the_start_ends_the_launcher_soon(hosts, server, client, sshd, joined):
    hosts.link("down")
    begun = time.monotonic()
    ended = run(borgpull(hosts, server, "run", "web1"))
    assert ended.returncode == 2
    assert "ssh-failed" in ended.stderr
    assert time.monotonic() - begun < 30
    hosts.link("up")
    hosts.wait_for_the_client(sshd.port)
    assert run(borgpull(hosts, server, "run", "web1")).returncode == 0
