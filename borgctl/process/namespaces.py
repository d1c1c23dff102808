"""Namespaces of a program's own: process numbers, IPC objects, network (namespaces(7)).

The first process of a PID namespace is its init: when it ends, the kernel kills all others there before anybody is
told, however they were started. So a small process is init, and the program its child. It knows system calls, not who
is held.

    pid = fork(ALL)        # then, in the child:
    divide(ALL, status)    # returns in the program's process only
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
STATUS = struct.Struct("=i")  # the program's wait status, as init tells it
_NAMES = {PID: "pid", IPC: "ipc", NET: "net"}
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AWAITED = (*_PASSED_ON, signal.SIGCHLD)
_GRACE = 10.0  # seconds from TERM to the end of all, where the gate has gone
_libc = ctypes.CDLL(None, use_errno=True)


def names(kinds: int) -> list[str]:
    """Return what namespaces(7) calls them."""
    return [name for kind, name in _NAMES.items() if kinds & kind]


def possible(kinds: int) -> bool:
    """Tell whether this process may have them for a child; a process of ours tries it, and ends."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _libc.unshare(kinds) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


def fork(kinds: int) -> int:
    """Fork as os.fork does; the child begins in a new PID namespace, if `kinds` has one, and its parent stays."""
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
        if pid > 0:  # nobody would see to it
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    finally:
        os.close(own)
    return pid


def divide(kinds: int, status: int) -> None:
    """Become init and fork the program's process; return there, with no signal blocked.

    `status` is the write end of a pipe whose read end the gate alone has, and our highest descriptor: init tells there
    how the program ended. It then waits to be killed, so that what the program has left may end in peace. Raise OSError
    where it cannot begin.
    """
    _call(_libc.unshare(kinds & ~PID), "unshare")
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)  # an init hears nothing else from whom it is parent to
    parent_death.request_signal()
    if _unread(status):
        os._exit(127)  # the gate has gone before it could be noticed
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
    """Be init: pass signals on, reap, tell the program's end; where the gate is gone, see to the end of all."""
    os.closerange(0, status)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    running, end = True, None
    while True:
        if end is None:
            number = signal.sigwait(_AWAITED)
        elif found := signal.sigtimedwait(_AWAITED, max(0.0, end - time.monotonic())):
            number = found.si_signo
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
    """Reap whatever has ended, and tell how the program did; return whether it was among them."""
    found = False
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == program:
                found = True
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, STATUS.pack(ended[1]))
    return found


def _unread(pipe: int) -> bool:
    """Tell whether nobody has the other end of this pipe any more."""
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _call(result: int, name: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), name)
