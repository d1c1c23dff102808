"""A process that ends when its parent does, however that one dies (prctl(2), PR_SET_PDEATHSIG).

To become another user undoes it, and so does a set-user-ID program; a fork does not pass it on.

    parent = os.getpid(); Popen(…, preexec_fn=lambda: end_with(parent))
"""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def request_signal(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when its parent dies; raise OSError.

    A parent that has died before is not told of: whoever calls this looks afterwards.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_PDEATHSIG")


def end_with(parent: int, number: int = signal.SIGTERM) -> None:
    """Tie this process, a child of `parent` between fork(2) and execve(2), to it; end at once where that cannot be."""
    try:
        request_signal(number)
    except OSError:
        os._exit(127)
    if os.getppid() != parent:  # it has died meanwhile
        os._exit(127)
