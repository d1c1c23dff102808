"""Carry out what was granted: answer hello, hold a window open, or run borg.

The gate imports this module once it has decided, so that a refusal is quick; all that it takes until the last record
is written is imported with it, before anything runs, so the package may be upgraded meanwhile. It decides nothing.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from borgctl.borg import command_line, relay
from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.borg.environment import borg_environment
from borgctl.borg.log_messages import DAMAGED, BorgLog
from borgctl.borg.version import check_version, opened_besides
from borgctl.errors import BorgctlError
from borgctl.fs import free_space
from borgctl.gate import transport
from borgctl.gate.invocation import Invocation, accept, brief
from borgctl.gate.run import Runner
from borgctl.gate.run_result import RunResult
from borgctl.gate.stdio import ProtocolFds
from borgctl.gate.window import Window
from borgctl.policy.decide import Decision
from borgctl.policy.model import Policy
from borgctl.process.spawn import Confinement
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import borg_version, former_hostnames, passphrase, pins, requirements, run_locks
from borgctl.state.repository_identity import Identity
from borgctl.state.skipped_mounts import file_systems
from borgctl.state.state_dir import StateDir
from borgctl.wire import frames


def carry_out(
    invocation: Invocation,
    policy: Policy,
    decided: Decision,
    hostname: str,
    protocol_fds: ProtocolFds,
    pinned: int | None,
) -> RunResult:
    """Do what was decided; raise BorgctlError where it cannot be done."""
    decision = decided.granted
    base = StateDir.open(policy.base)
    with run_locks.session(base, policy.limits.sessions):
        if isinstance(decision, HelloReply):
            return _greet(invocation, policy, base, decision)
        if isinstance(decision, WindowGrant):
            return _hold(invocation, base, decision, protocol_fds, pinned)
        return _run(invocation, policy, base, decided, decision, hostname, protocol_fds, pinned)


def _run(
    invocation: Invocation,
    policy: Policy,
    base: StateDir,
    decided: Decision,
    decision: BorgCommand,
    hostname: str,
    protocol_fds: ProtocolFds,
    pinned: int | None,
) -> RunResult:
    """Run borg, with all that belongs to this run alone; record what is about to run."""
    sandbox = requirements.require(policy, decision)
    owner = plan.owner(sandbox)
    with (
        run_locks.lock_repository(base, decision.repository),
        run_locks.run_directory(base, invocation.run, *owner) as directory,
    ):
        base.give_borg(*owner)
        pins.clear_cache_lock(base, decision.repository)
        identity = _identity(decision, base)
        connection = _connected(decision, protocol_fds, pinned)
        moved = bool(pins.note(base, "moved", decision.repository))
        env = borg_environment(base.borg, f"{directory}/tmp", base.host_id(), decided.variables, relocated=moved)
        own = (base.borg, f"{directory}/tmp")
        version = borg_version.version(base, policy.borg, env, _confinement(sandbox, policy, own))
        check_version(decision, version)
        confinement = _confinement(
            sandbox, policy, own, decision.reads, opened_besides(decision, version), decision.devices
        )
        words = command_line.build(decision, policy.borg, version)
        renamed = _renamed(policy, base, hostname)
        accept(invocation, _told(decision, words, env) | {"sandbox": sandbox.record if sandbox else "off"} | renamed)
        where = (directory, connection, policy.passphrase, policy.limits, invocation.output)
        with invocation.warned_files() as files:
            heard = BorgLog(decision.command, files.add)
            runner = Runner(decision, words, env, *where, identity.agree, confinement, heard)
            ending = runner.run()
        invocation.known |= {"said": runner.said or None, "listed": files.listed}
        if ending.outcome in ("ok", "warning"):
            identity.settle()
        if moved and ending.outcome in ("ok", "warning"):
            pins.delete(base, "moved", decision.repository)
    if ending.reason == DAMAGED:
        assert invocation.log is not None
        invocation.log.append(_damage(invocation, ending))
    return ending


def _greet(invocation: Invocation, policy: Policy, base: StateDir, greeting: HelloReply) -> RunResult:
    """Answer hello; `obstacles` are the reasons for which a run would fail at once."""
    accept(invocation, {"command": "hello"})
    version: str | None = None
    obstacles: list[BorgctlError] = []
    try:
        version = borg_version.asked(
            policy, plan.prepare(policy.sandbox, policy.user, policy.borg), base, invocation.run
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
    invocation.output.event(frames.HELLO, **greeting.offer, **known, skipped_mounts=skipped)
    return RunResult("ok", "gate", 0, detail="; ".join(error.detail for error in obstacles) or None)


def _hold(
    invocation: Invocation, base: StateDir, opening: WindowGrant, protocol_fds: ProtocolFds, pinned: int | None
) -> RunResult:
    """Hold a window open for one command of the client's own admin."""

    def record(claim: dict[str, Any]) -> None:
        assert invocation.log is not None
        invocation.log.append({"type": "window", "run": invocation.run, **brief(invocation), **claim})

    with run_locks.run_directory(base, invocation.run, os.geteuid(), os.getegid()) as directory:
        agree = _identity(opening, base).agree
        connection = _connected(opening, protocol_fds, pinned)
        told = {"command": opening.command, "repository": str(opening.repository), "rule": opening.rule}
        accept(invocation, {**told, "transport": opening.transport, "seconds": opening.seconds})
        return Window(opening, base, directory, connection, invocation.output, agree, record).run()


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


def _confinement(sandbox: Sandbox | None, policy: Policy, *places: Iterable[str]) -> Confinement:
    """Return what holds borg; `places`: to write, to read, to list, devices."""
    rules = sandbox.rules(policy.borg, relay.__file__, *places) if sandbox else ()
    return plan.confinement(sandbox, rules, policy.limits.memory)


def _connected(
    launch: BorgCommand | WindowGrant, protocol_fds: ProtocolFds, pinned: int | None
) -> transport.Connection:
    """Return the connection that was judged, whatever else the peer announced."""
    if launch.transport != "socket":
        return transport.stdio(protocol_fds.source, protocol_fds.sink)
    assert pinned is not None
    return transport.connect(pinned)


def _damage(invocation: Invocation, ending: RunResult) -> dict[str, Any]:
    """Return the alert that borg has found the repository damaged, with the first lines of what it found."""
    where = {name: invocation.known.get(name) for name in ("policy", "job", "repository")}
    return {"type": "alert", "run": invocation.run, "reason": ending.reason, **where, "found": list(ending.found)}
