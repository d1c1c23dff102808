"""Two machines for a storm: a client and a server that know each other, on disks of their own, with hurried programs.

It finds the parts of a run by name, and what a run has left in any place where one could leave something.
"""

import contextlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import machines
from machines import Client, Process, Server, Sshd, descendants, key_line, run

HURRIED = Path(__file__).with_name("hurried.py")
_SOCKETS = 'restrict,port-forwarding,permitopen="localhost:1",permitlisten="localhost:1"'
_SECONDS = {
    "hook": 0.15,
    "ssh": 2.0,
    "serve": 2.0,
    "guard": 2.0,
    "launcher": 2.5,
    "relay": 0.8,
    "borg": 1.2,
}  # how long a part lives


class Pair:
    """One client, one server, one transport, and a borg for each."""

    def __init__(
        self, directory: Path, name: str, sshd: Sshd, port: int, transport: str, borgs: tuple[str, str]
    ) -> None:
        self.name, self.transport, self.sshd, self._borg = name, transport, sshd, borgs[1]
        for machine in ("client", "server"):
            (directory / name / machine).mkdir(parents=True)
        self.disks = {f"{machine}'s disk": directory / name / machine for machine in ("client", "server")}
        self.mounted = machines.may(21)
        if self.mounted:
            for disk, size in zip(self.disks.values(), ("100m", "900m"), strict=True):  # borg compact wants 545 MB
                machines.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", disk]).check_returncode()
        self.server = Server(directory / name / "server", name)
        self.client = Client(directory / name / "client", self.server.repository, borg=borgs[0])
        self._hook = self.client.directory / "hook"
        self._hook.write_text("#!/bin/sh\nsleep 0.3\n")
        self._hook.chmod(0o700)
        prune = {"keep-last": 2, "glob-archives": "{hostname}-default-*"}
        self.client.policy(
            jobs={
                "default": {"paths": [self.client.source], "before": [[self._hook]], "after": [[self._hook]]},
                "prune": {"command": "prune", "options": prune},
                "init": {"command": "init", "options": {"encryption": "repokey-blake2"}},
            }
        )
        self._join(port)
        made = subprocess.run(self._argv("run", "--json", name, "--job", "init"), capture_output=True, check=False)
        assert made.returncode == 0, made

    def _join(self, port: int) -> None:
        """Make the two known to each other, as their admins would."""
        words = ("--repository", self.server.repository, "--quota", "10G", "--transport", self.transport)
        added = run(self.server.borgpull("add", self.name, f"{self.sshd.user}@127.0.0.1", "--port", port, *words))
        assert added.returncode == 0, added.stderr
        public = Path(self.server.config / "keys" / f"{self.name}.pub")
        shown = run(["ssh-keygen", "-l", "-E", "sha256", "-f", public]).stdout.split()[1]
        gate = [sys.executable, "-I", str(HURRIED), "gate", "--policy", str(self.client.policy_file), "--key", shown]
        key = machines.Key(public.with_suffix(""), public.read_text().strip(), shown)
        options = _SOCKETS if self.transport == "socket" else "restrict"
        self.sshd.authorize(key_line(key, f"exec {shlex.join(gate)}", options))
        assert run(self.server.borgpull("trust", self.name, self.sshd.host_key)).returncode == 0
        target = self.server.config / f"targets/{self.name}.yaml"
        more = f"socket_directory: {self.client.socket_directory}\n" if self.transport == "socket" else ""
        target.write_text(
            f"{target.read_text()}borg: {self._borg}\njobs: {{default: {{}}, prune: {{deletes: any, run: no}}}}\n{more}"
        )

    def close(self) -> None:
        """Give the disks back."""
        if self.mounted:
            for disk in self.disks.values():
                machines.run(["umount", "-l", disk]).check_returncode()

    # ---- a run

    def _argv(self, *words: str) -> list[str]:
        _, *options = self.server.borgpull(*words)
        return [sys.executable, str(HURRIED), "borgpull", *options]

    def start(self) -> subprocess.Popen:
        """Start a pull."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._argv("run", "--json", self.name), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )

    def change(self, dice: random.Random) -> None:
        """Give the next backup something to send."""
        (self.client.source / "new").write_bytes(dice.randbytes(dice.randrange(4 << 20, 6 << 20)))

    def limit(self, seconds: str) -> None:
        """Set the target's timeout."""
        target = self.server.config / f"targets/{self.name}.yaml"
        lines = [line for line in target.read_text().splitlines() if not line.startswith("timeout:")]
        target.write_text("\n".join([*lines, f"timeout: {seconds}", ""]))

    def tidy(self) -> None:
        """Prune and compact, so that the disks do not fill by themselves."""
        for words in (("run", "--json", self.name, "--job", "prune"), ("compact", self.name)):
            done = subprocess.run(self._argv(*words), capture_output=True, check=False)
            assert done.returncode == 0, done

    def fill(self, disk: str) -> None:
        """Leave no room on one of the disks."""
        with contextlib.suppress(OSError), open(self.disks[disk] / "filler", "wb") as file:
            for size in (1 << 20, 1 << 12):
                while True:
                    free = os.statvfs(self.disks[disk])
                    if free.f_bavail * free.f_frsize < size:
                        break
                    os.posix_fallocate(
                        file.fileno(), os.fstat(file.fileno()).st_size, free.f_bavail * free.f_frsize // size * size
                    )

    def empty_disks(self) -> None:
        """Make room again."""
        for disk in self.disks.values():
            (disk / "filler").unlink(missing_ok=True)

    def check(self) -> subprocess.CompletedProcess[str]:
        """Check the repository and all data in it, as somebody who has the passphrase."""
        env = {
            "PATH": "/usr/bin:/bin",
            "BORG_PASSPHRASE": machines.PASSPHRASE,
            "BORG_BASE_DIR": str(self.server.directory / "admin"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        return run([self._borg, "check", "--verify-data", self.server.repository], timeout=600, env=env)

    # ---- its parts

    def longest(self, part: str) -> float:
        """Return about how long a part lives, in seconds."""
        return _SECONDS.get(part, 1.5)

    def find(self, part: str, launcher: subprocess.Popen) -> int | None:
        """Return the pid of a part of the run that is going on, None where there is none."""
        if part == "launcher":
            return launcher.pid
        if part in ("ssh", "serve", "guard"):
            signs = {"ssh": "/usr/bin/ssh ", "serve": f"{self._borg} serve", "guard": "rpc_guard"}
            below = [process for process in descendants(launcher.pid) if signs[part] in process.command]
            return below[0].pid if below else None
        sessions = self.sessions()
        gates = [process for process in sessions if "hurried.py gate" in process.command]
        if part in ("gate", "sshd"):
            return (gates[0].pid if part == "gate" else gates[0].parent) if gates else None
        signs = {"hook": str(self._hook), "borg": " create ", "relay": "relay.py"}
        found = [process for process in sessions if signs[part] in process.command]
        return found[0].pid if found else None

    def sessions(self) -> list[Process]:
        """Return what runs on the client."""
        return self.sshd.sessions()

    def processes(self) -> list[Process]:
        """Return every process of either side."""
        place = str(self.client.directory.parent)
        ours = [
            process for process in descendants(os.getpid()) if place in process.command or _lives_in(process, place)
        ]
        return [*self.sessions(), *(process for process in ours if process not in self.sessions())]

    def kill(self, left: list[Process]) -> None:
        """End what should have ended."""
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def remove(self, path: Path) -> None:
        """Remove what should have gone."""
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)

    # ---- what it has left

    def leftovers(self) -> list[Path]:
        """Return what nobody needs any more: workdirs, sockets, run directories, locks, drafts, files that say so."""
        server, client = self.server, self.client
        found = [
            *(server.state / "run").glob("*"),
            *client.socket_directory.iterdir(),
            *(client.base / "runs").iterdir(),
        ]
        found += (client.base / "locks").glob("run-*")
        for top in (server.directory, client.base):
            found += [path for path in top.rglob("*") if _temporary(path)]
        return [path for path in found if path not in self.borg_drafts()]

    def borg_drafts(self) -> list[Path]:
        """Return what a borg that was killed on the client was writing in its cache; borg leaves it, and so do we."""
        return [path for path in (self.client.base / "borg").rglob("*-????????.tmp") if path.is_file()]


def _temporary(path: Path) -> bool:
    if path.name == "lock.roster":  # stays, and says who holds the lock
        with contextlib.suppress(FileNotFoundError):
            return "[[" in path.read_text()
    return re.fullmatch(r"lock\.exclusive.*|.*\.new|\.new-.*|.*\.tmp", path.name) is not None


def _lives_in(process: Process, place: str) -> bool:
    try:
        return f"={place}/".encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return False
