"""A policy and what it stands on: its mistakes, borg, the state directory, the room for them, the log's clock.

The policy's own findings are those of `lint`. Nothing is kept: borg is asked for its version in a directory of its own.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from borgctl.cli.common.policy_argument import recovery_command
from borgctl.cli.doctor.findings import Finding
from borgctl.cli.policy import lint, policy_files
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy import load, sent_environment
from borgctl.policy.model import Policy
from borgctl.policy.placeholders import Names
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import borg_version, recovery
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

_LITTLE, _TOO_LITTLE = 1 << 30, 64 << 20  # bytes; borg's cache of a large backup has hundreds of MB
_TAIL = 64 << 10


def findings(path: str) -> Iterator[Finding]:
    """Yield what is to be said of the policy at this path."""
    report = lint.lint(path)
    try:
        policy = load.read(path)
    except BorgctlError:
        for problem in report.errors:
            text = "the gate refuses every request"
            yield Finding("error", "policy", text, (f"{path}:{problem.line}:{problem.column}: {problem.text}",))
        return
    yield from (Finding("error", "policy", problem.text, (f"{path}:{problem.line}",)) for problem in report.errors)
    yield from (Finding("warn", "policy", problem.text, (f"{path}:{problem.line}",)) for problem in report.warnings)
    if not report.errors and not report.warnings:
        offers = [*policy.jobs, *(f"borg {name}" for name in policy.commands)]
        yield Finding("ok", "policy", f"valid; the server may ask for {', '.join(offers) or 'nothing'}")
    yield from borg(policy)
    yield from pages(policy)
    yield from _room(policy)
    yield from records(policy.audit.file)


def borg(policy: Policy) -> Iterator[Finding]:
    """Ask borg for its version, held by the sandbox as the gate would hold it."""
    if problem := policy_files.program(policy.borg):
        yield Finding("error", "borg", f"borg cannot be used: {problem}", (), "apt-get install borgbackup, or 'borg:'")
        return
    try:
        held = plan.prepare(policy.sandbox, policy.user, policy.borg)
        version = _version(policy, held)
    except BorgctlError as error:
        topic = "sandbox" if error.reason.code == "sandbox-unavailable" else "borg"
        yield Finding("error", topic, f"no run can start: {error.detail}", (), error.hint)
        return
    yield Finding("ok", "borg", f"{policy.borg} is {version}")
    if held is None:
        yield Finding("warn", "sandbox", "borg is not held", ("sandbox: off",), "say 'sandbox: require' in the policy")
    elif not held.abi:
        yield Finding("warn", "sandbox", "borg is held without Landlock", held.missing)
    else:
        user, without = plan.owner(held)[0], held.lacks
        lacks = f"; this machine cannot forbid {', '.join(without)}" if without else ""
        yield Finding("ok", "sandbox", f"borg runs as uid {user} with Landlock ABI {held.abi}{lacks}")


def pages(policy: Policy) -> Iterator[Finding]:
    """Look whether the recovery page was printed for the key that each repository has now."""
    base = StateDir.known(policy.base)
    if base is None:
        return  # nothing was run yet, or `lint` says what is wrong
    try:
        names = Names(sent_environment.hostname(), "", datetime.now(UTC))
        for repository in policy.repositories:
            path = RepositoryPath(repository.path.expand(names))
            if why := recovery.due(base, path):
                printed = recovery_command(policy, path)
                command = f"{printed}, and put the page where the machine's end cannot reach it"
                yield Finding("warn", "recovery", why, (), command)
    except (BadValue, BorgctlError, OSError):
        yield Finding("unseen", "recovery", "the state directory cannot be read", (), "ask again as the gate's user")
    finally:
        os.close(base.fd)


def _version(policy: Policy, held: Sandbox | None) -> str:
    """Ask borg as the gate does for a new client; what is written goes with the directory."""
    with tempfile.TemporaryDirectory(prefix="borgctl-doctor-") as directory:
        base = StateDir.open(directory)
        try:
            return borg_version.asked(policy, held, base, "doctor").text
        finally:
            os.close(base.fd)


def _room(policy: Policy) -> Iterator[Finding]:
    """Look at the space for borg's cache and for the log."""
    for topic, path in (("state", policy.base), ("log", os.path.dirname(policy.audit.file))):
        there = _existing(path)
        try:
            status = os.statvfs(there)
        except OSError as error:
            yield Finding("unseen", topic, f"{there}: {error.strerror}", (), "ask again as the gate's user")
            continue
        free = status.f_bavail * status.f_frsize if os.geteuid() else status.f_bfree * status.f_frsize
        text = f"{free / 1e9:.1f} GB free for {path}"
        if status.f_flag & os.ST_RDONLY:
            yield Finding("error", topic, f"{there} is on a file system that is mounted read-only")
        elif free < _TOO_LITTLE or (status.f_files and status.f_ffree < 100):
            yield Finding("error", topic, f"no room: {text}", (), "make room: without a record there is no run")
        elif free < _LITTLE:
            yield Finding("warn", topic, f"little room: {text}", (), "make room")
        else:
            yield Finding("ok", topic, text)


def _existing(path: str) -> str:
    while path != "/" and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def records(path: str) -> Iterator[Finding]:
    """Compare the clock with the last record: time must not have gone back."""
    try:
        with SecurePath.at(path) as pinned, os.fdopen(pinned.open(os.O_RDONLY), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            last = file.read(_TAIL).splitlines()[-1:]
    except FileNotFoundError:
        yield Finding("ok", "records", "none yet")
        return
    except (OSError, InsecurePath) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        yield Finding("unseen", "records", f"{path}: {text}", (), "ask again as the gate's user")
        return
    when = _time(last[0]) if last else None
    if last and when is None:
        yield Finding("warn", "records", f"the last line of {path} is no record")
    elif when and when > datetime.now(UTC):
        text = f"the last record is of {when:%Y-%m-%d %H:%M:%S} UTC, which is still to come: the clock went back"
        yield Finding("warn", "records", text, (), "set the clock")
    elif when:
        yield Finding("ok", "records", f"the last one is of {when:%Y-%m-%d %H:%M} UTC")


def _time(line: bytes) -> datetime | None:
    try:
        when = datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
