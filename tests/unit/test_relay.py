"""The bytes between borg and the transport: both ways, intact, and an end that waits for nobody."""

import array
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import programs
from borgctl import relay

NO_SPLICE = """
import errno, os, runpy, sys
def refuse(*_, **__):
    raise OSError(errno.EINVAL, "not here")
os.splice = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DATA = random.Random(1).randbytes(5 * 1024 * 1024 + 17)


class Gate:
    """The gate's side of a relay, and both ends of its bytes: `near` is borg, `far` is the server."""

    def __init__(self, room, kind, *, splice=True):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(room / relay.DOOR))
        listener.listen(1)
        program = [relay.__file__] if splice else ["-c", NO_SPLICE, relay.__file__]
        argv = [sys.executable, "-I", "-S", *program, str(room), "borgctl", "borg", "serve"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.door, _ = listener.accept()
        listener.close()
        if kind == "pipes":
            source, self.to_relay = os.pipe()
            self.from_relay, sink = os.pipe()
        else:
            ours, theirs = socket.socketpair()
            source, sink = theirs.detach(), -1
            self.to_relay = ours.detach()
            self.from_relay = os.dup(self.to_relay)
        self.kind = kind
        fds = array.array("i", (source, source if sink < 0 else sink))
        self.door.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        for fd in {*fds}:
            os.close(fd)

    def hang_up(self):
        """End the server's side."""
        if self.to_relay >= 0:
            if self.kind == "socket":
                with socket.socket(fileno=os.dup(self.to_relay)) as end:
                    end.shutdown(socket.SHUT_WR)
            os.close(self.to_relay)
            self.to_relay = -1

    def counts(self):
        return relay.COUNTS.unpack(self.door.recv(relay.COUNTS.size))

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        self.door.close()
        for fd in (self.to_relay, self.from_relay):
            if fd >= 0:
                os.close(fd)


@pytest.fixture(params=["pipes-splice", "pipes-copy", "socket-splice", "socket-copy"])
def gate(request, tmp_path_factory):
    kind, _, way = request.param.partition("-")
    gate = Gate(tmp_path_factory.mktemp("d"), kind, splice=way == "splice")
    yield gate
    gate.close()


def writing(fd, data):
    def write():
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            return

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def exactly(fd, size):
    data = bytearray()
    while len(data) < size:
        assert programs.select.select([fd], [], [], 10)[0], f"{len(data)} of {size} bytes"
        data += os.read(fd, size - len(data))
    return bytes(data)


def test_bytes_go_both_ways_at_once_and_arrive_as_they_were(gate):
    up = writing(gate.process.stdin.fileno(), DATA)
    down = writing(gate.to_relay, DATA[::-1])
    received = {}
    reader = threading.Thread(target=lambda: received.update(down=exactly(gate.process.stdout.fileno(), len(DATA))))
    reader.start()
    received["up"] = exactly(gate.from_relay, len(DATA))
    for thread in (up, down, reader):
        thread.join(20)
    assert hashlib.sha256(received["up"]).digest() == hashlib.sha256(DATA).digest()
    assert received["down"] == DATA[::-1]
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0
    assert gate.counts() == (len(DATA), len(DATA))
    assert gate.process.stderr.read() == b""


def test_it_ends_when_borg_closes_its_end_though_the_far_end_stays_open(gate):
    gate.process.stdin.write(b"bye")
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0
    assert os.read(gate.from_relay, 10) == b"bye"
    assert gate.counts() == (3, 0)


def test_borg_sees_the_end_of_file_when_the_server_ends(gate):
    os.write(gate.to_relay, b"last words")
    gate.hang_up()
    assert programs.read_all(gate.process.stdout.fileno()) == b"last words"
    assert gate.process.poll() is None  # it goes when borg goes
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0


def test_it_ignores_what_would_take_the_connection_from_a_borg_that_is_ending(gate):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        gate.process.send_signal(number)
    gate.process.stdin.write(b"still here")
    gate.process.stdin.flush()
    assert exactly(gate.from_relay, 10) == b"still here"
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0


def test_it_ends_quietly_when_the_server_does_not_read_any_more(gate):
    gate.hang_up()
    os.close(gate.from_relay)
    gate.from_relay = -1
    writing(gate.process.stdin.fileno(), DATA)
    assert gate.process.wait(10) == 0
    assert gate.process.stderr.read() == b""


def test_it_ends_quietly_when_nobody_wants_its_counts(gate):
    gate.door.close()
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0
    assert gate.process.stderr.read() == b""


def test_slow_readers_lose_nothing(gate):
    thread = writing(gate.process.stdin.fileno(), DATA[:300_000])
    time.sleep(0.1)
    assert exactly(gate.from_relay, 300_000) == DATA[:300_000]
    thread.join(5)


@pytest.mark.parametrize("way", ["up", "down"])
def test_descriptors_that_do_not_block_lose_nothing(way, tmp_path_factory):
    """O_NONBLOCK belongs to what is open, not to who opened it: whoever shares it with us may set it (sshd, a launcher)."""
    room = tmp_path_factory.mktemp("d")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(room / relay.DOOR))
    listener.listen(1)
    argv = [sys.executable, "-I", "-S", relay.__file__, str(room)]
    source, to_relay = os.pipe()
    from_relay, sink = os.pipe()
    with programs.ended(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as process:
        door, _ = listener.accept()
        door.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (source, sink)))])
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        near, far = (process.stdin.fileno(), from_relay) if way == "up" else (to_relay, process.stdout.fileno())
        time.sleep(0.1)  # it finds nothing to read
        thread = writing(near, DATA[:1_000_000])
        time.sleep(0.1)  # it finds no room
        assert exactly(far, 1_000_000) == DATA[:1_000_000]
        thread.join(5)
    for end in (listener, door):
        end.close()
    for fd in (source, to_relay, from_relay, sink):
        os.close(fd)


def test_without_a_door_it_says_so_and_ends(tmp_path):
    argv = [sys.executable, "-I", "-S", relay.__file__, str(tmp_path)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    assert done.returncode != 0


def test_it_needs_the_standard_library_alone(tmp_path):
    code = f"import sys; import runpy; runpy.run_path({relay.__file__!r}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    assert not {"borgctl", "threading", "subprocess", "json", "yaml"} & set(loaded)
