"""Ours: borgpull and borgctl as a contender, set up by their own commands as a user would.

ours(arena, "socket", transport="socket").create(1)
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from arena import Arena, Contender
from measure import Command, machines


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
    permissions = "restrict,port-forwarding" if transport == "socket" else "restrict"
    arena.sshd.replace_keys(machines.key_line(key, client.command(key), permissions))
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
