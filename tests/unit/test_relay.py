"""The bytes between borg and the transport: both ways, intact, and an end that waits for nobody."""

import array
import contextlib
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import programs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl import relay

NO_SPLICE = """
import errno, os, runpy, sys
def refuse(*_, **__):
    raise OSError(errno.EINVAL, "not here")
os.splice = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SHAKEN = (len(b"".join(programs.ASKS)), len(programs.NEGOTIATED + programs.OPENED + programs.IDENTITY))
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

    def shake(self):
        """Speak the first words of both sides, which the relay looks at; return how many bytes went each way."""
        near, borg = self.process.stdin.fileno(), self.process.stdout.fileno()
        for ask, answer in zip(programs.ASKS, (programs.NEGOTIATED, programs.OPENED + programs.IDENTITY), strict=False):
            os.write(near, ask)
            assert exactly(self.from_relay, len(ask)) == ask
            os.write(self.to_relay, answer)
            if answer != programs.NEGOTIATED:
                assert exactly(self.door.fileno(), relay.IDENTITY) == programs.IDENTITY
                self.door.sendall(b"y")
            assert exactly(borg, len(answer)) == answer
        os.write(near, programs.ASKS[2])
        assert exactly(self.from_relay, len(programs.ASKS[2])) == programs.ASKS[2]
        return self

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
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.door.close()
        for fd in (self.to_relay, self.from_relay):
            if fd >= 0:
                os.close(fd)


@pytest.fixture(params=["pipes-splice", "pipes-copy", "socket-splice", "socket-copy"])
def gate(request, tmp_path_factory):
    kind, _, way = request.param.partition("-")
    gate = Gate(tmp_path_factory.mktemp("d"), kind, splice=way == "splice")
    yield gate.shake()
    gate.close()


def writing(fd, data):
    """Write from a thread, by a descriptor of its own: the other's number may soon be another file's."""
    own = os.dup(fd)

    def write():
        view = memoryview(data)
        with contextlib.suppress(OSError):
            while view:
                view = view[os.write(own, view) :]
        os.close(own)

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
    assert gate.counts() == (SHAKEN[0] + len(DATA), SHAKEN[1] + len(DATA))
    assert gate.process.stderr.read() == b""


def test_it_ends_when_borg_closes_its_end_though_the_far_end_stays_open(gate):
    gate.process.stdin.write(b"bye")
    gate.process.stdin.close()
    assert gate.process.wait(10) == 0
    assert os.read(gate.from_relay, 10) == b"bye"
    assert gate.counts() == (SHAKEN[0] + 3, SHAKEN[1])


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


# ---- the first words


@pytest.fixture
def silent(tmp_path_factory):
    """A relay before the first word."""
    gate = Gate(tmp_path_factory.mktemp("d"), "pipes")
    yield gate
    gate.close()


def ask(gate, words):
    os.write(gate.process.stdin.fileno(), words)
    assert exactly(gate.from_relay, len(words)) == words


def strange(gate):
    """Tell that the relay has ended and says that the server was strange."""
    assert gate.process.wait(10) == 0
    sent, _ = gate.counts()
    return bool(sent & relay.STRANGE)


def test_a_server_that_speaks_first_is_no_borg(silent):
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert strange(silent)
    assert silent.process.stdout.read() == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH",
        b"\xc1",
        programs.NEGOTIATED + b"x",
        programs.NEGOTIATED + programs.OPENED + programs.IDENTITY,
        programs.OPENED + programs.IDENTITY,
        b"\x94\x01\x02\xc0\x80",
    ],
    ids=lambda answer: repr(answer[:8]),
)
def test_a_strange_first_answer_never_reaches_borg(silent, answer):
    ask(silent, programs.ASKS[0])
    writing(silent.to_relay, answer)
    assert strange(silent)
    assert silent.process.stdout.read() == b""


@pytest.mark.parametrize(
    "answer",
    [
        programs.NEGOTIATED,
        programs.OPENED + programs.IDENTITY + b"\xc0",
        b"\x82\xa1i\x03\xa1r\xc4\x20" + programs.IDENTITY,
        b"\x82\xa1i\x02\xa1r\xc4\x21" + programs.IDENTITY + b"x",
        b"\x82\xa1i\x02\xa1r\xc0",
        b"\x83\xa1i\x02\xa1r\xc4\x20" + programs.IDENTITY + b"\xa1x\x01",
    ],
    ids=lambda answer: repr(answer[:8]),
)
def test_a_strange_answer_to_open_never_reaches_borg(silent, answer):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    os.write(silent.to_relay, answer)
    assert strange(silent)
    assert silent.process.stdout.read() == b""


def test_a_borg_that_speaks_on_before_the_repository_is_agreed_to_hears_nothing(silent):
    """Or a server could have what it says pass unseen, by an answer that comes in two pieces."""
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED[:2])
    ask(silent, programs.ASKS[1])
    assert strange(silent)
    assert silent.process.stdout.read() == b""


def test_a_borg_that_asks_for_something_else_than_open_is_cut_off(silent):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, b"\x83\xa1i\x02\xa1m\xa3put\xa1a\x80")
    writing(silent.to_relay, programs.OPENED + b"x" * 32)
    assert strange(silent)
    assert silent.process.stdout.read() == b""


@pytest.mark.parametrize("form", [b"\xc4\x20", b"\xd9\x20", b"\xda\x00\x20"])
def test_the_id_of_any_borg_is_shown_and_held_back_until_it_is_agreed_to(silent, form):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    answer = b"\x82\xa1i\x02\xa1r" + form + programs.IDENTITY
    for byte in answer:  # however it is cut
        os.write(silent.to_relay, bytes([byte]))
    assert exactly(silent.door.fileno(), 32) == programs.IDENTITY
    assert not programs.select.select([silent.process.stdout], [], [], 0.1)[0]
    silent.door.sendall(b"y")
    assert exactly(silent.process.stdout.fileno(), len(answer)) == answer


@pytest.mark.parametrize("answer", [b"n", b""])
def test_an_id_that_is_not_agreed_to_never_reaches_borg(silent, answer):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    os.write(silent.to_relay, programs.OPENED + programs.IDENTITY)
    assert exactly(silent.door.fileno(), 32) == programs.IDENTITY
    if answer:
        silent.door.sendall(answer)
    else:
        silent.door.shutdown(socket.SHUT_RDWR)
    assert silent.process.wait(10) == 0
    assert silent.process.stdout.read() == b""


def test_a_report_of_an_error_reaches_borg_without_an_id(silent):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    report = b"\x82\xa1i\x02\xafexception_class\xa6Exists"
    os.write(silent.to_relay, report)
    assert exactly(silent.process.stdout.fileno(), len(report)) == report


@pytest.mark.parametrize("asked", [1, 2])
def test_a_borg_that_leaves_early_takes_the_relay_along_and_the_server_is_not_blamed(silent, asked):
    ask(silent, programs.ASKS[0])
    if asked == 2:
        os.write(silent.to_relay, programs.NEGOTIATED)
        assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
        ask(silent, programs.ASKS[1])
    silent.process.stdin.close()
    assert silent.process.wait(10) == 0
    assert silent.counts()[0] == sum(map(len, programs.ASKS[:asked]))
    assert silent.process.stderr.read() == b""


def test_a_key_is_shown_as_its_hash_and_held_back_until_it_is_agreed_to(silent):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    for number, name, text, shown in (
        (2, b"\xa4open", programs.IDENTITY, programs.IDENTITY),
        (3, b"\xa8load_key", b"a key", hashlib.sha256(b"a key").digest()),
    ):
        ask(silent, b"\x83\xa1i" + bytes([number]) + b"\xa1m" + name + b"\xa1a\x80")
        answer = b"\x82\xa1i" + bytes([number]) + b"\xa1r\xc4" + bytes([len(text)]) + text
        os.write(silent.to_relay, answer)
        assert exactly(silent.door.fileno(), 32) == shown
        assert not programs.select.select([silent.process.stdout], [], [], 0.05)[0]
        silent.door.sendall(b"y")
        assert exactly(silent.process.stdout.fileno(), len(answer)) == answer


def test_an_answer_that_does_not_end_is_given_up(tmp_path_factory, monkeypatch):
    room = tmp_path_factory.mktemp("d")
    source = Path(relay.__file__).read_text("utf-8")
    shorter = re.sub(r"(?m)^LONGEST_ANSWER = [^#\n]*", "LONGEST_ANSWER = 300_000 ", source)
    (room / "relay.py").write_text(shorter)
    monkeypatch.setattr(relay, "__file__", str(room / "relay.py"))
    gate = Gate(room, "pipes")
    try:
        ask(gate, programs.ASKS[0])
        writing(gate.to_relay, b"\xc6\xff\xff\xff\xff" + bytes(600_000))
        assert strange(gate)
        assert gate.process.stdout.read() == b""
    finally:
        gate.close()


@given(st.binary(max_size=60))
def test_where_a_message_ends_is_known_or_needs_more(data):
    end = relay.length(data, 0)
    assert end is None or 0 < end <= len(data)
    if end is not None:
        assert relay.length(data[:end], 0) == end
        assert all(relay.length(data[:size], 0) is None for size in range(end))


def test_without_a_door_it_says_so_and_ends(tmp_path):
    argv = [sys.executable, "-I", "-S", relay.__file__, str(tmp_path)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    assert done.returncode != 0


def test_it_needs_the_standard_library_alone(tmp_path):
    code = f"import sys; import runpy; runpy.run_path({relay.__file__!r}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    assert not {"borgctl", "threading", "subprocess", "json", "yaml"} & set(loaded)
