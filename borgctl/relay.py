"""The bytes between borg and the transport: what borg starts as its remote shell (BORG_RSH).

    python -I -S relay.py DIRECTORY [what borg adds: ignored]

It connects to the gate's door in DIRECTORY, is handed two descriptors (from the server, to the server), and moves bytes
both ways until borg closes its end. It never waits for the far end of file: ssh keeps its side open, so that wait would
be a deadlock. It ignores INT, TERM and HUP, because borg wants its connection while it ends; it goes when borg goes. At
the end it tells the gate how many bytes went each way. Standard library only, no package import: it starts in 15 ms.

First it shows the gate which repository and which key the server claims to have. borg keeps its guards against old and
foreign repositories by an id that the server may invent, and takes the key from it: with another of them borg would
begin anew, and encrypt two texts with the same key stream. So until borg has its key both sides speak in turn, one
message each, and the answers to `open` and `load_key` pass only when the gate agrees to what is in them. (Seen with
borg 1.2.4 and 1.4.5: no command asks for two things at once before it has loaded its key.)
"""

import _thread
import array
import os
import re
import select
import signal
import socket
import struct
import sys

CHUNK = 1 << 20
DOOR = "door"
COUNTS = struct.Struct("<QQ")  # bytes to the server, bytes from the server
STRANGE = 1 << 63  # in the first count: the server spoke out of turn or not as borg does
IDENTITY = 32  # bytes of a repository's id, and of a hash of its key
LONGEST_ANSWER = 32 << 20  # bytes of one answer: a manifest has 20 MiB at most
QUESTION = re.compile(
    rb"\x83\xa1i(?P<number>[\x00-\x7f]|\xcc.|\xcd..|\xce.{4})\xa1m[\xa0-\xbf](?P<name>[a-z_]+)\xa1a", re.DOTALL
)
SINGLE = (b"open", b"load_key", b"get", b"check", b"list", b"__len__")
# msgpack's bytes C4 to DF: width of the size that follows, bytes besides, objects for each member that the size counts
SIZED = dict(
    zip(
        range(0xC4, 0xE0),
        (
            *((1, 0, 0), (2, 0, 0), (4, 0, 0), (1, 1, 0), (2, 1, 0), (4, 1, 0)),  # bin, ext
            *((0, 4, 0), (0, 8, 0), (0, 1, 0), (0, 2, 0), (0, 4, 0), (0, 8, 0)),  # float, uint
            *((0, 1, 0), (0, 2, 0), (0, 4, 0), (0, 8, 0)),  # int
            *((0, 2, 0), (0, 3, 0), (0, 5, 0), (0, 9, 0), (0, 17, 0)),  # fixext
            *((1, 0, 0), (2, 0, 0), (4, 0, 0), (2, 0, 1), (4, 0, 1), (2, 0, 2), (4, 0, 2)),  # str, array, map
        ),
        strict=True,
    )
)


def splice(source: int, sink: int) -> int:
    """Move what is there by splice(2); the kernel refuses it for some kinds of files."""
    return os.splice(source, sink, CHUNK, flags=os.SPLICE_F_NONBLOCK)


def copy(source: int, sink: int) -> int:
    """Move what is there the ordinary way; what was read is written, however long the other side takes.

    Raise BlockingIOError where there is nothing.
    """
    data = os.read(source, CHUNK)
    write(sink, data)
    return len(data)


def write(sink: int, data: bytes) -> None:
    """Write all of it, however long the other side takes."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(sink, view) :]
        except BlockingIOError:
            wait(sink, select.POLLOUT)


def wait(fd: int, event: int) -> None:
    """Wait until a descriptor is ready, or broken."""
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()


def move(source: int, sink: int, counts: list[int], index: int) -> None:
    """Move bytes until the end of file or until the other side is gone.

    No call blocks but poll: a splice that waits for a socket holds its pipe's lock, and borg, at the other end of that
    pipe, would wait for the lock while the server waits for borg.
    """
    way = splice if hasattr(os, "splice") else copy
    while True:
        wait(source, select.POLLIN)
        try:
            moved = way(source, sink)
        except BlockingIOError:
            wait(sink, select.POLLOUT)
            continue
        except OSError:
            if way is copy:
                return
            way = copy
            continue
        if not moved:
            return
        counts[index] += moved


class Ahead(Exception):  # noqa: N818 - reads as what it says
    """borg speaks on without waiting; `data` is what has come of the answer."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


class Stranger(Exception):  # noqa: N818 - reads as what it says
    """The server does not speak as a borg server does, or not in turn."""


def scan(data: bytes | bytearray, at: int, pending: int) -> tuple[int, int]:
    """Read on from `at`, with `pending` msgpack objects to come; return both as far as the bytes reach.

    All is read when none is pending and `at` is not behind the end (the msgpack spec, both editions).
    """
    while pending and at < len(data):
        first, after = data[at], at + 1
        members = 0
        if 0x80 <= first <= 0x8F:
            members = 2 * (first & 0x0F)
        elif 0x90 <= first <= 0x9F:
            members = first & 0x0F
        elif 0xA0 <= first <= 0xBF:
            after += first & 0x1F
        elif first in SIZED:
            width, fixed, each = SIZED[first]
            if after + width > len(data):
                break
            size = int.from_bytes(data[after : after + width], "big")
            after += width + fixed + (0 if each else size)
            members = each * size
        at, pending = after, pending - 1 + members
    return at, pending


