"""Measure a step of a benchmark: wall seconds, CPU seconds of each machine, bytes sent, peak memory of each program.

Both machines are this one. Client is who holds the data, server who holds the repository; one of them is reached
through an sshd. CPU seconds are user and system time of all processes: of what we start from wait4(2), for which this
process must have adopted orphans, and of what the sshd starts from proc(5), once all of it has ended. Bytes are those
over the loopback interface, in a network namespace of our own where we may make one. Peaks of memory (VmHWM) are read
every tenth of a second. That costs time itself, so only a round that is not counted asks for them.

    step = measure([Command("server", ["borgpull", "run", "web1"])], sshd, sshd_side="client")
"""

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

import machines

__all__ = ["SIDES", "Command", "Failed", "Step", "carry_out", "machines", "measure", "own_network"]

SIDES = ("client", "server")
PROGRAMS = (  # the first that fits a command line is the process's name in the tables
    ("gate", r"-m borgctl\.gate"),
    ("guard", r"rpc_guard"),
    ("relay", r"relay\.py"),
    ("launcher", r"borgpull|unguarded\.py"),
    ("window", r"borgctl window"),
    ("borg serve", r"borg.* serve"),
    ("borg", r"/borg |python\S* \S*/borg "),
    ("sshd", r"^sshd|/sshd"),
    ("sshfs", r"^sshfs|/sshfs"),
    ("sftp-server", r"sftp-server"),
    ("ssh", r"^ssh |/ssh "),
    ("socat", r"^socat|/socat"),
    ("nc", r"^nc |/nc "),
)
_TICKS = os.sysconf("SC_CLK_TCK")
_CLONE_NEWNET, _SIOCSIFFLAGS, _IFF_UP = 0x40000000, 0x8914, 1
_INTERVAL = 0.1  # seconds between two looks at the memory


class Command(NamedTuple):
    """A program to run on one side; one in the background gets SIGTERM when those in the foreground have ended."""

    side: str
    argv: list[str]
    env: dict[str, str]
    directory: str = "/"
    background: bool = False


class Step(NamedTuple):
    """What a step took: seconds, CPU seconds of each side, bytes over the wire, peak bytes of each program."""

    wall: float
    cpu: dict[str, float]
    wire: int
    memory: dict[str, int]


class Failed(Exception):  # noqa: N818 - reads as what it says where it is raised
    """A command of a step did not end well."""


def carry_out(main: Callable[[], object]) -> None:
    """Run a benchmark's main program, with this checkout's programs first in PATH; end in one line where it fails."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench: stopped; nothing is left behind")
    except (Failed, AssertionError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")


def own_network() -> bool:
    """Move this process into a network namespace with nothing but a loopback; False where the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    return True


def measure(commands: list[Command], sshd: machines.Sshd | None, sshd_side: str, *, memory: bool = False) -> Step:
    """Run the commands at once, wait for those in the foreground, and return what it took. Raise Failed."""
    os.sync()
    listener = None if sshd is None else sshd.listener
    cpu, sent = dict.fromkeys(SIDES, 0.0), _sent()
    used = 0.0 if listener is None else _used(listener)
    began = time.monotonic()
    running = [(command, _start(command)) for command in commands]
    peaks = _Peaks({child.pid: command.side for command, child in running}, listener, sshd_side)
    if memory:
        peaks.start()
    try:
        for command, child in running:
            if not command.background:
                cpu[command.side] += _end(command, child)
        wall = time.monotonic() - began
        for command, child in running:
            if command.background:
                child.terminate()
                cpu[command.side] += _end(command, child)
        cpu[SIDES[sshd_side == SIDES[0]]] += _orphans()
        if sshd is not None and listener is not None:
            machines.wait_for(lambda: not sshd.sessions(), 30, "the end of all sessions")
            cpu[sshd_side] += _used(listener) - used
    finally:
        peaks.stop()
        for _, child in running:
            if child.returncode is None:
                child.kill()
                child.wait()
    return Step(wall, cpu, _sent() - sent, peaks.bytes)


def _start(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=command.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _end(command: Command, child: subprocess.Popen[bytes]) -> float:
    """Read the output to its end, and return the CPU seconds of the program and what it has waited for."""
    assert child.stdout is not None
    output = child.stdout.read()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and not command.background:
        shown = output.decode(errors="backslashreplace")[-4000:]
        raise Failed(f"{command.argv} ended with {child.returncode}:\n{shown}")
    return usage.ru_utime + usage.ru_stime


def _orphans() -> float:
    """Return the CPU seconds of ended processes whose parents did not wait for them; we are their parent now."""
    seconds = 0.0
    with contextlib.suppress(ChildProcessError):
        while (ended := os.wait4(-1, os.WNOHANG))[0]:
            seconds += ended[2].ru_utime + ended[2].ru_stime
    return seconds


def _used(pid: int) -> float:
    """Return the CPU seconds of a process and of all its ended descendants."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _sent() -> int:
    """Return the number of bytes that the loopback interface has carried."""
    table = Path("/proc/self/net/dev").read_text()
    found = re.search(r"(?m)^\s*lo:\s*(\d+)", table)
    assert found is not None
    return int(found[1])


class _Peaks(threading.Thread):
    """Read the peak memory of every process below some roots, until it is told to stop."""

    def __init__(self, roots: dict[int, str], listener: int | None, sshd_side: str) -> None:
        super().__init__(daemon=True)
        self.roots = roots if listener is None else roots | {listener: sshd_side}
        self.bytes: dict[str, int] = {}
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_INTERVAL):
            for root, side in self.roots.items():
                for pid in (root, *(process.pid for process in machines.descendants(root))):
                    self._look(pid, side)

    def stop(self) -> None:
        """Stop, if it runs."""
        self._over.set()
        if self.is_alive():
            self.join()

    def _look(self, pid: int, side: str) -> None:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        except OSError:
            return
        peak = re.search(r"(?m)^VmHWM:\s*(\d+) kB", status)
        name = next((name for name, form in PROGRAMS if re.search(form, line)), None)
        if peak and name:
            key = f"{side}: {name}"
            self.bytes[key] = max(self.bytes.get(key, 0), int(peak[1]) * 1024)
