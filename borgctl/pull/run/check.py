"""probe: would a pull of this target work? Asks hello, and looks at our own side. The story of `borgpull test`.

A check is a name, a level (ok, warn, error), a sentence, and what to do. What the client says is believed as far as it
says that something is wrong; everything is the client's own words and is escaped where it is shown.

    for check in probe(launcher, target): …
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from borgctl.console.text import elapsed, wrapped
from borgctl.errors import REASONS
from borgctl.pull.client import client_command
from borgctl.pull.client.frames import Hello
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.process.workdirs import room
from borgctl.pull.report.hints import ailment, named
from borgctl.pull.report.outcome import ADVICE, Verdict
from borgctl.pull.repository.inspection import problem
from borgctl.pull.repository.lock_holders import holders
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.repository.space import lacking
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.ready import obstacle
from borgctl.pull.run.run import unanswered
from borgctl.pull.run.session import Session
from borgctl.pull.state.state import State
from borgctl.pull.state.state import load as load_state
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Folders, host_id
from borgctl.pull.targets.targets import Target, in_bytes
from borgctl.text import printable_excerpt, size

_SECONDS = 60.0
_ASTRAY = 30.0  # seconds between two clocks: archives are named and pruned by the client's
_LITTLE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: str
    text: str
    hint: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"check": self.name, "level": self.level, "text": self.text, "hint": self.hint}

    def lines(self, width: int) -> list[str]:
        """Return it for people, wrapped."""
        lines = wrapped(f"{self.level:<6} {self.name:<11} ", printable_excerpt(self.text), width)
        return [*lines, *wrapped(f"{'':19}-> ", typed(self.hint), width)] if self.hint and self.level != "ok" else lines


def probe(launcher: Launcher, target: Target) -> Iterator[Check]:
    """Yield the checks, those of our own side first; a client that doesn't answer has no others."""
    yield from _own_side(launcher.folders, target, load_state(launcher.folders, target.name))
    if (unready := obstacle(target)) and unready.reason == "host-key-missing":
        yield Check("host-key", "error", "the target file has none", named("host-key-missing", str(target.name)))
        return
    with room(launcher.folders) as path:
        client_command.prepare(target, path)
        transcript = Transcript()
        call = client_command.hello(target, path, forwarded=True)
        session = Session(
            call,
            None,
            transcript=transcript,
            screen=launcher.screen,
            seconds=min(_SECONDS, target.timeout),
            patience=launcher.patience,
        )
        verdict = unanswered(target, session.run(launcher.stop), transcript, launcher.screen)
    hello = transcript.hello
    if verdict is not None or hello is None:
        yield _silent(target, verdict or Verdict("failed", "launcher", None, "no-hello"), transcript)
        return
    if target.transport != "local":
        yield Check("ssh", "ok", f"{target.host} answers, with the host key and the key of this target")
    yield from _offers(target, hello)
    yield from _far_side(hello, transcript.heard)


def status(levels: list[str]) -> int:
    """Return the exit status: 0 all ok, 1 warnings, 2 errors."""
    return 2 if "error" in levels else 1 if "warn" in levels else 0


def _own_side(folders: Folders, target: Target, state: State) -> Iterator[Check]:
    try:
        asked = [target.borg, "--version"]
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            asked, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout.strip() if done.returncode == 0 else f"status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        said = str(error)
    if re.fullmatch(r"borg 1\.[24]\.\S{1,40}", said):
        yield Check("serve", "ok", f"{target.borg} is {said.removeprefix('borg ')}")
    else:
        yield Check(
            "serve", "error", f"{target.borg}: {said[:200]}", "install borg 1.2 or 1.4, or name it with 'borg:'"
        )
    yield from _repository(folders, target, state)


def _repository(folders: Folders, target: Target, state: State) -> Iterator[Check]:
    path = str(target.repository)
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    made = os.path.isfile(f"{path}/config")
    if (wrong := problem(target, state)) and not wrong.hidden:
        yield Check("repository", "error", f"{wrong.reason}: {wrong.text}", named(wrong.reason, str(target.name)))
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield Check("repository", "error", f"{there} cannot be written by uid {os.geteuid()}", f"chown it: {there}")
    elif not made:
        init = f"borgpull run {target.name} --job init"
        yield Check("repository", "warn", f"{path} is not made yet", f"once, where the client offers it: {init}")
    else:
        yield Check("repository", "ok", f"{path}, quota {target.quota}")
        yield from _locked(folders, target)
    yield _space(target, there)


def _locked(folders: Folders, target: Target) -> Iterator[Check]:
    """Say who holds borg's lock: a run waits for those of this machine that live, and for others in vain."""
    for holder in holders(folders, str(target.repository)):
        text = f"locked by {holder.sentence(time.time())}"
        if holder.host == host_id(folders) or (holder.here and not holder.lives):
            yield Check("lock", "ok", f"{text}: in use just now, or removed by the next run")
        elif holder.here:
            yield Check("lock", "warn", text, f"a run waits for two minutes; see: borgpull unlock {target.name}")
        else:
            hint = f"does it live? if not: borgpull unlock {target.name} --yes"
            yield Check("lock", "error", text, hint)


