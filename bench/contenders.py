"""Who is compared: borg alone, push over ssh, the published ways to pull, and ours, each for the same tree.

    contender = CONTENDERS["socket"](arena)
    contender.create(1)             # the commands of the first backup: [Command("server", […], …), …]
    contender.restore(1, into)      # those that restore it into an empty directory

Each has a repository (repokey-blake2), a cache and keys of its own in one directory. What it runs is what its users
would type; the peers' scripts stand in `bench/peers`, written anew from their description.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from measure import Command, machines

PEERS = Path(__file__).with_name("peers")
GCM = "^aes128-gcm@openssh.com"
PASSPHRASE = "x"  # noqa: S105 - of a repository that lives for a minute


class Arena(NamedTuple):
    """What all contenders share: the tree, the borg, the client's sshd, and a directory for each to be made in."""

    tree: str
    borg: str
    sshd: machines.Sshd
    directory: Path


@dataclass
class Contender:
    """One way to back up; `side` is the machine that the sshd stands for."""

    name: str
    side: str
    create: Callable[[int], list[Command]]
    restore: Callable[[int, str], list[Command]]
    repository: str = ""


@dataclass
class Plain:
    """What the ways without borgctl have in common: repository, cache, environment, a key."""

    arena: Arena
    key: machines.Key = field(init=False)

    def __post_init__(self) -> None:
        self.directory = self.arena.directory
        self.repository = str(self.directory / "repo")
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.directory)}
        self.env |= {"BORG_BASE_DIR": str(self.directory), "BORG_PASSPHRASE": PASSPHRASE}
        self.env |= {"BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        made = machines.run([self.arena.borg, "init", "--encryption=repokey-blake2", self.repository], env=self.env)
        assert made.returncode == 0, made.stderr
        self.key = machines.keypair(self.directory)

    def authorize(self, command: str = "", options: str = "") -> None:
        """Make the sshd know the key, and no other."""
        line = machines.key_line(self.key, command, options or "restrict") if command else self.key.public
        self.arena.sshd.replace_keys(line)

    def ssh(self, *options: str) -> list[str]:
        """Return ssh's command line, up to the request."""
        return self.arena.sshd.ssh_argv(self.key, *options)

    def environment_file(self, **more: str) -> str:
        """Write the client's environment as a shell reads it, and return the file."""
        path = self.directory / "environment"
        lines = self.env | {"BORG": self.arena.borg} | more
        path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in lines.items()))
        return str(path)


def local(arena: Arena) -> Contender:
    """Return borg with a repository on its own disk: what no transport can beat."""
    plain = Plain(arena)
    words = [arena.borg]
    return Contender(
        "local",
        "server",
        lambda number: [
            Command("client", [*words, "create", f"{plain.repository}::{number}", arena.tree], plain.env),
        ],
        lambda number, into: [
            Command("client", [*words, "extract", f"{plain.repository}::{number}"], plain.env, into),
        ],
    )


def push(arena: Arena, *ciphers: str) -> Contender:
    """Return borg's own way: the client pushes over ssh, to a key that is tied to `borg serve`."""
    plain = Plain(arena)
    plain.authorize(f"{arena.borg} serve --append-only --restrict-to-repository {plain.repository}")
    *ssh, host = plain.ssh(*(("-c", *ciphers) if ciphers else ()))
    env = plain.env | {"BORG_RSH": shlex.join(ssh)}
    location = f"ssh://{host}:{arena.sshd.port}{plain.repository}"
    return Contender(
        "push-gcm" if ciphers else "push",
        "server",
        lambda number: [Command("client", [arena.borg, "create", f"{location}::{number}", arena.tree], env)],
        lambda number, into: [Command("client", [arena.borg, "extract", f"{location}::{number}"], env, into)],
    )


def scripts(arena: Arena) -> Contender:
    """Return the published scripts: bash on both sides, socat on the server, nc on the client."""
    plain = Plain(arena)
    env = plain.env | {"BORG": arena.borg, "REPOSITORY": plain.repository, "SOCKETS": str(plain.directory)}
    del env["BORG_PASSPHRASE"]

    def call(request: str, into: str = "") -> list[Command]:
        file = plain.environment_file(TO=into)
        plain.authorize(shlex.join([str(PEERS / "scripts-client.sh"), file, arena.tree]), "restrict,port-forwarding")
        return [Command("server", [str(PEERS / "scripts-server.sh"), *plain.ssh(), request], env)]

    return Contender(
        "scripts", "client", lambda number: call(str(number)), lambda number, into: call(f"extract {number}", into)
    )


