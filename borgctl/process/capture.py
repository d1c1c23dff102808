"""Run a small program to its end and return its output, within limits of size and time.

It does not know what the program says.

    capture(["/usr/bin/borg", "--version"], env, most=200, seconds=60) == (0, b"borg 1.4.5\n")
"""

import errno
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence

from borgctl.process.spawn import kill_group, spawn


def capture(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    most: int,
    seconds: float,
    stderr: int | None = None,
    before_exec: Callable[[], None] = lambda: None,
    kinds: int = 0,
) -> tuple[int, bytes]:
    """Run a small program; return its exit status and stdout.

    `stderr` is a descriptor of ours for its stderr, else /dev/null. `before_exec` and `kinds` are as for `spawn`. Raise
    OSError: ETIMEDOUT after `seconds`, EFBIG above `most` bytes, or as `spawn` does.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        child = spawn(argv, env, {1: write_end} | ({} if stderr is None else {2: stderr}), before_exec, kinds)
    except OSError:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    output, failed, end = b"", 0, time.monotonic() + seconds
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            failed = errno.ETIMEDOUT
            break
        data = os.read(read_end, 65536)
        output += data
        if not data or len(output) > most:
            failed = errno.EFBIG if data else 0
            break
    os.close(read_end)
    timed_out = not select.select([child.end], [], [], 0.0 if failed else max(0.0, end - time.monotonic()))[0]
    kill_group(child)  # the child, if it is late, and its leftovers
    status = child.reap()
    if failed or timed_out:
        raise OSError(failed or errno.ETIMEDOUT, os.strerror(failed or errno.ETIMEDOUT), argv[0])
    return status, output
