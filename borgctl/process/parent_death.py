"""End a process when its parent ends, however that happens (prctl(2), PR_SET_PDEATHSIG).

A change of user undoes it, and so does a set-user-ID program; a fork does not inherit it. It knows no program.

    parent = os.getpid(); Popen(…, preexec_fn=lambda: end_with(parent))
"""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def request_signal(number: int = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal when its parent ends; raise OSError.

    It does not report a parent that has ended before: the caller checks that afterwards.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_PDEATHSIG")


def end_with(parent: int, number: int = signal.SIGTERM) -> None:
    """Let this child end with `parent`, between fork(2) and execve(2); end at once where that is impossible."""
    try:
        request_signal(number)
    except OSError:
        os._exit(127)
    if os.getppid() != parent:  # it has ended meanwhile
        os._exit(127)
