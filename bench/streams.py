"""Streams: one stream of borg's messages through a program that moves it, with the clock and its CPU seconds.

One process plays borg, and writes into the mover's stdin. Another plays the server: it takes all from a unix socket or
a pipe, and answers. `throughput` says what is compared, and what its numbers mean.

    by_program(directory, Talk(repository, "small"), "nc", "-N", "-U", "{}").figures
"""

import contextlib
import fcntl
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from messages import Talk

from borgctl.borg import relay

GB = 10**9
PIPE = 1 << 20  # bytes


class Cost(NamedTuple):
    """One stream: seconds of the clock, CPU seconds of the mover, bytes to the server."""

    wall: float
    cpu: float
    bytes: int

    @property
    def figures(self) -> dict[str, float]:
        """Return MB/s and CPU seconds per GB."""
        return {"mb_per_s": self.bytes / self.wall / 1e6, "cpu_s_per_gb": self.cpu / self.bytes * GB}


def serve(source: int, talk: Talk, sink: int | None = None) -> int:
    """Fork the server of one stream: take all bytes of a socket or pipe, and answer into another. Return its pid."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        ends = [os.dup(end) for end in (source, sink) if end is not None]
        for number, end in enumerate(ends, 3):
            os.dup2(end, number)
        os.closerange(3 + len(ends), 1 << 16)  # else it would keep borg's end open
        take(3, talk, None if sink is None else 4)
        status = 0
    finally:
        os._exit(status)


def take(fd: int, talk: Talk, sink: int | None) -> None:
    """Be the server, to the end of the stream; fail where it is shorter than it should be."""
    sizes = [(len(ask), answer) for ask, answer in talk.opening]
    sizes += [(len(head) + len(data), answer) for (head, data), answer in talk.puts()]
    ends = list(itertools.accumulate(size for size, _ in sizes))
    room, taken, answered = bytearray(PIPE), 0, 0
    while number := os.readv(fd, [room]):
        taken, first = taken + number, answered
        while answered < len(ends) and ends[answered] <= taken:
            answered += 1
        if sink is not None and answered > first:
            os.write(sink, b"".join(answer for _, answer in sizes[first:answered]))
    assert taken == ends[-1], f"{taken} bytes of {ends[-1]}"


def read_exactly(fd: int, size: int) -> None:
    """Read so many bytes."""
    while size:
        data = os.read(fd, size)
        assert data, "the answers ended early"
        size -= len(data)


def feed(fd: int, talk: Talk) -> int:
    """Write all puts; return the number of their bytes."""
    count = 0
    for parts, _ in talk.puts():
        count += os.writev(fd, parts)
    return count


def finish(mover: "subprocess.Popen[bytes]", server: int) -> float:
    """Wait for both ends; return the CPU seconds of the mover."""
    _, status, usage = os.wait4(mover.pid, 0)
    mover.returncode = os.waitstatus_to_exitcode(status)
    if mover.returncode or os.waitpid(server, 0)[1]:
        sys.exit(f"{mover.args!r} ended with {mover.returncode}, or its server failed")
    return usage.ru_utime + usage.ru_stime


def both_ways(mover: "subprocess.Popen[bytes]", server: int, talk: Talk) -> Cost:
    """Play borg on a mover's pipes."""
    assert mover.stdin and mover.stdout
    ours, theirs = mover.stdin.fileno(), mover.stdout.fileno()
    for ask, answer in talk.opening:
        os.write(ours, ask)
        read_exactly(theirs, len(answer))
    expected = sum(len(answer) for _, answer in talk.puts())
    reader = threading.Thread(target=read_exactly, args=(theirs, expected))
    began = time.monotonic()
    reader.start()
    count = feed(ours, talk)
    reader.join()
    wall = time.monotonic() - began
    mover.stdin.close()
    cpu = finish(mover, server)
    mover.stdout.close()
    return Cost(wall, cpu, count)


def by_relay(directory: str, talk: Talk, transport: str) -> Cost:
    """Move one stream by the relay, and be its gate; the server's end are sshd's two pipes (stdio), or a socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/{relay.SOCKET}")
        listener.listen(1)
        argv = [sys.executable, "-I", "-S", relay.__file__, directory]
        mover = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        gate, _ = listener.accept()
    if transport == "stdio":
        (source, to_server), (from_server, sink) = os.pipe(), os.pipe()
    else:
        near, far = (end.detach() for end in socket.socketpair())
        source, sink, to_server, from_server = far, os.dup(far), near, os.dup(near)
    server = serve(source, talk, sink)
    socket.send_fds(gate, [b"\0"], [from_server, to_server])
    for end in (source, sink, to_server, from_server):
        os.close(end)

    def agree() -> None:
        with gate:
            while len(gate.recv(relay.SHOWN.size)) == relay.SHOWN.size:
                gate.send(b"y")

    threading.Thread(target=agree).start()
    return both_ways(mover, server, talk)


@contextlib.contextmanager
def listening(directory: str) -> Iterator[tuple[socket.socket, str]]:
    """Give a listening socket and its path."""
    path = f"{directory}/server"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        yield listener, path


def by_program(directory: str, talk: Talk, *argv: str) -> Cost:
    """Move one stream by a program that connects to the socket {}."""
    with listening(directory) as (listener, path):
        words = [word.format(path) for word in argv]
        mover = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        connection, _ = listener.accept()
    with connection:
        server = serve(connection.fileno(), talk, connection.fileno())
    return both_ways(mover, server, talk)


def one_way(directory: str, talk: Talk, *argv: str) -> Cost:
    """Move one stream to a pipe, from a socket pair or from the socket {}, to which the program connects."""
    passed, sink = os.pipe()
    fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PIPE)
    with listening(directory) as (listener, path):
        words = [word.format(path) for word in argv]
        connection, theirs = socket.socketpair()
        with theirs:
            mover = subprocess.Popen(words, stdin=theirs, stdout=sink, stderr=subprocess.DEVNULL)
        if words != list(argv):
            connection.close()
            connection, _ = listener.accept()
    os.close(sink)
    with connection:
        server = serve(passed, talk)
        os.close(passed)
        for ask, _ in talk.opening:
            connection.sendall(ask)
        began = time.monotonic()
        count = feed(connection.fileno(), talk)
    cpu = finish(mover, server)
    return Cost(time.monotonic() - began, cpu, count)
