"""The relay moves bytes both ways, intact, and its end waits for nobody."""

import array
import contextlib
import fcntl
import hashlib
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import programs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.borg import relay

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


def question(number, name, arguments=b"\x80"):
    return b"\x83\xa1i" + bytes([number]) + b"\xa1m" + bytes([0xA0 + len(name)]) + name + b"\xa1a" + arguments


def answer(number, value=b"\xc0"):
    return b"\x82\xa1i" + bytes([number]) + b"\xa1r" + value


def text(data):
    return b"\xdb" + len(data).to_bytes(4, "big") + data


def shown(kind, data=b""):
    return kind + data.ljust(relay.IDENTITY, b"\0")


UP = question(4, b"delete", b"\x81\xa2id" + text(DATA))
DOWN = answer(3, text(DATA[::-1]))


class Gate:
    """The gate's side of a relay, and both ends of its bytes: `near` is borg, `far` is the server."""

    def __init__(self, room, kind, *, program=(relay.__file__,), become=(), stdin=subprocess.PIPE):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(room / relay.SOCKET))
        listener.listen(1)
        argv = [*become, sys.executable, "-I", "-S", *program, str(room), "borgctl", "borg", "serve"]
        self.process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.connection, _ = listener.accept()
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
        self.connection.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        for fd in {*fds}:
            os.close(fd)

    def shake(self):
        """Send the first messages of both sides, which the relay checks; return the number of bytes each way."""
        near, borg = self.process.stdin.fileno(), self.process.stdout.fileno()
        for ask, answer in zip(programs.ASKS, (programs.NEGOTIATED, programs.OPENED + programs.IDENTITY), strict=False):
            os.write(near, ask)
            assert exactly(self.from_relay, len(ask)) == ask
            os.write(self.to_relay, answer)
            if answer != programs.NEGOTIATED:
                self.agree(relay.REPOSITORY, programs.IDENTITY)
            assert exactly(borg, len(answer)) == answer
        os.write(near, programs.ASKS[2])
        assert exactly(self.from_relay, len(programs.ASKS[2])) == programs.ASKS[2]
        return self

    def agree(self, kind, data=b"", word=b"y"):
        """Get this value and nothing else from the relay, and agree."""
        assert exactly(self.connection.fileno(), relay.SHOWN.size) == shown(kind, data)
        self.connection.sendall(word)

    def hang_up(self):
        """End the server's side."""
        if self.to_relay >= 0:
            if self.kind == "socket":
                with socket.socket(fileno=os.dup(self.to_relay)) as end:
                    end.shutdown(socket.SHUT_WR)
            os.close(self.to_relay)
            self.to_relay = -1

    def counts(self):
        """Return the counts of both ways, and note whom the relay blames."""
        sent, received = relay.COUNTS.unpack(self.connection.recv(relay.COUNTS.size))
        self.blame = sent & (relay.STRANGE | relay.UNKNOWN)
        return sent & ~self.blame, received

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in filter(None, (self.process.stdin, self.process.stdout, self.process.stderr)):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.connection.close()
        for fd in (self.to_relay, self.from_relay):
            if fd >= 0:
                os.close(fd)


@pytest.fixture(params=["pipes-splice", "pipes-copy", "socket-splice", "socket-copy"])
def gate(request, tmp_path_factory):
    kind, _, way = request.param.partition("-")
    program = (relay.__file__,) if way == "splice" else ("-c", NO_SPLICE, relay.__file__)
    gate = Gate(tmp_path_factory.mktemp("d"), kind, program=program)
    yield gate.shake()
    gate.close()


def writing(fd, data):
    """Write from a thread, on a descriptor of its own: the original's number may be reused meanwhile."""
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
        read = os.read(fd, size - len(data))
        assert read, f"{len(data)} of {size} bytes, and the end"
        data += read
    return bytes(data)


def until_taken(fd):
    """Wait until the relay has read all that was written to this end of a pipe or socket."""
    question = termios.TIOCOUTQ if stat.S_ISSOCK(os.fstat(fd).st_mode) else termios.FIONREAD  # unix(7), pipe(7)
    end = time.monotonic() + 10
    while int.from_bytes(fcntl.ioctl(fd, question, bytes(4)), sys.byteorder):
        assert time.monotonic() < end, "the relay does not read"
        time.sleep(0.0005)


