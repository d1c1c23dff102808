"""The gate: an SSH forced command that decides from a policy file what a backup server may make happen here.

    python3 -I -m borgctl.gate --policy FILE [--key SHA256:FINGERPRINT]

This file is the story; the details are in the rooms it calls. Descriptors and environment are put away first. Then:
policy, log, socket, request, decision, locks, record, run, record. A refusal is recorded and ends the story early, and
so does anything unforeseen. The last line on fd 2 tells how it ended; docs/wire.md has every line.
"""

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

from borgctl.audit.log import Log
from borgctl.audit.warned_files import WarnedFiles
from borgctl.borg import command_line, relay
from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.borg.environment import borg_environment
from borgctl.borg.log_messages import DAMAGED, BorgLog
from borgctl.errors import BorgctlError
from borgctl.fs import free_space
from borgctl.gate import stdio, transport
from borgctl.gate.output import Output
from borgctl.gate.run import Runner, RunResult, by_gate, check_version, opened_besides
from borgctl.gate.stdio import ProtocolFds
from borgctl.gate.window import Window
from borgctl.policy import decide, load, locations, sent_environment
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.policy.placeholders import Names
from borgctl.process.spawn import Wall
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import borg_version, former_hostnames, passphrase, requirements
from borgctl.state.repository_identity import Identity
from borgctl.state.skipped_mounts import file_systems
from borgctl.state.state_dir import StateDir
from borgctl.values import Head
from borgctl.wire.request import Request


@dataclass(slots=True)
class Invocation:
    """One invocation, as far as it is told: what every record says, and where it goes."""

    run: str
    output: Output
    local: bool
    log: Log | None = None
    seen: Head | None = None  # what the server kept of this log
    accepted: float | None = None  # when (time.monotonic), once the accept record is on disk
    known: dict[str, Any] = field(default_factory=dict)

    def heard(self, asked: Request) -> None:
        """Take what the request says of the answer."""
        self.output.json, self.seen = asked.options.log == "json", asked.options.seen

    def warned_files(self) -> WarnedFiles:
        """Return the list of files that borg warns of in this run."""
        assert self.log is not None
        return self.log.warned_files(self.run)


def main() -> NoReturn:
    """Tell one story and exit with its status; only a stated success is one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # until Watch.start
    wires = stdio.take()
    environment = dict(os.environb)
    for name in list(environment):
        with contextlib.suppress(OSError, ValueError):  # a peer may send one without a name
            del os.environb[name]
    time.tzset()  # the interpreter has read TZ, which may be the peer's
    run = os.urandom(8).hex()
    story = Invocation(run, Output(2, run), local=b"SSH_CONNECTION" not in environment)
    try:
        status = _end(story, _serve(story, sys.argv[1:], environment, wires))
    except BorgctlError as error:
        status = _refuse(story, error)
    except Exception as error:
        status = _refuse(story, BorgctlError("internal", f"{type(error).__name__}: {error}"))
    story.output.flush()
    os._exit(status)


def _serve(
    story: Invocation, arguments: list[str], environment: Mapping[bytes, bytes], wires: ProtocolFds
) -> RunResult:
    """Decide and run; every way of saying no is a BorgctlError."""
    command = environment.get(b"SSH_ORIGINAL_COMMAND")
    file, key = _arguments(arguments)
    story.known = _asked(file, key, command, environment)
    policy = _policy(story, file)
    announced = decide.announced_socket(policy, command, environment)
    pinned = transport.pin(announced, policy.socket_directory) if announced else None
    facts = Facts(Names(sent_environment.hostname(), "", datetime.now().astimezone()), story.local)
    decided = decide.decide(policy, command, environment, facts, story.heard)
    decision = decided.granted
    base = StateDir.open(policy.base)
    with base.session(policy.limits.sessions):
        if isinstance(decision, HelloReply):
            return _greet(story, policy, base, decision)
        if isinstance(decision, WindowGrant):
            return _hold(story, base, decision, wires, pinned)
        held = requirements.require(policy, decision)
        owner = plan.owner(held)
        with base.lock_repository(decision.repository), base.run_directory(story.run, *owner) as directory:
            base.give_borg(*owner)
            base.clear_cache_lock(decision.repository)
            identity = _identity(decision, base)
            connection = _connected(decision, wires, pinned)
            moved = bool(base.noted("moved", decision.repository))
            env = borg_environment(base.borg, f"{directory}/tmp", base.host_id(), decided.variables, relocated=moved)
            own = (base.borg, f"{directory}/tmp")
            version = borg_version.version(base, policy.borg, env, _wall(held, policy, own))
            check_version(decision, version)
            wall = _wall(held, policy, own, decision.reads, opened_besides(decision, version), decision.devices)
            words = command_line.build(decision, policy.borg)
            renamed = _renamed(policy, base, facts.names.hostname)
            _accept(story, _told(decision, words, env) | {"sandbox": held.told if held else "off"} | renamed)
            where = (directory, connection, policy.passphrase, policy.limits, story.output)
            with story.warned_files() as files:
                heard = BorgLog(decision.command, files.add)
                runner = Runner(decision, words, env, *where, identity.agree, wall, heard)
                ending = runner.run()
            story.known |= {"said": runner.said or None, "listed": files.listed}
            if ending.outcome in ("ok", "warning"):
                identity.settle()
            if moved and ending.outcome in ("ok", "warning"):
                base.forget("moved", decision.repository)
            return ending


def _arguments(words: list[str]) -> tuple[str, str | None]:
    """Read our own command line, which authorized_keys fixes; refuse to run with the peer's Python settings."""
    if not sys.flags.isolated:
        raise BorgctlError("not-isolated", "the interpreter was started without -I")
    if sys.getfilesystemencoding() != "utf-8":
        raise BorgctlError("not-isolated", "a locale came with the connection that makes file names other bytes")
    match words:
        case ["--policy", file]:
            return file, None
        case ["--policy", file, "--key", key] if re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", key):
            return file, key
        case _:
            raise BorgctlError("usage", f"unexpected arguments {words!r}")


