"""Find and end processes by their place in the process tree, as proc(5) shows it.

It knows parents and children, not what they do. Orphans are found only after `adopt_orphans`.

    ancestors(os.getpid())[0] == os.getppid()
    with killing_descendants(): …       # whatever starts in this block ends with it
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36
_DEEPEST = 64
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of every descendant whose parent ends (prctl(2) PR_SET_CHILD_SUBREAPER), or stop being it."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")


@contextlib.contextmanager
def killing_descendants() -> Iterator[None]:
    """Kill at the end of this block whatever was started in it, orphans included."""
    adopt_orphans()
    try:
        yield
    finally:
        kill_descendants()
        adopt_orphans(adopt=False)


def ancestors(pid: int) -> list[int]:
    """Return the pids of the ancestors of `pid`, nearest first, as far as proc(5) shows them; at most 64."""
    above: list[int] = []
    while len(above) < _DEEPEST and (pid := _parent(pid)) > 0:
        above.append(pid)
    return above


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def kill_descendants(seconds: float = 5.0) -> None:
    """Kill and reap all our descendants, within `seconds`; orphans are our children after `adopt_orphans`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def descendants(pid: int | None = None) -> list[int]:
    """Return the pids of all descendants of `pid`, or of ours.

    It reads proc(5) once, so other users' processes cannot multiply the time it takes.
    """
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            below.setdefault(_parent(int(name)), []).append(int(name))
    pids = below.get(os.getpid() if pid is None else pid, [])
    for number in pids:
        pids += below.get(number, [])
    return pids