def test_bytes_go_both_ways_at_once_and_arrive_as_they_were(gate):
    up = writing(gate.process.stdin.fileno(), UP)
    down = writing(gate.to_relay, DOWN)
    received = {}
    reader = threading.Thread(target=lambda: received.update(down=exactly(gate.process.stdout.fileno(), len(DOWN))))
    reader.start()
    received["up"] = exactly(gate.from_relay, len(UP))
    for thread in (up, down, reader):
        thread.join(20)
    assert hashlib.sha256(received["up"]).digest() == hashlib.sha256(UP).digest()
    assert received["down"] == DOWN
    gate.process.stdin.close()
    assert gate.process.wait(60) == 0
    assert gate.counts() == (SHAKEN[0] + len(UP), SHAKEN[1] + len(DOWN)) and not gate.blame
    assert gate.process.stderr.read() == b""


def test_many_small_messages_arrive_as_they_were(gate):
    asks = [question(number, b"delete", b"\x81\xa2id" + text(bytes(number))) for number in range(4, 124)]
    writing(gate.process.stdin.fileno(), b"".join(asks))
    assert exactly(gate.from_relay, len(b"".join(asks))) == b"".join(asks)
    answers = answer(3, text(b"x")) + b"".join(answer(number) for number in range(4, 124))
    writing(gate.to_relay, answers)
    assert exactly(gate.process.stdout.fileno(), len(answers)) == answers


def test_it_ends_when_borg_closes_its_end_though_the_far_end_stays_open(gate):
    gate.process.stdin.write(question(4, b"rollback"))
    gate.process.stdin.close()
    assert gate.process.wait(60) == 0
    assert os.read(gate.from_relay, 100) == question(4, b"rollback")
    assert gate.counts() == (SHAKEN[0] + len(question(4, b"rollback")), SHAKEN[1])


def test_borg_sees_the_end_of_file_when_the_server_ends(gate):
    os.write(gate.to_relay, answer(3, b"\xa0"))
    gate.hang_up()
    assert programs.read_all(gate.process.stdout.fileno()) == answer(3, b"\xa0")
    assert gate.process.poll() is None  # it goes when borg goes
    gate.process.stdin.close()
    assert gate.process.wait(60) == 0


def test_it_ignores_what_would_take_the_connection_from_a_borg_that_is_ending(gate):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        gate.process.send_signal(number)
    gate.process.stdin.write(question(4, b"rollback"))
    gate.process.stdin.flush()
    assert exactly(gate.from_relay, len(question(4, b"rollback"))) == question(4, b"rollback")
    gate.process.stdin.close()
    assert gate.process.wait(60) == 0


def test_it_ends_quietly_when_the_server_does_not_read_any_more(gate):
    gate.hang_up()
    os.close(gate.from_relay)
    gate.from_relay = -1
    writing(gate.process.stdin.fileno(), UP)
    assert gate.process.wait(60) == 0
    assert gate.process.stderr.read() == b""


def test_it_ends_quietly_when_nobody_wants_its_counts(gate):
    gate.connection.close()
    gate.process.stdin.close()
    assert gate.process.wait(60) == 0
    assert gate.process.stderr.read() == b""


def test_slow_readers_lose_nothing(gate):
    thread = writing(gate.process.stdin.fileno(), UP)
    time.sleep(0.1)
    assert exactly(gate.from_relay, len(UP)) == UP
    thread.join(5)


# ---- in turn