def length(data: bytes, at: int) -> int | None:
    """Return where the msgpack object at `at` ends, None where more bytes are needed."""
    end, pending = scan(data, at, 1)
    return end if not pending and end <= len(data) else None


def value(message: bytes, number: bytes) -> bytes | None:
    """Return the text in the answer to a question, which has one form; None where borg reports an error instead."""
    head = b"\x82\xa1i" + number + b"\xa1r"
    if re.match(rb"[\x82-\x8f]\xa1i" + re.escape(number) + rb"\xafexception_class", message):
        return None
    if not message.startswith(head) or len(message) == len(head):
        raise Stranger
    first = message[len(head)]
    width = 0 if 0xA0 <= first <= 0xBF else {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}.get(first)
    if width is None:
        raise Stranger
    return message[len(head) + 1 + width :]


class Handshake:
    """The first words of both sides, in turn."""

    def __init__(self, door: socket.socket, source: int, sink: int, counts: list[int]) -> None:
        self.door, self.source, self.sink, self.counts = door, source, sink, counts

    def run(self) -> None:
        """Let both speak in turn until borg asks for more than one thing at once; raise Stranger or EOFError."""
        opened = False
        try:
            self.question()
            self.pass_on(self.answer(rb"\x94\x01\x01\xc0[\x80-\x8f]"))
            while asked := self.single(self.question()):
                answer = self.answer(rb"[\x82-\x8f]\xa1i" + re.escape(asked["number"]))
                if asked["name"] in (b"open", b"load_key"):
                    self.show(value(answer, asked["number"]), asked["name"])
                    opened = True
                self.pass_on(answer)
        except Ahead as ahead:
            self.pass_on(ahead.data if opened else b"")
        if not opened:
            raise Stranger

    def single(self, words: bytes) -> re.Match[bytes] | None:
        """Return what borg asks where that is one thing that it waits for before it asks another."""
        asked = QUESTION.match(words)
        return asked if asked and length(words, 0) == len(words) and asked["name"] in SINGLE else None

    def show(self, text: bytes | None, name: bytes) -> None:
        """Show the gate the id, or the hash of the key, and wait until it agrees."""
        if text is None:
            return
        if name == b"load_key":
            import hashlib  # noqa: PLC0415 - not before borg waits for something else anyway

            text = hashlib.sha256(text).digest()
        if len(text) != IDENTITY:
            raise Stranger
        self.door.sendall(text)
        if self.door.recv(1) != b"y":
            raise Stranger

    def ready(self) -> set[int]:
        """Wait for borg or the server."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.source, select.POLLIN)
        return {fd for fd, _ in poll.poll()}

    def question(self) -> bytes:
        """Hand the server what borg says now, and return it; the server must have been silent."""
        if 0 not in self.ready():
            raise Stranger if os.read(self.source, 1) else EOFError
        return self.forward()

    def forward(self) -> bytes:
        """Hand the server what borg says, and return it; raise EOFError where borg has gone."""
        words = os.read(0, CHUNK)
        if not words:
            raise EOFError
        write(self.sink, words)
        self.counts[0] += len(words)
        return words

    def answer(self, form: bytes) -> bytes:
        """Read one message of the given form and nothing after it; raise Ahead where borg does not wait for it."""
        data, end, pending = bytearray(), 0, 1
        while pending or end > len(data):
            if len(data) > LONGEST_ANSWER:
                raise Stranger
            if self.source not in self.ready():
                self.forward()
                raise Ahead(bytes(data))
            read = os.read(self.source, CHUNK)
            if not read:
                raise EOFError
            data += read
            end, pending = scan(data, end, pending)
        if end != len(data) or not re.match(form, data):
            raise Stranger
        return bytes(data)

    def pass_on(self, message: bytes) -> None:
        """Hand borg a message."""
        write(1, message)
        self.counts[1] += len(message)


def receive(door: socket.socket) -> tuple[int, int]:
    """Return the two descriptors that the gate hands over: from the server, to the server."""
    handed = array.array("i")
    _, ancillary, _, _ = door.recvmsg(1, socket.CMSG_SPACE(2 * handed.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            handed.frombytes(data)
    if len(handed) != 2:
        raise OSError("the gate handed over no connection")
    return handed[0], handed[1]


def main(directory: str) -> None:
    """Connect, move, tell, end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir(directory)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.connect(DOOR)
    source, sink = receive(door)
    counts = [0, 0]
    for fd in (0, 1, source, sink):
        os.set_blocking(fd, False)

    def inward() -> None:
        move(source, 1, counts, 1)
        os.close(1)  # the server ended: borg must see the end of file

    try:
        Handshake(door, source, sink, counts).run()
        _thread.start_new_thread(inward, ())
        move(0, sink, counts, 0)
    except (Stranger, EOFError, OSError) as end:
        counts[0] |= STRANGE if isinstance(end, Stranger) else 0
    try:
        door.send(COUNTS.pack(*counts))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
