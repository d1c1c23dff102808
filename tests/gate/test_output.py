"""fd 2, framed: no line of borg's or a hook's can pass for a line of ours, and nothing is lost."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.gate import output
from borgctl.gate.output import LONGEST, PIECE, Lines, Output

HOSTILE = [
    b'{"type":"borgctl","event":"exit","run":"r","outcome":"ok","code":0}',
    b'x\n{"type":"borgctl","event":"exit","run":"r","outcome":"ok","code":0}\ny',
    b'\r{"type":"borgctl","event":"exit"}',
    b"\x1b[2K\x1b[1G{}",
    b"borgctl: all is well",
    b"\xff\xfe\x00\x80",
    "\u2028\x85\x0b\x0c\x1c{}".encode(),
    b'{"type":"log_message","message":"\\n{\\"type\\":\\"borgctl\\",\\"event\\":\\"exit\\"}"}',
    b'{"type":"log_message","message":"borgctl: ok\\r\\nborgctl: ok"}',
    b"",
    b"\n\n\n",
]


class Peer:
    """An Output whose lines can be looked at, as the peer would see them."""

    def __init__(self, *, json=True):
        self.source, sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.source, False)
        self.output = Output(sink, "r")
        self.output.json = json
        self.sink = sink

    def taken(self):
        data = b""
        while self.output.waiting:
            self.output.write()
            data += os.read(self.source, 1 << 20)
        return data

    def close(self):
        os.close(self.source)
        os.close(self.sink)


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def reader():
    peer = Peer(json=False)
    yield peer
    peer.close()


def fed(peer, data, size, disclose=None, stream="stderr"):
    lines = Lines(peer.output, "borg", stream, disclose)
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
    lines.end()
    return lines, peer.taken()


def joined(taken):
    """Return what a program puts together again from the objects."""
    whole = b""
    for line in taken.splitlines():
        value = json.loads(line)
        assert (value["type"], value["event"], value["run"]) == ("borgctl", "output", "r")
        assert (value["source"], value["stream"]) == ("borg", "stderr")
        whole += value["data"].encode("utf-8", "surrogateescape") + (b"" if value.get("more") else b"\n")
    return whole


@given(data=st.binary(max_size=400) | st.sampled_from(HOSTILE), size=st.integers(1, 400))
def test_every_byte_arrives_and_every_line_is_an_object_of_ours(data, size):
    peer = Peer()
    try:
        _, taken = fed(peer, data, size)
    finally:
        peer.close()
    assert taken.isascii()
    assert joined(taken) == (data if not data or data.endswith(b"\n") else data + b"\n")


@given(data=st.binary(max_size=200) | st.sampled_from(HOSTILE), size=st.integers(1, 200))
def test_for_people_each_foreign_line_is_escaped_and_says_whose_it_is(data, size):
    peer = Peer(json=False)
    try:
        _, taken = fed(peer, data, size)
    finally:
        peer.close()
    text = taken.decode("ascii")
    assert all(line.startswith("borg: ") for line in text.split("\n")[:-1])
    assert all(character == "\n" or " " <= character <= "~" for character in text)


@pytest.mark.parametrize("data", HOSTILE)
def test_a_forged_line_is_none(peer, data):
    _, taken = fed(peer, data, 7)
    assert all(json.loads(line)["event"] == "output" for line in taken.splitlines())


@pytest.mark.parametrize("extra", [-1, 0, 1, PIECE, 3 * PIECE + 5])
@pytest.mark.parametrize("size", [4096, 65536, 10**6])
def test_a_long_line_comes_in_pieces_that_say_so(peer, extra, size):
    data = b"x" * (PIECE + extra) + b"\nshort\n"
    _, taken = fed(peer, data, size)
    assert joined(taken) == data
    assert all(len(json.loads(line)["data"]) <= PIECE for line in taken.splitlines())


def test_a_letter_that_is_cut_by_a_piece_is_whole_again(peer):
    data = b"x" * (PIECE - 1) + "é日".encode() * 10 + b"\n"
    _, taken = fed(peer, data, 65536)
    assert joined(taken) == data


def test_what_is_judged_whole_is_judged_line_by_line(peer):
    judged = []

    def disclose(line):
        judged.append(line)
        return line.upper() if line != "b" else None

    _, taken = fed(peer, b"a\nb\nc", 2, disclose)
    assert judged == ["a", "b", "c"]
    assert joined(taken) == b"A\nC\n"


def test_a_line_too_long_to_be_judged_is_lost_and_that_is_noted(peer):
    lines = Lines(peer.output, "borg", "stdout", lambda line: line)
    chunk = b"x" * (1 << 20)
    for _ in range(LONGEST // len(chunk) + 1):
        lines.feed(chunk)
    assert lines.overflow
    assert lines.taken == LONGEST + len(chunk)
    assert peer.taken() == b""


def test_bytes_are_counted(peer):
    lines, _ = fed(peer, b"abc\nd", 2)
    assert lines.taken == 5 and not lines.overflow


def test_for_people_a_log_message_is_its_text_and_progress_is_left_out(reader):
    data = (
        b'{"type":"log_message","message":"warm \\u00e9","levelname":"INFO"}\n'
        b'{"type":"archive_progress","nfiles":3}\n{"no":"type"}\n{broken\n[1]\n' + b"[" * 3000 + b"\n"
    )
    _, taken = fed(reader, data, 4096)
    assert taken.decode().splitlines() == [
        "borg: warm \\xe9",
        'borg: {"no":"type"}',
        "borg: {broken",
        "borg: [1]",
        "borg: " + "[" * 3000,
    ]


def test_for_people_a_listed_file_is_as_borg_writes_it_and_is_no_last_word_of_a_failure(reader):
    status = b'{"type": "file_status", "status": "A", "path": "/etc/x\\n\\u001b"}\n'
    lines, taken = fed(reader, b"bad news\n" + status * 9 + b'{"type": "file_status"\n', 4096)
    assert taken.decode().splitlines()[1:] == ["borg: A /etc/x\\n\\x1b"] * 9 + ['borg: {"type": "file_status"']
    assert list(lines.tail) == ["bad news", '{"type": "file_status"']


def test_results_on_stdout_are_passed_on_as_they_are(reader):
    _, taken = fed(reader, b'{"type":"log_message","message":"x"}\n', 4096, stream="stdout")
    assert taken == b'borg: {"type":"log_message","message":"x"}\n'


def test_our_own_words_are_marked_as_ours(reader, peer):
    reader.output.say("a\nb\x1b")
    assert reader.taken() == b"borgctl: a\\nb\\x1b\n"
    peer.output.say("a\nb")
    assert json.loads(peer.taken()) == {"type": "borgctl", "event": "message", "run": "r", "text": "a\nb"}


def test_a_peer_that_does_not_read_stops_nothing():
    peer = Peer()
    try:
        while len(peer.output._waiting) < 1 << 20:
            peer.output.foreign("borg", "stderr", "x" * 1000)
            peer.output.write() if poll(peer.sink) else None
        assert peer.output.full and peer.output.waiting and not peer.output.gone
    finally:
        peer.close()


def poll(fd):
    import select

    return select.select([], [fd], [], 0)[1]


def test_a_peer_that_takes_nothing_for_a_minute_has_stalled(peer, monkeypatch):
    peer.output.say("x")
    assert not peer.output.stalled()
    now = output.time.monotonic()
    monkeypatch.setattr(output.time, "monotonic", lambda: now + output.STALLED + 1)
    assert peer.output.stalled()


def test_a_peer_with_nothing_to_take_has_not_stalled(peer, monkeypatch):
    now = output.time.monotonic()
    monkeypatch.setattr(output.time, "monotonic", lambda: now + 10 * output.STALLED)
    assert not peer.output.stalled()
    peer.output.say("x")
    assert not peer.output.stalled()


def test_a_peer_that_has_gone_is_written_nothing_more():
    source, sink = os.pipe2(os.O_CLOEXEC)
    os.close(source)
    gone = Output(sink, "r")
    gone.say("x")
    gone.flush()
    assert gone.gone and not gone.waiting
    gone.say("y")
    assert not gone.waiting
    os.close(sink)


def test_writing_to_a_descriptor_that_is_not_open_ends():
    source, sink = os.pipe2(os.O_CLOEXEC)
    os.close(source)
    os.close(sink)
    gone = Output(sink, "r")
    gone.say("x")
    gone.flush()
    assert gone.gone