@pytest.mark.parametrize(
    "words",
    [
        answer(3, b"\xa0") + answer(3, b"\xa0"),  # twice
        answer(4),  # not yet asked
        answer(2),
        answer(3, b"\xa0") + b"\xc0",
        answer(3, b"\xa0") + answer(4, text(bytes(1 << 20))),
        b"\x82\xa1r\xc0\xa1i\x03",
        b"\x83\xa1i\x03\xa1r\xc0\xa1i\x05",
        b"\x82\xa1i\x05\xafexception_class\xa1x",
        b"\x83\xa1i\x03\xafexception_class\xa1x\xa1i\x05",
        b"\x83\xa1i\x03\xafexception_class\xa1x\xa1r\xc0",
        b"\x94\x01\x03\xc0\xc0",
        b"SSH-2.0-OpenSSH",
    ],
    ids=lambda words: repr(words[:12]),
)
def test_what_nobody_asked_for_ends_the_run_and_does_not_reach_borg(gate, words):
    writing(gate.to_relay, words)
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.STRANGE
    assert programs.read_all(gate.process.stdout.fileno()) in (b"", answer(3, b"\xa0"))


def test_an_answer_before_its_question_ends_the_run_whatever_it_answers(gate):
    """borg keeps an early answer, and takes it for the answer to a later request."""
    os.write(gate.to_relay, answer(3, b"\xa0") + answer(4, b"\x01"))
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.STRANGE


def test_a_report_of_an_error_is_borgs_to_understand(gate):
    report = b"\x83\xa1i\x03\xafexception_class\xa6Exists\xafexception_trace\xc3"
    os.write(gate.to_relay, report)
    assert exactly(gate.process.stdout.fileno(), len(report)) == report


@pytest.mark.parametrize("value", [b"\xd9\xff" + bytes(255), text(bytes(70_000))])
def test_the_answers_to_writes_are_short(gate, value):
    ask(gate, question(4, b"rollback"))
    os.write(gate.to_relay, answer(3, b"\xa0"))
    assert exactly(gate.process.stdout.fileno(), 7) == answer(3, b"\xa0")
    writing(gate.to_relay, answer(4, value))
    if len(value) < relay.SHORT:
        assert exactly(gate.process.stdout.fileno(), len(answer(4, value))) == answer(4, value)
    else:
        assert gate.process.wait(60) == 0
        assert gate.process.stdout.read() == b""


# ---- what the gate is shown, at any time


def shows(gate, kind, data, passes, way):
    """Check that it is shown, held back until the gate agrees, and then passed on."""
    assert exactly(gate.connection.fileno(), relay.SHOWN.size) == shown(kind, data)
    assert not programs.select.select([way], [], [], 0.05)[0]
    gate.connection.sendall(b"y")
    assert exactly(way, len(passes)) == passes


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_key_is_compared_whenever_it_is_loaded(gate, pipelined):
    ask(gate, question(4, b"load_key") + (question(5, b"get") if pipelined else b""))
    os.write(gate.to_relay, answer(3, b"\xa0"))
    assert exactly(gate.process.stdout.fileno(), 7) == answer(3, b"\xa0")
    words = answer(4, b"\xda\x00\x05a key")
    os.write(gate.to_relay, words)
    shows(gate, relay.KEY, hashlib.sha256(b"a key").digest(), words, gate.process.stdout.fileno())


@pytest.mark.parametrize("written", [b"\x05", b"\xcf" + b"\x7f" * 8, b"\xce\x01\x02\x03\x04", b"\xcf" + b"\xff" * 8])
def test_a_nonce_is_shown_before_borg_counts_on_from_it(gate, written):
    ask(gate, question(4, b"get_free_nonce"))
    words = answer(3, b"\xa0") + answer(4, written)
    os.write(gate.to_relay, words)
    assert exactly(gate.process.stdout.fileno(), 7) == answer(3, b"\xa0")
    number = int.from_bytes(written if len(written) == 1 else written[1:], "big")
    shows(gate, relay.NONCE, number.to_bytes(8, "big"), answer(4, written), gate.process.stdout.fileno())


def test_a_server_that_knows_no_nonce_may_say_so(gate):
    ask(gate, question(4, b"get_free_nonce"))
    os.write(gate.to_relay, answer(3, b"\xa0") + answer(4))
    assert exactly(gate.process.stdout.fileno(), 14) == answer(3, b"\xa0") + answer(4)