def socat(arena: Arena) -> Contender:
    """Return the recipe of borg's documentation: socat on both sides."""
    plain = Plain(arena)
    plain.authorize()
    env = plain.env | {"BORG": arena.borg, "REPOSITORY": plain.repository, "SOCKETS": str(plain.directory)}
    del env["BORG_PASSPHRASE"]
    location = f"ssh://server{plain.repository}"

    def call(words: list[str], into: str = "/") -> list[Command]:
        line = f". {plain.environment_file()}; cd {shlex.quote(into)}; "
        line += "BORG_RSH=\"sh -c 'exec socat STDIO UNIX-CONNECT:$SOCKET'\" " + shlex.join(words)
        return [Command("server", [str(PEERS / "socat-server.sh"), *plain.ssh(), line], env)]

    return Contender(
        "socat",
        "client",
        lambda number: call([arena.borg, "create", f"{location}::{number}", arena.tree]),
        lambda number, into: call([arena.borg, "extract", f"{location}::{number}"], into),
    )


def sshfs(arena: Arena) -> Contender:
    """Return a pull through sshfs, which has no stable inodes; borg, its cache and the passphrase are the server's."""
    plain = Plain(arena)
    plain.authorize()
    mount = plain.directory / "mount"
    mount.mkdir()
    env = plain.env | {"MOUNT": str(mount)}
    *ssh, host = plain.ssh()

    def call(path: str, words: list[str]) -> list[Command]:
        argv = [str(PEERS / "sshfs-server.sh"), f"{host}:{path}", shlex.join(ssh), arena.borg, *words]
        return [Command("server", argv, env)]

    return Contender(
        "sshfs",
        "client",
        lambda number: call(arena.tree, ["create", "--files-cache=ctime,size", f"{plain.repository}::{number}", "."]),
        lambda number, into: call(into, ["extract", f"{plain.repository}::{number}"]),
    )


def ours(
    arena: Arena,
    name: str,
    *,
    transport: str = "stdio",
    sandbox: bool = True,
    guard: bool = True,
    options: dict[str, str] | None = None,
    **policy: object,
) -> Contender:
    """Return borgpull and borgctl; without `guard` a launcher that only exists here gives serve the client's bytes.

    `options` are those of the job, `policy` has further keys of the policy.
    """
    server = machines.Server(arena.directory / "server")
    client = machines.Client(arena.directory / "client", server.repository, borg=arena.borg)
    shutil.rmtree(client.source)
    client.policy(
        jobs={
            "default": {"paths": [arena.tree], "options": options or {}},
            "init": {"command": "init", "options": {"encryption": "repokey-blake2"}},
        },
        window="30m",
        sandbox=None if sandbox else "off",
        **policy,
    )
    words = ["--repository", server.repository, "--port", arena.sshd.port, "--quota", "1T", "--transport", transport]
    _run(server.borgpull("add", "web1", f"{arena.sshd.user}@127.0.0.1", *words))
    public = Path(server.config, "keys/web1.pub").read_text().strip()
    fingerprint = machines.run(["ssh-keygen", "-l", "-f", server.config / "keys/web1.pub"]).stdout.split()[1]
    key = machines.Key(server.config / "keys/web1", public, fingerprint)
    options = "restrict,port-forwarding" if transport == "socket" else "restrict"
    arena.sshd.replace_keys(machines.key_line(key, client.command(key), options))
    _run(server.borgpull("trust", "web1", *arena.sshd.host_key.split()))
    target = server.config / "targets/web1.yaml"
    with target.open("a") as file:
        file.write(
            f"borg: {arena.borg}\n"
            + (f"socket_directory: {client.socket_directory}\n" if transport == "socket" else "")
        )
    _run(server.borgpull("run", "web1", "--job", "init"))
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(arena.directory)}

    def launcher(*more: str) -> list[str]:
        program, *rest = server.borgpull(*more)
        return (
            [program, *rest] if guard else [sys.executable, "-I", str(Path(__file__).with_name("unguarded.py")), *rest]
        )

    def create(_: int) -> list[Command]:
        client.wait_for_a_new_name()
        return [Command("server", launcher("run", "web1", "--job", "default"), env)]

    def restore(number: int, into: str) -> list[Command]:
        accepted = [record["argv"] for record in client.records("accept") if record["command"] == "create"]
        archive = next(word.partition("::")[2] for word in accepted[number - 1] if "::" in word)
        window = [machines.program("borgctl"), "window", "--policy", str(client.policy_file), "--"]
        return [
            Command("server", launcher("window", "web1", "--for", "20m"), env, background=True),
            Command("client", [*window, "borg", "extract", f"::{archive}"], env, into),
        ]

    return Contender(name, "client", create, restore, str(server.repository))


def _run(argv: list[str]) -> None:
    done = machines.run(argv)
    if done.returncode:
        raise subprocess.SubprocessError(f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}")


CONTENDERS: dict[str, Callable[[Arena], Contender]] = {
    "local": local,
    "push": push,
    "push-gcm": lambda arena: push(arena, GCM),
    "scripts": scripts,
    "socat": socat,
    "sshfs": sshfs,
    "stdio": lambda arena: ours(arena, "stdio"),
    "socket": lambda arena: ours(arena, "socket", transport="socket"),
    "no-sandbox": lambda arena: ours(arena, "no-sandbox", sandbox=False),
    "no-guard": lambda arena: ours(arena, "no-guard", guard=False),
}
