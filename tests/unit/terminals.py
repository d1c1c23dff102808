"""A program on a terminal, as a person sees it."""

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
    shown = b""
    try:
        while block := os.read(leader, 65536):
            shown += block
    except OSError:  # EIO: nobody has the other end open any more
        pass
    os.close(leader)
    process.wait()
    return shown.decode()