@pytest.mark.parametrize(
    "value", [b"\xd3" + b"\xff" * 8, b"\xcb" + b"\x7f" * 8, b"\xa1x", b"\xc3", b"\xff", b"\x91\x01"]
)
def test_what_is_no_nonce_never_reaches_borg(gate, value):
    ask(gate, question(4, b"get_free_nonce"))
    os.write(gate.to_relay, answer(3, b"\xa0") + answer(4, value))
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.STRANGE
    assert programs.read_all(gate.process.stdout.fileno()) in (b"", answer(3, b"\xa0"))


CLASS = b"\xafexception_class"


@pytest.mark.parametrize(
    "values",
    [
        CLASS + b"\xb0InvalidRPCMethod",
        CLASS + b"\xd9\x10InvalidRPCMethod",
        CLASS + b"\xc5\x00\x10InvalidRPCMethod",
        CLASS + b"\xdb\x00\x00\x00\x10InvalidRPCMethod",
        CLASS + b"\xa5Error" + CLASS + b"\xb0InvalidRPCMethod",
        CLASS + b"\xa5Error" + b"\xc4" + CLASS[:1].replace(b"\xaf", b"\x0f") + CLASS[1:] + b"\xb0InvalidRPCMethod",
    ],
)
def test_no_server_says_that_it_keeps_no_nonces(gate, values):
    """borg would count on from an object of the server's, and no longer tell what it reserves."""
    ask(gate, question(4, b"get_free_nonce"))
    names = values.count(b"exception_class")
    os.write(gate.to_relay, answer(3, b"\xa0") + bytes([0x81 + names]) + b"\xa1i\x04" + values)
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.STRANGE
    assert programs.read_all(gate.process.stdout.fileno()) in (b"", answer(3, b"\xa0"))


def test_another_error_passes_in_place_of_a_nonce(gate):
    ask(gate, question(4, b"get_free_nonce"))
    words = b"\x83\xa1i\x04" + CLASS + b"\xa7OSError" + b"\xa7sysinfo\xa0"
    os.write(gate.to_relay, answer(3, b"\xa0") + words)
    assert exactly(gate.process.stdout.fileno(), 7 + len(words)) == answer(3, b"\xa0") + words


def ids(number, head):
    return head + b"".join(b"\xda\x00\x20" + bytes([at % 256]) * 32 for at in range(number))


@pytest.mark.parametrize(
    "value",
    [ids(0, b"\x90"), ids(15, b"\x9f"), ids(300, b"\xdc\x01\x2c"), ids(70_000, b"\xdd\x00\x01\x11\x70")],
    ids=[0, 15, 300, 70_000],
)
@pytest.mark.parametrize("method", [b"list", b"scan"])
def test_a_list_of_ids_arrives_as_it_was(gate, method, value):
    ask(gate, question(4, method))
    words = answer(3, b"\xa0") + answer(4, value)
    sender = threading.Thread(target=trickle, args=(gate.to_relay, words))
    sender.start()
    arrived = exactly(gate.process.stdout.fileno(), len(words))
    sender.join(60)
    assert arrived == words


def trickle(fd, words):
    """Write the first bytes one by one, and the rest in pieces that end anywhere."""
    for at in range(60):
        os.write(fd, words[at : at + 1])
        time.sleep(0.001)
    for at in range(60, len(words), 9_973):
        piece = memoryview(words)[at : at + 9_973]
        while piece:
            piece = piece[os.write(fd, piece) :]