def _space(target: Target, there: str) -> Check:
    """Compare what the client may fill with what there is; `there` is the repository, or what is there above it."""
    disk = os.statvfs(there)
    free, used = disk.f_bavail * disk.f_frsize, _used(str(target.repository))
    if lack := lacking(there, GuardSession("create")):
        return Check("space", "error", lack, named("server-full", str(target.name)))
    if free < _LITTLE:
        hint = f"make room, or: borgpull compact {target.name}"
        return Check("space", "warn", f"{size(free)} free at {there}", hint)
    if in_bytes(target.quota) > free + used:
        text = f"{size(free)} free and {size(used)} used by the repository are less than the quota {target.quota}"
        hint = "the client can fill this disk: lower 'quota' in the target file, or make room"
        return Check("space", "warn", text, hint)
    return Check("space", "ok", f"{size(free)} free")


def _used(repository: str) -> int:
    """Return how large the files of a repository are, as far as they can be seen."""
    total = 0
    for directory, _, files in os.walk(repository):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size
    return total


def _silent(target: Target, verdict: Verdict, transcript: Transcript) -> Check:
    """Return what keeps the client from answering, from ssh's own words where there are some."""
    words = [message.text for message in transcript.messages if message.source in ("unframed", "gate", "borgpull")]
    if verdict.reason == "ssh-failed":
        name, said = ailment(words), words[-1].strip() if words else "ssh failed and said nothing"
        return Check(name, "error", said, named(name, str(target.name)))
    text = f"{verdict.origin} says {verdict.reason or verdict.outcome}"
    return Check("hello", "error", " / ".join([text, *words[-2:]]), verdict.advice)


def _offers(target: Target, hello: Hello) -> Iterator[Check]:
    """Compare what the client offers with what the target wants."""
    yield Check("hello", "ok", f"protocol {hello.protocol}, borgctl {hello.version or 'of an unknown version'}")
    yield Check("policy", "ok", hello.policy or "the client tells no digest")
    offered = {str(name): command for name, command in hello.jobs}
    wanted = [str(job) for job in target.jobs or ()]
    missing = [job for job in wanted if job not in offered]
    if missing:
        text = f"the client's policy has no {', '.join(missing)}; it has {', '.join(offered) or 'none'}"
        yield Check("jobs", "error", text, "correct 'jobs' here, or the policy there")
    elif not wanted and "create" not in offered.values():
        yield Check("jobs", "error", "the client's policy has no job with command create", ADVICE["no-jobs"])
    else:
        told = ", ".join(f"{name} ({command})" for name, command in offered.items())
        yield Check("jobs", "ok", f"on offer: {told}")
    yield from _left_out(hello, wanted or [name for name, command in offered.items() if command == "create"])
    if target.transport not in hello.transports:
        text = f"the client's policy has no {target.transport!r} in 'transports'"
        yield Check("transport", "error", text, REASONS["transport-not-offered"].advice)
    else:
        yield Check("transport", "ok", target.transport)
    if str(target.repository) not in hello.repositories:
        text = f"the client's policy names {', '.join(hello.repositories) or 'none'}, not {target.repository}"
        yield Check("path", "error", text, "let both files name the same path")


def _left_out(hello: Hello, jobs: list[str]) -> Iterator[Check]:
    """Say whose backups stay out of what is mounted below their paths."""
    told = [f"{name} {number}" for name, number in hello.skipped if str(name) in jobs and number]
    if told:
        text = f"mounted file systems that 'one-file-system' keeps out of the backup: {', '.join(told)}"
        yield Check(
            "mounts", "warn", text, "on the client, 'borgctl lint' names them: add them to 'paths' or 'exclude'"
        )


def _far_side(hello: Hello, heard: float) -> Iterator[Check]:
    """Say what the client's gate found out about itself."""
    for code in hello.obstacles:
        advice = REASONS[code].advice if code in REASONS else None
        yield Check("ready", "error", f"a run would fail there: {code}", advice)
    if not hello.obstacles and hello.time is not None:
        yield Check("ready", "ok", "the client's gate knows of nothing that keeps a run from starting")
    if hello.borg is not None:
        yield Check("borg", "ok", f"the client has borg {hello.borg}")
    elif not hello.obstacles:
        yield Check("borg", "error", "the client has no borg that works", REASONS["borg-missing"].advice)
    if hello.time is None:
        yield Check("clock", "warn", "the client doesn't tell its time", "bring both sides to the same version")
        return
    astray = hello.time - heard
    text = f"the client's clock is {elapsed(abs(astray))} {'ahead' if astray > 0 else 'behind'}"
    if abs(astray) > _ASTRAY:
        yield Check("clock", "warn", text, "synchronise both clocks: archives are named and pruned by the client's")
    else:
        yield Check("clock", "ok", f"{text}, as far as ssh lets one tell" if abs(astray) >= 1 else "the clocks agree")
