"""Hook: run the `on_failure` command of a target after a run that failed.

It gets an argv and no shell, an environment built from nothing, and a process group of its own, which is ended with it.
Its time and its output are bounded, and the output is escaped.

    env = environment("web1", "default", "failed", "ssh-failed", None)
    error, lines = run(("/usr/local/bin/page", "--urgent"), env, 30.0)
"""

import contextlib
import os
import pwd
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from borgctl.process.hook_environment import PATH
from borgctl.pull.notify.messages import line

LARGEST = 4000  # bytes of output that are kept
_MOST_LINES = 10
_GRACE = 2.0  # seconds from TERM to KILL


def environment(target: str, job: str | None, outcome: str, reason: str | None, run: str | None) -> dict[str, str]:
    """Return the environment of a hook; what a client may have chosen in it is short and harmless."""
    words = {"TARGET": target, "JOB": job, "OUTCOME": outcome, "REASON": reason, "RUN": run}
    ours = {f"BORGPULL_{name}": re.sub(r"[^A-Za-z0-9_.:-]", "_", word or "")[:64] for name, word in words.items()}
    return {"PATH": PATH, "HOME": pwd.getpwuid(os.geteuid()).pw_dir, "LANG": "C.UTF-8", **ours}


def run(argv: Sequence[str], env: Mapping[str, str], seconds: float) -> tuple[str | None, list[str]]:
    """Run a hook; return why it failed, or None, and lines of its output. It is killed after so many seconds."""
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot be started: {error.strerror}", []
    output, ended = _read(process, time.monotonic() + seconds)
    status = process.wait()
    lines = [line(one) for one in output.decode("utf-8", "replace").split("\n") if one.strip()][:_MOST_LINES]
    if not ended:
        return f"was killed after {seconds:.0f} s", lines
    return (None if status == 0 else f"ended with status {status}"), lines


def _read(process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bool]:
    """Read its output until it ends; return what is kept, and whether it ended by itself; end its group.

    What it started and left running may hold the pipe: so the process is watched, not the end of its output.
    """
    assert process.stdout is not None
    output, pidfd = b"", os.pidfd_open(process.pid)
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pidfd, selectors.EVENT_READ)
        selector.register(pipe, selectors.EVENT_READ)
        ended = False
        while not ended and (left := end - time.monotonic()) > 0:
            keys = [key.fd for key, _ in selector.select(left)]
            if pipe.fileno() in keys:
                data = _take(pipe.fileno())
                output += (data or b"")[: LARGEST - len(output)]
                if data == b"":
                    selector.unregister(pipe)
            ended = pidfd in keys
        output += (_take(pipe.fileno()) or b"")[: LARGEST - len(output)]
        _end_group(process, pidfd, ended=ended)
    os.close(pidfd)
    return output, ended


def _take(fd: int) -> bytes | None:
    """Read what is there; None where nothing is, b"" at the end."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return None


def _end_group(process: subprocess.Popen[bytes], pidfd: int, *, ended: bool) -> None:
    """End what is left of the process's group: the process is not reaped yet, so the group's number is its own."""
    if not ended:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with selectors.DefaultSelector() as selector:
            selector.register(pidfd, selectors.EVENT_READ)
            selector.select(_GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