def _asked(file: str, key: str | None, command: bytes | None, environment: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what is known of who asks for what, as text for records."""
    peer = environment.get(b"SSH_CONNECTION", b"").decode("ascii", "replace").split(" ")
    text = (command or b"").decode("ascii", "backslashreplace")
    return {"policy": file, "key": key, "peer": peer[0] or None, "request": text}


def _policy(story: Invocation, file: str) -> Policy:
    """Read the policy and open its log; where it cannot be read, leave a log in which that can be written down."""
    try:
        policy = load.read(file)
    except load.InvalidPolicy as error:
        story.log = Log.fallback(error.log or locations.default_log())
        raise
    story.known["digest"] = policy.digest
    story.log = Log.open(policy.audit.file, syslog=policy.audit.syslog)
    return policy


def _identity(launch: BorgCommand | WindowGrant, base: StateDir) -> Identity:
    """Return what compares the server's claims about its repository; refuse to make one that is known."""
    identity = Identity(base, launch.repository, launch.command)
    identity.require_new()
    return identity


def _renamed(policy: Policy, base: StateDir, hostname: str) -> dict[str, Any]:
    """Keep this host's name, and return for the record the former ones whose archives no prune is about any more."""
    former_hostnames.note_name(base, hostname)
    former = former_hostnames.unpruned(policy, hostname, former_hostnames.former_names(base, hostname))
    return {"renamed": list(former)} if former else {}


def _wall(held: Sandbox | None, policy: Policy, *places: Iterable[str]) -> Wall:
    """Return what holds borg; `places`: to write, to read, to list, devices."""
    rules = held.rules(policy.borg, relay.__file__, *places) if held else ()
    return plan.wall(held, rules, policy.limits.memory)


def _connected(launch: BorgCommand | WindowGrant, wires: ProtocolFds, pinned: int | None) -> transport.Connection:
    """Return the connection that was judged, whatever else the peer announced."""
    if launch.transport != "socket":
        return transport.stdio(wires.source, wires.sink)
    assert pinned is not None
    return transport.connect(pinned)


def _greet(story: Invocation, policy: Policy, base: StateDir, greeting: HelloReply) -> RunResult:
    """Answer hello; `obstacles` are the reasons for which a run would fail at once."""
    _accept(story, {"command": "hello"})
    version: str | None = None
    obstacles: list[BorgctlError] = []
    try:
        version = borg_version.asked(
            policy, plan.prepare(policy.sandbox, policy.user, policy.borg), base, story.run
        ).text
    except BorgctlError as error:
        obstacles.append(error)
    places = (policy.base, os.path.dirname(policy.audit.file))
    for require in (partial(passphrase.require, policy.passphrase), partial(free_space.require, places)):
        try:
            require()
        except BorgctlError as error:
            obstacles.append(error)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    skipped = {name: number for name, job in policy.jobs.items() if (number := len(file_systems(job)))}
    known = {"borg": version, "time": now, "obstacles": [error.reason.code for error in obstacles]}
    story.output.event("hello", **greeting.offer, **known, skipped_mounts=skipped)
    return RunResult("ok", "gate", 0, detail="; ".join(error.detail for error in obstacles) or None)


def _hold(story: Invocation, base: StateDir, opening: WindowGrant, wires: ProtocolFds, pinned: int | None) -> RunResult:
    """Hold a window open for one command of the client's own admin."""

    def record(claim: dict[str, Any]) -> None:
        assert story.log is not None
        story.log.append({"type": "window", "run": story.run, **_brief(story), **claim})

    with base.run_directory(story.run, os.geteuid(), os.getegid()) as directory:
        agree = _identity(opening, base).agree
        connection = _connected(opening, wires, pinned)
        told = {"command": opening.command, "repository": str(opening.repository), "rule": opening.rule}
        _accept(story, {**told, "transport": opening.transport, "seconds": opening.seconds})
        return Window(opening, base, directory, connection, story.output, agree, record).run()


def _told(launch: BorgCommand, words: list[str], env: Mapping[str, str]) -> dict[str, Any]:
    """Return what is decided, for the record."""
    return {
        "command": launch.command,
        "job": launch.job,
        "repository": str(launch.repository),
        "rule": launch.rule,
        "argv": words,
        "environment": sorted(env),
        "transport": launch.transport,
    }


def _accept(story: Invocation, told: dict[str, Any]) -> None:
    """Record that we are about to act. No record, no run."""
    story.known |= told
    assert story.log is not None
    story.log.append({"type": "accept", "run": story.run, **story.known})
    story.accepted = time.monotonic()
    public = {key: told[key] for key in ("command", "job", "repository") if told.get(key)}
    if story.output.json:
        story.output.event("start", **public)
    if told.get("renamed"):
        story.output.say(
            "the client was renamed, and archives of its former name are pruned no more: 'borgctl lint' there"
        )


def _end(story: Invocation, ending: RunResult) -> int:
    """Record and tell how it ended."""
    assert story.log is not None and story.accepted is not None
    told = {"outcome": ending.outcome, "origin": ending.origin, "code": ending.code, "reason": ending.reason}
    if ending.reason == DAMAGED:
        story.log.append(_damage(story, ending))
    more = _details(story, ending, time.monotonic() - story.accepted)
    head = story.log.append({"type": "exit", "run": story.run, **_brief(story), **told, **more})
    counted = {"skipped_mounts": len(ending.skipped) or None, "warnings": dict(ending.warnings) or None}
    counted |= ending.pruned.counts if ending.pruned else {}
    said = {**told, **counted, "audit": story.log.told(head, story.seen)}
    story.output.event("exit", **{key: value for key, value in said.items() if value is not None})
    return ending.code


def _details(story: Invocation, ending: RunResult, seconds: float) -> dict[str, Any]:
    """Return what only our own log tells of an ending."""
    sent, received = ending.counts or (None, None)
    always = {"signal": ending.signal, "duration": round(seconds, 3), "sent": sent, "received": received}
    listed = story.known.get("listed") if ending.warnings else None
    pruned = ending.pruned.record if ending.pruned else None
    some = {"reading": ending.reading, "listed": listed, "warnings": dict(ending.warnings), "pruned": pruned}
    some |= {name: list(getattr(ending, name)) for name in ("found", "skipped", "hooks")}
    identity = {"repository_id": ending.identity, "compared": list(ending.compared)}
    rare = {key: value for key, value in some.items() if value}
    return {**always, "detail": ending.detail, **rare, **identity}


def _damage(story: Invocation, ending: RunResult) -> dict[str, Any]:
    """Return the alert that borg has found the repository damaged, with the first lines of what it found."""
    where = {name: story.known.get(name) for name in ("policy", "job", "repository")}
    return {"type": "alert", "run": story.run, "reason": ending.reason, **where, "found": list(ending.found)}


def _brief(story: Invocation) -> dict[str, Any]:
    """Return what an exit record repeats of its accept record."""
    return {name: story.known.get(name) for name in ("policy", "key", "peer", "command", "job", "repository", "said")}


def _refuse(story: Invocation, error: BorgctlError) -> int:
    """Record a refusal (or a run that broke off) with all we know, and tell the peer its reason and the run's id."""
    ending = by_gate(error.reason.code)
    kind = {"type": "refuse"} if story.accepted is None else {"type": "exit", "outcome": ending.outcome}
    record = {**kind, "run": story.run, **story.known, "reason": error.reason.code, "detail": error.detail}
    log, audit = story.log or Log.fallback(locations.default_log()), None
    try:
        audit = log.told(log.append({**record, "code": ending.code}), story.seen)
    except BorgctlError as failure:
        story.output.say(f"this refusal could not be recorded: {failure.reason.code}")
    detail = f"{error.detail}; " if story.local else ""
    story.output.say(f"{ending.outcome}: {error.reason.code}: {detail}{error.hint} (run {story.run})")
    told = {"outcome": ending.outcome, "origin": "gate", "code": ending.code, "reason": error.reason.code}
    story.output.event("exit", **told, **({"audit": audit} if audit else {}))
    return ending.code
