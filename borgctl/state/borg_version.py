"""borg's version: what the program says of itself when it is started the way a run starts it, and whether we know it.

It is asked as the user and in the sandbox of a run, with a TMPDIR of that user's: some of borg's imports need one. The
answer is kept in the base until the file changes. It does not know what the version is wanted for.

    asked(policy, sandbox, base, run).series == (1, 4)
"""

import contextlib
import os
import stat

from borgctl.borg import environment, relay
from borgctl.borg.version import Version, supported
from borgctl.errors import BorgctlError
from borgctl.fs import trusted_code
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy.model import Policy
from borgctl.process import spawn
from borgctl.process.capture import capture
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import run_locks
from borgctl.state.state_dir import StateDir

_SAID = 600  # characters of what borg says when it fails: the end of a traceback names the error


def require(borg: str) -> None:
    """Raise BorgctlError where this borg is missing, or another user could change any of its code."""
    try:
        trusted_code.require_borg(borg)
    except InsecurePath as error:
        raise BorgctlError("borg-unsafe", str(error)) from None
    except OSError as error:
        raise BorgctlError("borg-missing", f"{error.filename or borg!r}: {error.strerror}") from None


def known(base: StateDir, borg: str) -> Version | None:
    """Return the version of the borg at this path where it is kept and the file has not changed; start nothing."""
    mark, _, text = base.version_note().partition(" ")
    try:
        return supported(text) if mark == _mark(borg) else None
    except (OSError, InsecurePath):
        return None


def version(base: StateDir, borg: str, env: dict[str, str], confinement: spawn.Confinement) -> Version:
    """Return the version of the borg at this path, asking it only when the file has changed.

    Raise BorgctlError where it is missing, could be somebody else's, fails, or is of a series that we do not know.
    """
    require(borg)
    if (kept := known(base, borg)) is not None:
        return kept
    try:
        mark = _mark(borg)
        status, answer, said = _start(borg, env, confinement)
    except InsecurePath as error:
        raise BorgctlError("borg-unsafe", str(error)) from None
    except spawn.SetupError as error:
        raise BorgctlError("sandbox-unavailable", f"it cannot be laid: {error.strerror}") from None
    except OSError as error:
        raise BorgctlError("borg-missing", f"{borg!r}: {error.strerror}") from None
    if status != 0:
        raise BorgctlError("borg-missing", f"'{borg} --version' ended with status {status} and said {said!r}")
    text = answer.strip().removeprefix("borg ")
    if (found := supported(text)) is None:
        raise BorgctlError("borg-unsupported", f"{borg!r} is version {text[:40]!r}; 1.2 and 1.4 are known")
    base.note_version(f"{mark} {text}")
    return found


def asked(policy: Policy, sandbox: Sandbox | None, base: StateDir, run: str) -> Version:
    """Ask for the version as a run does, in a run directory for this alone."""
    with run_locks.run_directory(base, run, *plan.owner(sandbox)) as directory:
        env = environment.borg_environment(base.borg, f"{directory}/tmp", base.host_id())
        rules = sandbox.rules(policy.borg, relay.__file__, (base.borg, f"{directory}/tmp")) if sandbox else ()
        return version(base, policy.borg, env, plan.confinement(sandbox, rules, policy.limits.memory))


def _start(borg: str, env: dict[str, str], confinement: spawn.Confinement) -> tuple[int, str, str]:
    """Return its status, what it printed, and the end of what it said on stderr."""
    # what does not fit into this pipe is lost, and keeps nobody waiting
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    said = b""
    try:
        status, answer = capture(
            [borg, "--version"],
            env,
            most=200,
            seconds=60,
            stderr=write_end,
            before_exec=confinement.apply,
            kinds=confinement.kinds,
        )
        with contextlib.suppress(BlockingIOError):
            said = os.read(read_end, 1 << 16)
    finally:
        os.close(read_end)
        os.close(write_end)
    words = " ".join(said.decode("utf-8", "replace").split())
    return status, answer.decode("ascii", "replace"), words[-_SAID:]


def _mark(borg: str) -> str:
    """Return what changes when the file does; raise InsecurePath or OSError."""
    with SecurePath.at(borg) as pinned:
        status = pinned.require(stat.S_IFREG).status
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}"
