"""Start a program in namespaces of its own: process numbers, IPC objects, network (namespaces(7)).

The first process of a PID namespace is its init. When it ends, the kernel kills all others there, however they were
started, before it reports the end. So a small process is init, and the program is its child. This module knows system
calls, not which program runs.

    pid = fork(ALL)       # then, in the child:
    enter(ALL, status)    # returns in the program's process only
"""

import contextlib
import ctypes
import os
import select
import signal
import struct
import time
from typing import NoReturn

from borgctl.process import parent_death

PID, IPC, NET = 0x20000000, 0x08000000, 0x40000000  # CLONE_NEW… (linux/sched.h)
ALL = PID | IPC | NET
STATUS = struct.Struct("=i")  # the program's wait status, as init reports it
_NAMES = {PID: "pid", IPC: "ipc", NET: "net"}
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AWAITED = (*_PASSED_ON, signal.SIGCHLD)
_GRACE = 10.0  # seconds from TERM to KILL of all, after the gate's end
_libc = ctypes.CDLL(None, use_errno=True)


def names(kinds: int) -> list[str]:
    """Return the names of these namespaces, as in namespaces(7)."""
    return [name for kind, name in _NAMES.items() if kinds & kind]


def possible(kinds: int) -> bool:
    """Tell whether this process may make them for a child; a child of ours tries it, and ends."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _libc.unshare(kinds) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


def fork(kinds: int) -> int:
    """Fork as os.fork does; the child starts in a new PID namespace if `kinds` has one, the parent stays."""
    if not kinds & PID:
        return os.fork()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    pid = -1
    try:
        _call(_libc.unshare(PID), "unshare")
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                _call(_libc.setns(own, PID), "setns")
    except OSError:
        if pid > 0:  # the caller would never learn of it
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    finally:
        os.close(own)
    return pid


def enter(kinds: int, status: int) -> None:
    """Become init and fork the program's process; return there, with no signal blocked.

    `status` is our highest descriptor: the write end of a pipe whose read end only the gate has. There init reports how
    the program ended. Then it waits to be killed, so that processes the program left may end by themselves. Raise
    OSError where it cannot start.
    """
    _call(_libc.unshare(kinds & ~PID), "unshare")
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)  # init receives no other signal from its own namespace
    parent_death.request_signal()
    if _unread(status):
        os._exit(127)  # the gate ended before PDEATHSIG was set
    pid = os.fork()
    if pid == 0:
        os.close(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return
    try:
        _lead(pid, status)
    finally:
        os._exit(127)


def _lead(program: int, status: int) -> NoReturn:
    """Be init: pass signals on, reap, report the program's end; when the gate has gone, end all processes."""
    os.closerange(0, status)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    running, end = True, None
    while True:
        if end is None:
            number = signal.sigwait(_AWAITED)
        elif received := signal.sigtimedwait(_AWAITED, max(0.0, end - time.monotonic())):
            number = received.si_signo
        else:
            os._exit(127)
        if number == signal.SIGCHLD:
            running = not _reaped(program, status) and running
        elif running:
            os.kill(program, number)  # not yet reaped, so the number is its own
        if _unread(status):
            end = end or time.monotonic() + _GRACE
            if not running:
                os._exit(127)


def _reaped(program: int, status: int) -> bool:
    """Reap all ended processes, and report the program's status; return whether it was among them."""
    program_ended = False
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == program:
                program_ended = True
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, STATUS.pack(ended[1]))
    return program_ended


def _unread(pipe: int) -> bool:
    """Tell whether the other end of this pipe is closed everywhere."""
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _call(result: int, name: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), name)
