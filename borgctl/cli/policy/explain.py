"""What the gate would decide, by the gate's own steps in the gate's own order, with nothing done.

The policy is read as the gate reads it; request, decision, argv and environment come from the same functions. Not done:
sockets, locks, records, hooks, borg. What only a run knows has a placeholder, and the notes say which.

    explained("/etc/borgctl/web1.yaml", b"run default", {}, facts()).decision == "allow"
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from borgctl.borg import command_line, environment, relay
from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.borg.version import Version, check_version, opened_besides
from borgctl.cli.policy import policy_files
from borgctl.cli.policy.explanation import Explanation, as_whom, refused
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs import runtime_files
from borgctl.policy import load, sent_environment
from borgctl.policy.decide import decide
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.policy.placeholders import Names
from borgctl.process import namespaces
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import borg_version, pins, requirements
from borgctl.state.skipped_mounts import file_systems
from borgctl.state.state_dir import StateDir
from borgctl.wire.request import Borg, Request


def facts(*, local: bool = False) -> Facts:
    """Return the world as the gate would find it now."""
    return Facts(Names(sent_environment.hostname(), "", datetime.now().astimezone()), local)


def variables(words: list[str]) -> dict[bytes, bytes]:
    """Read NAME=VALUE words: what the server sends with SendEnv and sshd accepts."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise BadValue(f"bad --env {word!r}: expected NAME=VALUE")
        found[os.fsencode(name)] = os.fsencode(value)
    return found


def explained(file: str, command: bytes, sent: Mapping[bytes, bytes], given: Facts) -> Explanation:
    """Explain one request to one policy."""
    text = command.decode("ascii", "backslashreplace")
    try:
        policy = load.read(os.path.abspath(file))
        return _judged(policy, text, command, sent, given)
    except BorgctlError as error:
        return refused(error, text)


def _judged(policy: Policy, text: str, command: bytes, sent: Mapping[bytes, bytes], given: Facts) -> Explanation:
    """Go the gate's way (gate.py, `_serve`); a no is a BorgctlError."""
    policy_files.require_log(policy)
    heard: list[Request] = []
    try:
        decided = decide(policy, command, sent, given, heard.append)
    except BorgctlError as error:
        rule = _forbidding(policy, heard[0], given, error.reason.code) if heard else None
        return refused(error, text, rule)
    policy_files.require_base(policy)
    decision = decided.granted
    if isinstance(decision, WindowGrant):
        path = str(decision.repository)
        return Explanation(text, "allow", rule=decision.rule, repository=path, transport=decision.transport)
    if isinstance(decision, HelloReply):
        return Explanation(text, "allow", rule=policy.file, answer={**decision.offer, "borg": _text(_noted(policy))})
    held = requirements.require(policy, decision)
    version = _noted(policy, decision)
    return Explanation(
        text,
        "allow",
        rule=decision.rule,
        job=decision.job,
        repository=str(decision.repository),
        transport=decision.transport,
        argv=tuple(command_line.build(decision, policy.borg)),
        environment=_environment(policy, decided.variables),
        sandbox=tuple(_walls(policy, held, decision, version)),
        before=decision.before,
        after=decision.after,
        notes=tuple(_notes(decision, _text(version))),
    )


def _forbidding(policy: Policy, asked: Request, given: Facts, reason: str) -> str | None:
    """Return where the policy says what forbids this; None where it is forbidden because nothing allows it."""
    if reason in ("option-not-offered", "path-not-offered") and isinstance(asked.order, Borg):
        return f"{policy.file}:{policy.commands[asked.order.command].line}"
    if reason == "encryption-required":
        path = asked.options.repository
        lines = [r.line for r in policy.repositories if path is None or r.path.expand(given.names) == str(path)]
        return f"{policy.file}:{lines[0]}"
    return None


def _noted(policy: Policy, launch: BorgCommand | None = None) -> Version | None:
    """Return borg's version if the gate has noted it; refuse the launch by what is noted, as the gate would."""
    kept = StateDir.known(policy.base)
    try:
        if launch and kept and launch.command == "init":
            pins.require_new(kept, launch.repository)
        if launch:
            borg_version.require(policy.borg)
        version = borg_version.known(kept, policy.borg) if kept else None
        if launch and version:
            check_version(launch, version)
        return version
    finally:
        if kept:
            os.close(kept.fd)


def _text(version: Version | None) -> str | None:
    return version.text if version else None


def _environment(policy: Policy, chosen: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return borg's environment, with placeholders for what only a run knows and for the secret."""
    env = environment.borg_environment(f"{policy.base}/borg", f"{policy.base}/runs/<run>/tmp", "<host-id>", chosen)
    secret = policy.passphrase.file or shlex.join(policy.passphrase.program)
    env = environment.with_transport(env, ("<relay>",), 0 if secret else None) | {"BORG_RSH": "<relay>"}
    return env | ({"BORG_PASSPHRASE_FD": f"<from {secret}>"} if secret else {})


def _walls(policy: Policy, held: Sandbox | None, launch: BorgCommand, version: Version | None) -> Iterator[str]:
    """Yield what the kernel lets borg do."""
    if held is None:
        yield "off"
        return
    yield f"runs as uid {plan.owner(held)[0]}" + (", who may read every file" if held.account else "")
    if held.namespaces:
        yield f"in namespaces of its own: {', '.join(namespaces.names(held.namespaces))}"
    if not held.abi:
        yield f"without Landlock: {'; '.join(held.missing)}"
        return
    yield f"Landlock ABI {held.abi}" + "".join(f", cannot forbid {what}" for what in held.lacks)
    writes = (f"{policy.base}/borg", f"{policy.base}/runs/<run>/tmp")
    besides = opened_besides(launch, version) if version else ()
    for what, path in held.rules(policy.borg, relay.__file__, writes, launch.reads, besides, launch.devices):
        yield f"{what} {path}"


def _notes(launch: BorgCommand, version: str | None) -> Iterator[str]:
    yield "nothing was done; <run>, <host-id> and <relay> stand for what only a run knows, the time is now"
    yield from as_whom()
    if launch.dry:
        yield "a dry run: borg lists what it would save, for the gate to count; the repository is not opened"
    if places := runtime_files.left_out(launch.paths, {name for name, _ in launch.options}):
        yield f"what is in {', '.join(places)} is left out: the kernel and the machine's start make it anew"
    for place in file_systems(launch):
        yield f"what is mounted at {place} is left out: one-file-system"
    if launch.transport == "socket":
        yield "the forwarded socket is taken to be there, and ours"
    yield f"borg was {version} when the gate last looked" if version else "borg is not asked for its version"
