"""What a program has left in its session: found by proc(5), asked to end, then killed.

A daemon makes a session of its own (setsid(2)) and is none of it; a job of a shell's (`sleep 300 &`) is. It knows
sessions and not what was run in them.

    end(child.pid) == Remains({4711: "sleep"})  # before the leader is reaped: until then the number is surely its own
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping

from borgctl.data_class import dataclass

_ON_ITS_WAY = 0.5  # seconds: a daemon forks first, its parent ends, and then it makes its session (daemon(3))
_GRACE = 2.0  # seconds from TERM to KILL
_PATIENCE = 5.0  # seconds after which what cannot be killed is left alone
_TICK = 0.02
_GONE = (b"Z", b"X")


@dataclass(frozen=True, slots=True)
class Remains:
    """The processes that were left, by pid and name; `alive`: some could not be ended."""

    met: Mapping[int, str]
    alive: bool = False


def end(session: int) -> Remains:
    """End whatever is left in a session whose leader has ended; return what it was."""
    began, met = time.monotonic(), dict[int, str]()
    while _members(session) and time.monotonic() - began < _ON_ITS_WAY:
        time.sleep(_TICK)
    began = time.monotonic()
    while (left := _members(session)) and (passed := time.monotonic() - began) < _PATIENCE:
        late = passed >= _GRACE
        for pid in left:
            if late or pid not in met:
                _tell(pid, session, signal.SIGKILL if late else signal.SIGTERM)
        met |= left
        time.sleep(_TICK)
    return Remains(met | left, bool(left))


def _members(session: int) -> dict[int, str]:
    """Return pid and name of each process of a session that has not ended."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (command := _command(int(name), session)) is not None:
            found[int(name)] = command
    return found


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


def _tell(pid: int, session: int, number: int) -> None:
    """Send a signal to a process that is still of this session; one that was stopped goes on, to hear it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if _command(pid, session) is not None:
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)
