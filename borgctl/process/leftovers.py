"""End the processes that a program left in its session: find them by proc(5), send TERM, then KILL.

A daemon makes a session of its own (setsid(2)), so it lives on; a shell's job (`sleep 300 &`) does not. This module
knows sessions, not what ran in them.

    end(child.pid) == Leftovers({4711: "sleep"})  # before the leader is reaped: until then the number is surely its own
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping

from borgctl.data_class import dataclass

_ON_ITS_WAY = 0.5  # seconds: daemon(3) forks, its parent ends, and only then it makes its session
_GRACE = 2.0  # seconds from TERM to KILL
_PATIENCE = 5.0  # seconds until processes that survive KILL are left alone
_TICK = 0.02
_GONE = (b"Z", b"X")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The names of the processes that were left, by pid; `alive`: some could not be ended."""

    processes: Mapping[int, str]
    alive: bool = False


def end(session: int) -> Leftovers:
    """End all processes left in a session whose leader has ended; return them."""
    began, processes = time.monotonic(), dict[int, str]()
    while _members(session) and time.monotonic() - began < _ON_ITS_WAY:
        time.sleep(_TICK)
    began = time.monotonic()
    while (left := _members(session)) and (passed := time.monotonic() - began) < _PATIENCE:
        late = passed >= _GRACE
        for pid in left:
            if late or pid not in processes:
                _signal(pid, session, signal.SIGKILL if late else signal.SIGTERM)
        processes |= left
        time.sleep(_TICK)
    return Leftovers(processes | left, bool(left))


def _members(session: int) -> dict[int, str]:
    """Return pid and name of each living process of a session."""
    names = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (command := _command(int(name), session)) is not None:
            names[int(name)] = command
    return names


def _command(pid: int, session: int) -> str | None:
    """Return the name of a living process of this session, None for any other."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, rest = file.read().rpartition(b")")
        state, _, _, its_session = rest.split()[:4]
    except (OSError, ValueError):
        return None
    if int(its_session) != session or state in _GONE:
        return None
    return head.partition(b"(")[2].decode("utf-8", "backslashreplace")


def _signal(pid: int, session: int, number: int) -> None:
    """Send a signal to a process if it is still in this session; a stopped one continues, to receive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if _command(pid, session) is not None:
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)
