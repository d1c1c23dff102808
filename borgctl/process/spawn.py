"""Start child processes that inherit nothing, watch them by pidfd, and end them reliably.

A child gets exactly the descriptors and the environment that it is given, default signals and its own session; nothing
of ours. This module does not know what a child does.

    child = spawn(["/bin/echo", "x"], {}, {1: write_end})
"""

import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from borgctl.data_class import dataclass
from borgctl.process import namespaces, parent_death

_ALL_SIGNALS = range(1, signal.NSIG)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Child:
    """A running child, which leads its own session and process group.

    Where it has a PID namespace of its own, `pid` and `pidfd` belong to the namespace's init. Init passes signals on,
    and reports through the pipe `status` how the child has ended.
    """

    pid: int
    pidfd: int
    status: int = -1

    @property
    def end(self) -> int:
        """Return the descriptor that becomes readable when the child has ended."""
        return self.pidfd if self.status < 0 else self.status

    def signal(self, number: int) -> None:
        """Send a signal to exactly this process; ignore that it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> int:
        """Wait for its end; return the exit status, or minus the number of the signal that ended it.

        When this returns, no process is left in its own PID namespace.
        """
        report = b""
        if self.status >= 0:
            report = os.read(self.status, namespaces.STATUS.size)  # nothing where init itself was killed
            os.close(self.status)
            self.signal(signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(namespaces.STATUS.unpack(report)[0] if report else status)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What confines a child: `apply` is its last act before execve(2); `kinds` are its own namespaces, 0 for none."""

    apply: Callable[[], None] = lambda: None
    kinds: int = 0


class SetupError(OSError):
    """A step before the start of a program failed, so the program was not started."""


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    fds: Mapping[int, int],
    before_exec: Callable[[], None] = lambda: None,
    kinds: int = 0,
) -> Child:
    """Start argv[0] with `fds` (child's number: ours) and /dev/null for 0, 1, 2 where not given.

    `before_exec` is the child's last act before execve(2), with only its own descriptors open. `kinds` are its own
    namespaces, a PID namespace among them. Raise SetupError where either fails, or OSError as execve(2) does.
    """
    words = [word.encode("utf-8", "surrogateescape") for word in argv]
    variables = {name.encode("utf-8"): value.encode("utf-8", "surrogateescape") for name, value in env.items()}
    if any(b"\0" in text for text in (*words, *variables, *variables.values())):
        raise OSError(errno.EINVAL, "a NUL character in a word", argv[0])
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    status_read, status_write = os.pipe2(os.O_CLOEXEC) if kinds else (-1, -1)
    try:
        pid = namespaces.fork(kinds)
    except OSError as error:
        for fd in (read_end, write_end, status_read, status_write):
            _close(fd)
        raise SetupError(error.errno, os.strerror(error.errno or errno.EIO), argv[0]) from None
    if pid == 0:
        try:
            _become(words, variables, fds, Confinement(before_exec, kinds), (write_end, status_write))
        except OSError as error:
            os.write(write_end, b"-%d" % (error.errno or errno.EIO))
        finally:
            os._exit(127)
    os.close(write_end)
    _close(status_write)
    child = Child(pid, os.pidfd_open(pid), status_read)
    with os.fdopen(read_end, "rb") as pipe:
        failure = pipe.read()
    if failure:
        child.reap()
        number = int(failure[1:])
        raise (SetupError if failure.startswith(b"-") else OSError)(number, os.strerror(number), argv[0])
    return child


def _become(
    argv: list[bytes],
    env: dict[bytes, bytes],
    fds: Mapping[int, int],
    confinement: Confinement,
    pipes: tuple[int, int],
) -> None:
    """Turn the forked process into the program; `pipes`: one to report a failure, one for the namespace's init."""
    parent = os.getppid()
    os.setsid()
    os.chdir("/")
    for number in _ALL_SIGNALS:
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):  # 32 and 33 are the C library's own
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open("/dev/null", os.O_RDWR)
    wanted = {0: null, 1: null, 2: null, **fds}
    above = max(*wanted, *wanted.values(), *pipes) + 1
    moved = {number: os.dup2(fd, above + index) for index, (number, fd) in enumerate(wanted.items())}
    last = os.dup2(pipes[0], above + len(moved), inheritable=False)
    status = os.dup2(pipes[1], last + 1, inheritable=False) if confinement.kinds else -1
    for number, fd in moved.items():
        os.dup2(fd, number)
    for fd in _open_fds():
        if fd not in wanted and fd not in (last, status):
            os.close(fd)
    sign = b"-"
    try:
        if confinement.kinds:
            namespaces.enter(confinement.kinds, status)
        confinement.apply()
        if not confinement.kinds:  # in a namespace, init does this
            # when we are killed, nothing goes on without a record; a change of user undoes this, so it comes now
            parent_death.request_signal()
            if os.getppid() != parent:
                os._exit(127)
        sign = b"+"
        os.execve(argv[0], argv, env)  # noqa: S606 - no shell, by design
    except OSError as error:
        os.write(last, b"%s%d" % (sign, error.errno or errno.EIO))


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _open_fds() -> list[int]:
    """Return the open descriptors, without the one that the listing itself used."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    return [number for number in numbers if _is_open(number)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def kill_group(child: Child) -> None:
    """Kill a child's whole process group; call it before `reap`, while the number is surely its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def wake_group(child: Child) -> None:
    """Continue a child's whole process group where it is stopped; call it before `reap`, as `kill_group`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGCONT)
