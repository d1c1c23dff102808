"""doctor's findings about a policy and what it needs: its mistakes, borg, recovery pages, disk space, the log's clock.

The mistakes are those of `lint`. Nothing stays: borg is asked for its version in a temporary directory.

    list(findings("/etc/borgctl/web1.yaml"))
"""

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from borgctl.cli.common.policy_argument import recovery_command
from borgctl.cli.doctor.findings import Finding
from borgctl.cli.policy import lint, policy_files
from borgctl.console.age import IN_THE_FUTURE
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
    """Yield the findings about the policy at this path."""
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
    yield from _disk_space(policy)
    yield from records(policy.audit.file)


def borg(policy: Policy) -> Iterator[Finding]:
    """Ask borg for its version, in the sandbox that the gate would use."""
    if problem := policy_files.program(policy.borg):
        yield Finding("error", "borg", f"borg cannot be used: {problem}", (), "apt-get install borgbackup, or 'borg:'")
        return
    try:
        sandbox = plan.prepare(policy.sandbox, policy.user, policy.borg)
        version = _version(policy, sandbox)
    except BorgctlError as error:
        topic = "sandbox" if error.reason.code == "sandbox-unavailable" else "borg"
        yield Finding("error", topic, f"no run can start: {error.detail}", (), error.hint)
        return
    yield Finding("ok", "borg", f"{policy.borg} is {version}")
    if sandbox is None:
        yield Finding(
            "warn", "sandbox", "borg runs without a sandbox", ("sandbox: off",), "say 'sandbox: require' in the policy"
        )
    elif not sandbox.abi:
        yield Finding("warn", "sandbox", "the sandbox is without Landlock", sandbox.missing)
    else:
        user, without = plan.owner(sandbox)[0], sandbox.lacks
        lacks = f"; this machine cannot forbid {', '.join(without)}" if without else ""
        yield Finding("ok", "sandbox", f"borg runs as uid {user} with Landlock ABI {sandbox.abi}{lacks}")


def pages(policy: Policy) -> Iterator[Finding]:
    """Check whether a recovery page was printed for the present key of each repository."""
    base = StateDir.known(policy.base)
    if base is None:
        return  # nothing has run yet, or `lint` says what is wrong
    try:
        names = Names(sent_environment.hostname(), "", datetime.now(UTC))
        for repository in policy.repositories:
            path = RepositoryPath(repository.path.expand(names))
            if why := recovery.due(base, path):
                change = f"{recovery_command(policy, path)}, and keep the page away from this machine"
                yield Finding("warn", "recovery", why, (), change)
    except BorgctlError as error:
        yield Finding("unseen", "recovery", error.detail, (), error.hint)
    except (BadValue, OSError):
        yield Finding("unseen", "recovery", "the state directory cannot be read", (), "ask again as the gate's user")
    finally:
        os.close(base.fd)


def _version(policy: Policy, sandbox: Sandbox | None) -> str:
    """Ask borg as the gate does for a new client; what it writes is removed with the directory."""
    with tempfile.TemporaryDirectory(prefix="borgctl-doctor-") as directory:
        base = StateDir.open(directory)
        try:
            return borg_version.asked(policy, sandbox, base, "doctor").text
        finally:
            os.close(base.fd)


def _disk_space(policy: Policy) -> Iterator[Finding]:
    """Check the disk space for borg's cache and for the log."""
    for topic, path in (("state", policy.base), ("log", os.path.dirname(policy.audit.file))):
        existing = _existing(path)
        try:
            status = os.statvfs(existing)
        except OSError as error:
            yield Finding("unseen", topic, f"{existing}: {error.strerror}", (), "ask again as the gate's user")
            continue
        free = status.f_bavail * status.f_frsize if os.geteuid() else status.f_bfree * status.f_frsize
        text = f"{free / 1e9:.1f} GB free for {path}"
        if status.f_flag & os.ST_RDONLY:
            yield Finding("error", topic, f"{existing} is on a file system that is mounted read-only")
        elif free < _TOO_LITTLE or (status.f_files and status.f_ffree < 100):
            yield Finding(
                "error", topic, f"too little space: {text}", (), "free some: without a record there is no run"
            )
        elif free < _LITTLE:
            yield Finding("warn", topic, f"little space: {text}", (), "free some")
        else:
            yield Finding("ok", topic, text)


def _existing(path: str) -> str:
    while path != "/" and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def records(path: str) -> Iterator[Finding]:
    """Compare the clock with the time of the last record, which must not be in the future."""
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
        text = f"the last record is of {when:%Y-%m-%d %H:%M:%S} UTC, which is {IN_THE_FUTURE}"
        yield Finding("warn", "records", text, (), "set the clock")
    elif when:
        yield Finding("ok", "records", f"the last one is of {when:%Y-%m-%d %H:%M} UTC")


def _time(line: bytes) -> datetime | None:
    try:
        when = datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
