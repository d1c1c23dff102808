"""Who is compared: borg alone, push over ssh, the published ways to pull, and ours, each for the same tree.

    contender = CONTENDERS["socket"](arena)
    contender.create(1)             # the commands of the first backup: [Command("server", […], …), …]
    contender.restore(1, into)      # those that restore it into an empty directory

Each has a repository (repokey-blake2), a cache and keys of its own in one directory. What it runs is what its users
would type; the peers' scripts stand in `bench/peers`, written anew from their description.
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from arena import Arena, Contender
from measure import Command, machines
from ours import ours

PEERS = Path(__file__).with_name("peers")
GCM = "^aes128-gcm@openssh.com"
PASSPHRASE = "x"  # noqa: S105 - of a repository that lives for a minute


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