@pytest.mark.parametrize(
    ("method", "value"),
    [
        (b"get", b"\xdd\x00\x01\x00\x00" + b"\x80" * 65_536),
        (b"get", b"\xdf\x00\x01\x00\x00"),
        (b"get", b"\xc0"),
        (b"get", b"\x81\xa0\xa0"),
        (b"list", b"\xdd\x00\x01\x00\x00" + b"\x80" * 65_536),
        (b"list", ids(3, b"\x94") + b"\x80" * 35),
        (b"list", b"\x91" + b"\xda\x00\x21" + bytes(33)),
        (b"list", b"\xa0"),
        (b"list", b"\x81\xa0\xa0"),
        (b"scan", b"\x91\x90" + bytes(34)),
        (b"scan", b"\xdd\x7f\xff\xff\xff"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_would_become_far_more_in_borgs_memory_never_reaches_it(gate, method, value):
    """An empty map is one byte on the wire, and sixty-four in a Python."""
    ask(gate, question(4, method))
    with contextlib.suppress(BrokenPipeError):
        writing(gate.to_relay, answer(3, b"\xa0") + answer(4, value))
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.STRANGE
    arrived = programs.read_all(gate.process.stdout.fileno())
    assert arrived.count(b"\x80") == 0 and len(arrived) < 200


def test_the_gate_hears_nothing_behind_the_counts():
    """What is shown and the counts have no mark but their length, and a stream joins what is sent."""
    near, far = socket.socketpair()
    gate = relay.Gate(near)
    shower = threading.Thread(target=gate.show, args=(relay.KEY, bytes(32)))
    shower.start()
    assert far.recv(1000) == relay.SHOWN.pack(relay.KEY, bytes(32))
    gate.end(relay.COUNTS.pack(1, 2))  # does not wait for the gate's answer
    with pytest.raises(EOFError):
        gate.end(relay.COUNTS.pack(3, 4))
    far.sendall(b"y")
    shower.join(20)
    with pytest.raises(EOFError):
        gate.show(relay.KEY, bytes(32))
    near.close()
    assert far.recv(1000) == relay.COUNTS.pack(1, 2) and far.recv(1000) == b""
    far.close()


@pytest.mark.parametrize(
    ("words", "kind", "data"),
    [
        (question(4, b"save_key", b"\x81\xa7keydata\xda\x00\x05a key"), relay.SAVED_KEY, b"a key"),
        (
            question(4, b"commit_nonce_reservation", b"\x82\xafnext_unreserved\xcd\x01\x02\xabstart_nonce\xc0"),
            relay.RESERVED,
            bytes(6) + b"\x01\x02",
        ),
        (question(4, b"put", b"\x82\xa2id\xa1x\xa4data\xa1y"), relay.WRITES, b""),
    ],
    ids=["save_key", "commit_nonce_reservation", "put"],
)
def test_what_borg_gives_the_server_to_keep_is_shown_first(gate, words, kind, data):
    writing(gate.process.stdin.fileno(), words)
    data = hashlib.sha256(data).digest() if kind == relay.SAVED_KEY else data
    shows(gate, kind, data, words, gate.from_relay)


def test_puts_as_borg_writes_them_arrive_as_they_were(gate):
    data = [DATA[:size] for size in (1, 31, 200, 65_536, 70_000, 2_000_000)]
    puts = [
        question(number, b"put", b"\x82\xa2id\xda\x00\x20" + bytes(32) + b"\xa4data" + text(body))
        for number, body in enumerate([*data, *data], start=5)
    ]
    words = question(4, b"rollback") + b"".join(puts)
    writing(gate.process.stdin.fileno(), words)
    gate.agree(relay.WRITES)
    assert exactly(gate.from_relay, len(words)) == words
    answers = answer(3, b"\xa0") + b"".join(answer(number) for number in range(4, 5 + len(puts)))
    writing(gate.to_relay, answers)
    assert exactly(gate.process.stdout.fileno(), len(answers)) == answers


def test_that_borg_writes_is_shown_once(gate):
    words = [question(number, b"put", b"\x82\xa2id\xa1x\xa4data\xa1y") for number in (4, 5)]
    writing(gate.process.stdin.fileno(), b"".join(words))
    gate.agree(relay.WRITES)
    assert exactly(gate.from_relay, len(words[0]) * 2) == b"".join(words)


@pytest.mark.parametrize(
    "words",
    [
        question(4, b"exec"),
        question(4, b"open"),
        question(4, b"negotiate"),
        programs.ASKS[0],
        b"\x94\x01\x04\xa8load_key\x90",
        b"\x82\xa1i\x04\xa1m\xa8load_key",
        b"x",
        question(4, b"save_key", b"\x81\xa7keydata\xc0"),
        question(4, b"commit_nonce_reservation", b"\x82\xafnext_unreserved\xff\xabstart_nonce\xc0"),
        question(4, b"commit_nonce_reservation", b"\x82\xabstart_nonce\xc0\xafnext_unreserved\x01"),
    ],
    ids=lambda words: repr(words[:24]),
)
def test_what_no_borg_asks_ends_the_run_and_does_not_reach_the_server(gate, words):
    writing(gate.process.stdin.fileno(), words)
    assert gate.process.wait(60) == 0
    gate.counts()
    assert gate.blame == relay.UNKNOWN
    assert not programs.select.select([gate.from_relay], [], [], 0)[0] or os.read(gate.from_relay, 100) == b""


# ---- the first words


@pytest.fixture
def silent(tmp_path_factory):
    """A relay before the first message."""
    gate = Gate(tmp_path_factory.mktemp("d"), "pipes")
    yield gate
    gate.close()


def ask(gate, words):
    os.write(gate.process.stdin.fileno(), words)
    assert exactly(gate.from_relay, len(words)) == words


def strange(gate):
    """Tell whether the relay has ended and blames the server."""
    assert gate.process.wait(60) == 0
    gate.counts()
    return gate.blame == relay.STRANGE


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


def test_a_borg_that_speaks_on_before_it_is_answered_hears_no_id_that_was_not_agreed_to(silent):
    """Otherwise an answer in two pieces could pass unchecked."""
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED[:2])
    ask(silent, programs.ASKS[1])
    os.write(silent.to_relay, programs.NEGOTIATED[2:])
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    answer = programs.OPENED + programs.IDENTITY
    os.write(silent.to_relay, answer[:9])
    os.write(silent.to_relay, answer[9:])
    shows(silent, relay.REPOSITORY, programs.IDENTITY, answer, silent.process.stdout.fileno())


@pytest.mark.parametrize("form", [b"\xc4\x20", b"\xd9\x20", b"\xda\x00\x20"])
def test_the_id_of_any_borg_is_shown_and_held_back_until_it_is_agreed_to(silent, form):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    answer = b"\x82\xa1i\x02\xa1r" + form + programs.IDENTITY
    for byte in answer:  # however it is cut
        os.write(silent.to_relay, bytes([byte]))
        until_taken(silent.to_relay)
    shows(silent, relay.REPOSITORY, programs.IDENTITY, answer, silent.process.stdout.fileno())


@pytest.mark.parametrize("words", programs.ASKS[:2], ids=["negotiate", "open"])
def test_a_first_question_that_comes_in_pieces_is_a_question_like_any_other(silent, words):
    if words is programs.ASKS[1]:
        ask(silent, programs.ASKS[0])
        os.write(silent.to_relay, programs.NEGOTIATED)
        assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    for byte in words:
        os.write(silent.process.stdin.fileno(), bytes([byte]))
        until_taken(silent.process.stdin.fileno())
    assert exactly(silent.from_relay, len(words)) == words
    if words is programs.ASKS[1]:
        os.write(silent.to_relay, programs.OPENED + programs.IDENTITY)
        silent.agree(relay.REPOSITORY, programs.IDENTITY)


@pytest.mark.parametrize("words", [programs.ASKS[1], b"ask", b"\x94\x01\x01\xa4open\x90", question(1, b"negotiate")])
def test_another_first_question_never_reaches_the_server(silent, words):
    writing(silent.process.stdin.fileno(), words)
    assert silent.process.wait(60) == 0
    silent.counts()
    assert silent.blame == relay.UNKNOWN


@pytest.mark.parametrize("name", [b"load_key", b"get", b"put"])
def test_nothing_is_asked_before_open(silent, name):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    writing(silent.process.stdin.fileno(), question(2, name))
    assert silent.process.wait(60) == 0
    silent.counts()
    assert silent.blame == relay.UNKNOWN


@pytest.mark.parametrize("answer", [b"n", b""])
def test_an_id_that_is_not_agreed_to_never_reaches_borg(silent, answer):
    ask(silent, programs.ASKS[0])
    os.write(silent.to_relay, programs.NEGOTIATED)
    assert exactly(silent.process.stdout.fileno(), 5) == programs.NEGOTIATED
    ask(silent, programs.ASKS[1])
    os.write(silent.to_relay, programs.OPENED + programs.IDENTITY)
    assert exactly(silent.connection.fileno(), relay.SHOWN.size) == shown(relay.REPOSITORY, programs.IDENTITY)
    if answer:
        silent.connection.sendall(answer)
    else:
        silent.connection.shutdown(socket.SHUT_RDWR)
    assert silent.process.wait(60) == 0
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
    assert silent.process.wait(60) == 0
    assert silent.counts()[0] == sum(map(len, programs.ASKS[:asked]))
    assert silent.process.stderr.read() == b""


def test_an_object_that_is_larger_than_any_of_borgs_is_given_up_before_borg_has_it(gate):
    ask(gate, question(4, b"get"))
    os.write(gate.to_relay, answer(3, b"\xa0"))
    assert exactly(gate.process.stdout.fileno(), 7) == answer(3, b"\xa0")
    size = relay.LONGEST_ANSWER + 1
    writing(gate.to_relay, answer(4, b"\xdb" + size.to_bytes(4, "big") + bytes(size)))
    assert len(programs.read_all(gate.process.stdout.fileno())) < relay.SHORT
    assert gate.process.wait(10) == 0


def test_an_answer_that_does_not_end_is_given_up(tmp_path_factory):
    gate = Gate(tmp_path_factory.mktemp("d"), "pipes")
    try:
        ask(gate, programs.ASKS[0])
        writing(gate.to_relay, b"\xc6\xff\xff\xff\xff" + bytes(2 * relay.LONGEST_REPORT))
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
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0


def test_it_needs_the_standard_library_alone(tmp_path):
    code = f"import sys; import runpy; runpy.run_path({relay.__file__!r}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert not {"borgctl", "threading", "subprocess", "json", "yaml"} & set(loaded)


# root has no limit of pipes, so it gives up what frees it of that
LIMITED = ("setpriv", "--bounding-set=-sys_resource,-sys_admin") if os.geteuid() == 0 else ()


@contextlib.contextmanager
def pipes_beyond_the_limit():
    """Have this account hold as many pipes as it may (pipe(7) pipe-user-pages-soft); root, twice as many."""
    with contextlib.ExitStack() as taken:
        for _ in range(128):
            for end in (ends := os.pipe()):
                taken.callback(os.close, end)
            try:
                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 1 << 20)
            except PermissionError:
                break
        yield


def sizes(gate):
    """Return how many bytes borg's two pipes to this relay hold."""
    return [fcntl.fcntl(end, fcntl.F_GETPIPE_SZ) for end in (gate.process.stdin, gate.process.stdout)]


def test_borgs_pipes_hold_more_than_one_of_its_messages(gate):
    assert sizes(gate) == [1 << 20, 1 << 20]


def test_an_account_over_its_limit_of_pipes_keeps_small_ones_and_gets_its_backup(tmp_path):
    with pipes_beyond_the_limit():
        gate = Gate(tmp_path, "socket", become=LIMITED).shake()
    try:
        assert max(sizes(gate)) <= 1 << 16
        writing(gate.process.stdin.fileno(), UP)
        assert exactly(gate.from_relay, len(UP)) == UP
        gate.process.stdin.close()
        assert gate.process.wait(60) == 0
        assert gate.counts() == (SHAKEN[0] + len(UP), SHAKEN[1]) and not gate.blame
    finally:
        gate.close()


def test_a_borg_with_sockets_in_the_place_of_pipes_is_served_as_well(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate = Gate(tmp_path, "socket", stdin=theirs)
        try:
            ours.sendall(programs.ASKS[0])
            assert exactly(gate.from_relay, len(programs.ASKS[0])) == programs.ASKS[0]
        finally:
            gate.close()


def test_a_key_is_hashed_without_the_library_that_is_half_as_large_as_the_relay(gate):
    ask(gate, question(4, b"load_key"))
    os.write(gate.to_relay, answer(3, b"\xa0") + answer(4, b"\xda\x00\x05a key"))
    gate.agree(relay.KEY, hashlib.sha256(b"a key").digest())
    assert "libcrypto" not in Path(f"/proc/{gate.process.pid}/maps").read_text()
