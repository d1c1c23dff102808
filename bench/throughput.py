"""What the relay and the guard cost for each GB that they move, against nc and socat with the same bytes, in turn.

    make setup
    .venv/bin/python bench/throughput.py                           a small one, to see that it runs
    .venv/bin/python bench/throughput.py --size full --rounds 7    1.2 GB in 20,512 puts, as borg writes them
    .venv/bin/python bench/throughput.py --json FILE               the figures, for a program

One process plays borg: it writes legal messages of a `borg create` (`bench/messages.py`) into the mover's stdin.
Another plays the server: it takes them from a unix socket, as from sshd, and answers each put. It reads no message and
writes nothing to disk. nc and socat are started as the published scripts start them. The guard has a socket before it
and a pipe behind it, and there are no answers, as they do not pass the guard. The clock runs from the first put to the
last answer (with the guard, to the last byte). CPU seconds are those of the mover, with its start. A GB is 10^9 bytes.
"""

import argparse
import contextlib
import fcntl
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import machine
from messages import BIG, Talk

from borgctl.borg import relay
from borgctl.pull.repository.guard_process import PROGRAM

GB = 10**9
PIPE = 1 << 20  # bytes
PLENTY = ("--quota", str(1 << 40), "--puts", str(1 << 30), "--commits", "1000")


class Cost(NamedTuple):
    """One stream: seconds of the clock, CPU seconds of the mover, bytes to the server."""

    wall: float
    cpu: float
    bytes: int

    @property
    def figures(self) -> dict[str, float]:
        """Return MB/s and CPU seconds per GB."""
        return {"mb_per_s": self.bytes / self.wall / 1e6, "cpu_s_per_gb": self.cpu / self.bytes * GB}


def serve(end: int, talk: Talk, *, answers: bool) -> int:
    """Fork the server of one stream: take all bytes of this socket or pipe, and answer where asked. Return its pid."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.dup2(end, 3)
        os.closerange(4, 1 << 16)  # else it would keep borg's end open
        take(3, talk, answers=answers)
        status = 0
    finally:
        os._exit(status)


def take(fd: int, talk: Talk, *, answers: bool) -> None:
    """Be the server, to the end of the stream; fail where it is shorter than it should be."""
    sizes = [(len(ask), answer) for ask, answer in talk.opening]
    sizes += [(len(head) + len(data), answer) for (head, data), answer in talk.puts()]
    ends = list(itertools.accumulate(size for size, _ in sizes))
    room, taken, answered = bytearray(PIPE), 0, 0
    while number := os.readv(fd, [room]):
        taken, first = taken + number, answered
        while answered < len(ends) and ends[answered] <= taken:
            answered += 1
        if answers and answered > first:
            os.write(fd, b"".join(answer for _, answer in sizes[first:answered]))
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


def by_relay(directory: str, talk: Talk) -> Cost:
    """Move one stream by the relay, and be its gate."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/{relay.SOCKET}")
        listener.listen(1)
        argv = [sys.executable, "-I", "-S", relay.__file__, directory]
        mover = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        gate, _ = listener.accept()
    ours, theirs = socket.socketpair()
    server = serve(ours.fileno(), talk, answers=True)
    with ours, theirs:
        socket.send_fds(gate, [b"\0"], [theirs.fileno(), theirs.fileno()])

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
        server = serve(connection.fileno(), talk, answers=True)
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
        server = serve(passed, talk, answers=False)
        os.close(passed)
        for ask, _ in talk.opening:
            connection.sendall(ask)
        began = time.monotonic()
        count = feed(connection.fileno(), talk)
    cpu = finish(mover, server)
    return Cost(time.monotonic() - began, cpu, count)


def movers(talk: Talk, repository: str) -> dict[str, dict[str, Callable[[str], Cost]]]:
    """Return what moves a stream into a directory of its own: of the relay and of the guard, ours first."""
    guard = (*PROGRAM, "--repository", repository, "--session", "create", *PLENTY)
    return {
        "relay": {
            "relay": lambda directory: by_relay(directory, talk),
            "nc": lambda directory: by_program(directory, talk, "nc", "-N", "-U", "{}"),
            "socat": lambda directory: by_program(directory, talk, "socat", "-", "UNIX-CONNECT:{}"),
        },
        "guard": {
            "guard": lambda directory: one_way(directory, talk, *guard),
            "nc": lambda directory: one_way(directory, talk, "nc", "-d", "-U", "{}"),
            "socat": lambda directory: one_way(directory, talk, "socat", "-u", "STDIN", "STDOUT"),
        },
    }


def compare(size: str, rounds: int, place: str | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Return for relay and guard what each mover does: medians, and those of the pairs' ratios, its by ours."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as directory:
        repository = f"{directory}/repository"
        os.mkdir(repository)
        talk = Talk(repository, size)
        for part, candidates in movers(talk, repository).items():
            costs: dict[str, list[Cost]] = {name: [] for name in candidates}
            for number, (name, move) in itertools.product(range(rounds + 1), candidates.items()):
                with tempfile.TemporaryDirectory(dir=directory) as own:
                    cost = move(own)
                if number:  # the first round brings all into memory
                    costs[name].append(cost)
            result[part] = {name: summary(costs[part], costs[name]) for name in candidates}
    return result


def summary(ours: list[Cost], theirs: list[Cost]) -> dict[str, float]:
    """Return the medians of a mover's figures, and of ours by its: throughput and CPU seconds."""
    figures = [cost.figures for cost in theirs]
    medians = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    pairs = list(zip(ours, theirs, strict=True))
    throughput = statistics.median(other.wall / own.wall for own, other in pairs)
    return medians | {"times": throughput, "cpu_ratio": statistics.median(own.cpu / other.cpu for own, other in pairs)}


def lines(result: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield the result as text."""
    for part, candidates in result.items():
        for name, figures in candidates.items():
            line = f"{part}: {name}: {figures['mb_per_s']:.0f} MB/s, {figures['cpu_s_per_gb']:.2f} CPU s per GB"
            if name != part:
                line += f"; the {part} has {figures['times']:.2f} x its throughput"
                line += f" and {figures['cpu_ratio']:.2f} x its CPU"
            yield line


def main() -> None:
    """Measure, and print or write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=BIG, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", default=None, help="where sockets are made (default: TMPDIR)")
    parser.add_argument("--json", default=None, metavar="FILE")
    asked = parser.parse_args()
    described = machine.describe(machine.newest_borg())
    print(described, flush=True)
    result = compare(asked.size, asked.rounds, asked.directory)
    print("\n".join(lines(result)))
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(
                {"machine": described, "size": asked.size, "rounds": asked.rounds, "parts": result}, file, indent=1
            )


if __name__ == "__main__":
    main()
