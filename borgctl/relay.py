"""The bytes between borg and the transport: what borg starts as its remote shell (BORG_RSH).

    python -I -S relay.py DIRECTORY [what borg adds: ignored]

It connects to the gate's door in DIRECTORY, is handed two descriptors (from the server, to the server), and moves bytes
both ways until borg closes its end. It never waits for the far end of file: ssh keeps its side open, so that wait would
be a deadlock. It ignores INT, TERM and HUP, because borg wants its connection while it ends; it goes when borg goes. At
the end it tells the gate how many bytes went each way. Standard library only, no package import: it starts in 15 ms.

First it shows the gate which repository the server claims to have. borg keeps its guards against old and foreign
repositories by that id, which the server may invent: with a new one borg would start anew under the old key, and
encrypt two texts with the same key stream. So the first two answers pass one at a time, each only when borg has asked,
and the second, that of `open`, only when the gate agrees to the id in it.
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
IDENTITY = 32  # bytes of a repository's id
LONGEST_ANSWER = 1 << 20  # bytes of one of the first two answers; a report of an error holds a traceback
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
    data = memoryview(os.read(source, CHUNK))
    total = len(data)
    while data:
        try:
            data = data[os.write(sink, data) :]
        except BlockingIOError:
            wait(sink, select.POLLOUT)
    return total


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


class Stranger(Exception):  # noqa: N818 - reads as what it says
    """The server does not speak as a borg server does, or not in turn."""


def length(data: bytes, at: int) -> int | None:
    """Return where the msgpack object at `at` ends, None where more bytes are needed (msgpack spec, both editions)."""
    pending = 1
    while pending:
        if at >= len(data):
            return None
        first, at = data[at], at + 1
        pending -= 1
        if 0x80 <= first <= 0x8F:
            pending += 2 * (first & 0x0F)
        elif 0x90 <= first <= 0x9F:
            pending += first & 0x0F
        elif 0xA0 <= first <= 0xBF:
            at += first & 0x1F
        elif first in SIZED:
            width, fixed, members = SIZED[first]
            if at + width > len(data):
                return None
            size = int.from_bytes(data[at : at + width], "big")
            at += width + fixed + (0 if members else size)
            pending += members * size
    return at if at <= len(data) else None


def opened(message: bytes) -> bytes | None:
    """Return the id in the answer to `open`, which has one form only; None where it is borg's report of an error."""
    match = re.fullmatch(rb"\x82\xa1i\x02\xa1r(?:\xda\x00\x20|\xd9\x20|\xc4\x20)(.{32})", message, re.DOTALL)
    if match:
        return match[1]
    if re.match(rb"[\x82-\x8f]\xa1i\x02\xafexception_class", message):
        return None
    raise Stranger


class Handshake:
    """The first words of both sides: forwarded, but the server's only in turn."""

    def __init__(self, door: socket.socket, source: int, sink: int, counts: list[int]) -> None:
        self.door, self.source, self.sink, self.counts = door, source, sink, counts

    def run(self) -> None:
        """Let borg ask, the server answer, twice, and borg ask once more; raise Stranger or EOFError."""
        self.ask()
        self.pass_on(self.answer(rb"\x94\x01\x01\xc0[\x80-\x8f]"))
        self.ask()
        message = self.answer(rb"[\x82-\x8f]\xa1i\x02")
        identity = opened(message)
        if identity is not None:
            self.door.sendall(identity)
            if self.door.recv(1) != b"y":
                raise Stranger
        self.pass_on(message)
        self.ask()

    def ask(self) -> None:
        """Forward what borg says now; the server must be silent until then."""
        if 0 not in self.ready():
            raise Stranger if os.read(self.source, 1) else EOFError
        self.forward()

    def ready(self) -> set[int]:
        """Wait for borg or the server."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.source, select.POLLIN)
        return {fd for fd, _ in poll.poll()}

    def forward(self) -> None:
        """Hand the server what borg says now."""
        moved = copy(0, self.sink)
        if not moved:
            raise EOFError
        self.counts[0] += moved

    def answer(self, form: bytes) -> bytes:
        """Read one message of the given form and nothing after it; borg's own words go on meanwhile."""
        data = b""
        while (end := length(data, 0)) is None:
            if len(data) > LONGEST_ANSWER:
                raise Stranger
            events = self.ready()
            if 0 in events:
                self.forward()
            if self.source in events:
                read = os.read(self.source, CHUNK)
                if not read:
                    raise EOFError
                data += read
        if end != len(data) or not re.match(form, data):
            raise Stranger
        return data

    def pass_on(self, message: bytes) -> None:
        """Hand borg a message."""
        os.set_blocking(1, True)
        view = memoryview(message)
        while view:
            view = view[os.write(1, view) :]
        os.set_blocking(1, False)
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
