"""Child processes: started with nothing inherited, watched by pidfd, ended for certain.

A child gets exactly the descriptors it is given, default signals, its own session and an environment; nothing of ours.
This module does not know what a child does.

    child = spawn(["/bin/echo", "x"], {}, {1: write_end})
"""

import contextlib
import ctypes
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from borgctl.data_class import dataclass
from borgctl.process import namespaces, parent_death

_PR_SET_CHILD_SUBREAPER = 36
_DEEPEST = 64
_ALL_SIGNALS = range(1, signal.NSIG)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Child:
    """A running child, which leads its own session and process group.

    Where it has a PID namespace of its own, `pid` and `pidfd` are those of the namespace's init, which passes on what
    it is told, and tells through the pipe `status` how the child has ended.
    """

    pid: int
    pidfd: int
    status: int = -1

    @property
    def end(self) -> int:
        """Return the descriptor that becomes readable when it has ended."""
        return self.pidfd if self.status < 0 else self.status

    def signal(self, number: int) -> None:
        """Send a signal to this very process; one that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> int:
        """Wait for its end; return the exit status, or minus the number of the signal that ended it.

        Whatever is left in a namespace of its own is gone when this returns.
        """
        told = b""
        if self.status >= 0:
            told = os.read(self.status, namespaces.STATUS.size)  # nothing where init itself was killed
            os.close(self.status)
            self.signal(signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(namespaces.STATUS.unpack(told)[0] if told else status)


@dataclass(frozen=True, slots=True)
class Wall:
    """What holds a child: `lay` is its last act before execve(2); `kinds` are namespaces of its own, 0 for none."""

    lay: Callable[[], None] = lambda: None
    kinds: int = 0


class Unprepared(OSError):  # noqa: N818 - reads as what it says where it is caught
    """What had to be done before a program was started went wrong, so it was not."""


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of every descendant whose parent dies (prctl(2) PR_SET_CHILD_SUBREAPER), or no longer."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Let nothing of what is started in this block outlive it, whatever its parents do."""
    adopt_orphans()
    try:
        yield
    finally:
        kill_descendants()
        adopt_orphans(adopt=False)


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    fds: Mapping[int, int],
    before_exec: Callable[[], None] = lambda: None,
    kinds: int = 0,
) -> Child:
    """Start argv[0] with `fds` (child's number: ours) and /dev/null for 0, 1, 2 where not given.

    `before_exec` is the child's last act before execve(2), with nothing but its descriptors open; `kinds` are
    namespaces of its own, a PID namespace among them. Raise Unprepared where either cannot be, or OSError as execve(2)
    does.
    """
    words = [word.encode("utf-8", "surrogateescape") for word in argv]
    variables = {name.encode("utf-8"): value.encode("utf-8", "surrogateescape") for name, value in env.items()}
    if any(b"\0" in text for text in (*words, *variables, *variables.values())):
        raise OSError(errno.EINVAL, "a NUL among the words", argv[0])
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    told, tell = os.pipe2(os.O_CLOEXEC) if kinds else (-1, -1)
    try:
        pid = namespaces.fork(kinds)
    except OSError as error:
        for fd in (read_end, write_end, told, tell):
            _close(fd)
        raise Unprepared(error.errno, os.strerror(error.errno or errno.EIO), argv[0]) from None
    if pid == 0:
        try:
            _become(words, variables, fds, Wall(before_exec, kinds), (write_end, tell))
        except OSError as error:
            os.write(write_end, b"-%d" % (error.errno or errno.EIO))
        finally:
            os._exit(127)
    os.close(write_end)
    _close(tell)
    child = Child(pid, os.pidfd_open(pid), told)
    with os.fdopen(read_end, "rb") as pipe:
        failed = pipe.read()
    if failed:
        child.reap()
        number = int(failed[1:])
        raise (Unprepared if failed.startswith(b"-") else OSError)(number, os.strerror(number), argv[0])
    return child


def _become(
    argv: list[bytes],
    env: dict[bytes, bytes],
    fds: Mapping[int, int],
    wall: Wall,
    pipes: tuple[int, int],
) -> None:
    """Turn the process that was forked into the program; `pipes`: to report what fails, and for namespaces' init."""
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
    status = os.dup2(pipes[1], last + 1, inheritable=False) if wall.kinds else -1
    for number, fd in moved.items():
        os.dup2(fd, number)
    for fd in _open_fds():
        if fd not in wanted and fd not in (last, status):
            os.close(fd)
    sign = b"-"
    try:
        if wall.kinds:
            namespaces.divide(wall.kinds, status)
        wall.lay()
        if not wall.kinds:  # there, init sees to it
            # where we are killed, nothing goes on without a record; to become another user undoes it, so it comes now
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
    """Return the open descriptors, without the one that the look itself needed."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    return [number for number in numbers if _is_open(number)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def ancestors(pid: int) -> list[int]:
    """Return the pids above `pid`, nearest first, as far as proc(5) shows them; at most _DEEPEST."""
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


def kill_group(child: Child) -> None:
    """Kill a child's whole process group; call it before `reap`, while the number is surely its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def wake_group(child: Child) -> None:
    """Let a child's whole process group go on where it was stopped; as `kill_group`, before `reap`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGCONT)


def kill_descendants(seconds: float = 5.0) -> None:
    """Kill and reap whatever descends from us and still lives; orphans have become our children."""
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
    """Return the pids below this one, or below us.

    From one look at proc(5), in time that other users' processes cannot multiply.
    """
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            below.setdefault(_parent(int(name)), []).append(int(name))
    found = below.get(os.getpid() if pid is None else pid, [])
    for one in found:
        found += below.get(one, [])
    return found


def capture(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    most: int,
    seconds: float,
    stderr: int | None = None,
    before_exec: Callable[[], None] = lambda: None,
    kinds: int = 0,
) -> tuple[int, bytes]:
    """Run a small program; return its status and stdout. Raise OSError, also (ETIMEDOUT, EFBIG) past the limits.

    `stderr` is the descriptor that it has for its own; /dev/null where there is none.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        child = spawn(argv, env, {1: write_end} | ({} if stderr is None else {2: stderr}), before_exec, kinds)
    except OSError:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    output, failed, end = b"", 0, time.monotonic() + seconds
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            failed = errno.ETIMEDOUT
            break
        data = os.read(read_end, 65536)
        output += data
        if not data or len(output) > most:
            failed = errno.EFBIG if data else 0
            break
    os.close(read_end)
    late = not select.select([child.end], [], [], 0.0 if failed else max(0.0, end - time.monotonic()))[0]
    kill_group(child)  # it, where it is late, and whatever it has left behind
    status = child.reap()
    if failed or late:
        raise OSError(failed or errno.ETIMEDOUT, os.strerror(failed or errno.ETIMEDOUT), argv[0])
    return status, output
