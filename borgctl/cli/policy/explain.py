"""`borgctl explain POLICY REQUEST`: what the gate would decide, by the gate's own steps in its own order.

It reads the policy as the gate does; request, decision, argv and environment come from the same functions. It opens no
socket, takes no lock, writes no record, and starts neither hooks nor borg. What only a run knows has a placeholder, and
the notes say which.

    explain("/etc/borgctl/web1.yaml", b"run default", {}, facts()).decision == "allow"
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
    """Return the facts that the gate would have now: names, time, how it was started."""
    return Facts(Names(sent_environment.hostname(), "", datetime.now().astimezone()), local)


def variables(words: list[str]) -> dict[bytes, bytes]:
    """Read NAME=VALUE words: variables that the server sends with SendEnv and sshd accepts."""
    result = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise BadValue(f"bad --env {word!r}: expected NAME=VALUE")
        result[os.fsencode(name)] = os.fsencode(value)
    return result


def explain(file: str, command: bytes, sent: Mapping[bytes, bytes], given: Facts) -> Explanation:
    """Explain one request to one policy."""
    text = command.decode("ascii", "backslashreplace")
    try:
        policy = load.read(os.path.abspath(file))
        return _explain(policy, text, command, sent, given)
    except BorgctlError as error:
        return refused(error, text)


def _explain(policy: Policy, text: str, command: bytes, sent: Mapping[bytes, bytes], given: Facts) -> Explanation:
    """Take the gate's steps (`gate.main`); a refusal is a BorgctlError."""
    policy_files.require_log(policy)
    parsed: list[Request] = []
    try:
        decided = decide(policy, command, sent, given, parsed.append)
    except BorgctlError as error:
        rule = _forbidding(policy, parsed[0], given, error.reason.code) if parsed else None
        return refused(error, text, rule)
    policy_files.require_base(policy)
    decision = decided.granted
    if isinstance(decision, WindowGrant):
        path = str(decision.repository)
        return Explanation(text, "allow", rule=decision.rule, repository=path, transport=decision.transport)
    if isinstance(decision, HelloReply):
        return Explanation(
            text, "allow", rule=policy.file, answer={**decision.offer, "borg": _text(_noted_version(policy))}
        )
    sandbox = requirements.require(policy, decision)
    version = _noted_version(policy, decision)
    return Explanation(
        text,
        "allow",
        rule=decision.rule,
        job=decision.job,
        repository=str(decision.repository),
        transport=decision.transport,
        argv=tuple(command_line.build(decision, policy.borg, version)),
        environment=_environment(policy, decided.variables),
        sandbox=tuple(_sandbox(policy, sandbox, decision, version)),
        before=decision.before,
        after=decision.after,
        notes=tuple(_notes(decision, _text(version))),
    )


def _forbidding(policy: Policy, asked: Request, given: Facts, reason: str) -> str | None:
    """Return the place in the policy that forbids this; None where it is refused because nothing allows it."""
    if reason in ("option-not-offered", "path-not-offered") and isinstance(asked.order, Borg):
        return f"{policy.file}:{policy.commands[asked.order.command].line}"
    if reason == "encryption-required":
        path = asked.options.repository
        lines = [r.line for r in policy.repositories if path is None or r.path.expand(given.names) == str(path)]
        return f"{policy.file}:{lines[0]}"
    return None


def _noted_version(policy: Policy, launch: BorgCommand | None = None) -> Version | None:
    """Return borg's version if the gate has noted it; refuse the launch by the gate's state, as the gate would."""
    base = StateDir.known(policy.base)
    try:
        if launch and base and launch.command == "init":
            pins.require_new(base, launch.repository)
        if launch:
            borg_version.require(policy.borg)
        version = borg_version.known(base, policy.borg) if base else None
        if launch and version:
            check_version(launch, version)
        return version
    finally:
        if base:
            os.close(base.fd)


def _text(version: Version | None) -> str | None:
    return version.text if version else None


def _environment(policy: Policy, chosen: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return borg's environment, with placeholders for what only a run knows and for the secret."""
    env = environment.borg_environment(f"{policy.base}/borg", f"{policy.base}/runs/<run>/tmp", "<host-id>", chosen)
    secret = policy.passphrase.file or shlex.join(policy.passphrase.program)
    env = environment.with_transport(env, ("<relay>",), 0 if secret else None) | {"BORG_RSH": "<relay>"}
    return env | ({"BORG_PASSPHRASE_FD": f"<from {secret}>"} if secret else {})


def _sandbox(policy: Policy, sandbox: Sandbox | None, launch: BorgCommand, version: Version | None) -> Iterator[str]:
    """Yield what the sandbox lets borg do."""
    if sandbox is None:
        yield "off"
        return
    yield f"runs as uid {plan.owner(sandbox)[0]}" + (", who may read every file" if sandbox.account else "")
    if sandbox.namespaces:
        yield f"in namespaces of its own: {', '.join(namespaces.names(sandbox.namespaces))}"
    if not sandbox.abi:
        yield f"without Landlock: {'; '.join(sandbox.missing)}"
        return
    yield f"Landlock ABI {sandbox.abi}" + "".join(f", cannot forbid {what}" for what in sandbox.lacks)
    writes = (f"{policy.base}/borg", f"{policy.base}/runs/<run>/tmp")
    besides = opened_besides(launch, version) if version else ()
    for what, path in sandbox.rules(policy.borg, relay.__file__, writes, launch.reads, besides, launch.devices):
        yield f"{what} {path}"


def _notes(launch: BorgCommand, version: str | None) -> Iterator[str]:
    yield "nothing was done; only a run knows <run>, <host-id> and <relay>; the time is now"
    yield from as_whom()
    if launch.dry:
        yield "a dry run: borg lists what it would save, for the gate to count; the repository is not opened"
    if places := runtime_files.left_out(launch.paths, {name for name, _ in launch.options}):
        yield f"what is in {', '.join(places)} is left out: the kernel makes it, or each boot does"
    for place in file_systems(launch):
        yield f"what is mounted at {place} is left out: one-file-system"
    if launch.transport == "socket":
        yield "this assumes that the forwarded socket is there, and ours"
    if version:
        yield f"borg was {version} when the gate last asked it"
    elif launch.command == "create":
        yield "borg was not asked for its version; from 1.4.5 on, --json may come with --quick-stats"
    else:
        yield "borg was not asked for its version"
