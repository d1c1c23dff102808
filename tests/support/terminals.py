"""A program on a terminal, as a person sees it."""

import contextlib
import os
import pty
import subprocess

from machines import program


def on_a_terminal(*argv, **env):
    """Run a program with a terminal of 16 colours; return what reaches it."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [program(argv[0]), *map(str, argv[1:])],
        **dict.fromkeys(("stdin", "stdout", "stderr"), follower),
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8", "HOME": "/nonexistent", **env},
    )
    os.close(follower)
    shown = shown_on(leader)
    process.wait()
    return shown.decode()


def shown_on(leader):
    """Return all that was written to a terminal that nobody has open any more, and close our end of it."""
    shown = b""
    with contextlib.suppress(OSError):  # EIO is its end
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    return shown
