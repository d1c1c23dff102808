"""The bytes between borg and the transport: what borg starts as its remote shell (BORG_RSH).

    python -I -S relay.py DIRECTORY [what borg adds: ignored]

It connects to the gate's door in DIRECTORY, is handed two descriptors (from the server, to the server), and moves bytes
both ways until borg closes its end. It never waits for the far end of file: ssh keeps its side open, so that wait would
be a deadlock. It ignores INT, TERM and HUP, because borg wants its connection while it ends; it goes when borg goes. At
the end it tells the gate how many bytes went each way. Standard library only, no package import: it starts in 15 ms.

It follows both sides message by message. A server answers borg's questions in turn (it has one thread), so an answer
passes only where it is the answer to the oldest question without one, in the form that `borg serve` gives it: nothing
comes before it is asked for, twice, or by another number, and nothing piles up in borg's memory. What borg's security
rests on is shown to the gate first and passes only when that agrees, whenever it comes: the repository's id, its key
(borg keeps its guards by an id that the server may invent, and takes the key from it: with others borg would begin
anew, and encrypt two texts with one key stream), and the nonce from which borg is to go on. Of all other messages it
reads the head, and the kernel moves the body (splice).
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
from collections import deque

CHUNK = 1 << 20
DOOR = "door"
COUNTS = struct.Struct("<QQ")  # bytes to the server, bytes from the server
STRANGE = 1 << 63  # in the first count: the server spoke out of turn or not as borg does
UNKNOWN = 1 << 62  # in the first count: borg asked for what no borg asks for that we know
IDENTITY = 32  # bytes of a repository's id, and of a hash of its key
SHOWN = struct.Struct(f"c{IDENTITY}s")  # what it is (below), and that
REPOSITORY, KEY, SAVED_KEY, NONCE, RESERVED, WRITES = b"r", b"k", b"s", b"n", b"c", b"w"
LONGEST_ANSWER = 32 << 20  # bytes of one answer: an object has 20 MiB at most, a list 100000 ids
SHORT = 64 << 10  # bytes of a question or answer that is read whole
LONGEST_REPORT = 1 << 20  # bytes of a report of an error: it has a traceback in it
HEAD = 256  # bytes to read where a long body is likely to follow

NUMBER = rb"[\x00-\x7f]|\xcc.|\xcd..|\xce.{4}"
FIRST = re.compile(rb"\x94\x01(?P<number>\x01)\xa9(?P<name>negotiate)\x91\x81")
QUESTION = re.compile(
    rb"\x83\xa1i(?P<number>" + NUMBER + rb")\xa1m[\xa3-\xb8](?P<name>[a-z_]+)\xa1a[\x80-\x8f]", re.DOTALL
)
LONGEST_HEAD = 64  # bytes of what these two match
LONG_ANSWERS = (b"get", b"list", b"scan")
METHODS = {
    *(b"load_key", b"save_key", b"get_free_nonce", b"commit_nonce_reservation", *LONG_ANSWERS, b"put", b"delete"),
    *(b"commit", b"check", b"rollback", b"__len__", b"destroy", b"break_lock"),
}
PUT = re.compile(rb"\x82\xa2id\xda\x00\x20.{32}\xa4data\xdb(?P<size>.{4})", re.DOTALL)  # what most questions go on with
SAVED = re.compile(rb"\xa7keydata(?:[\xa0-\xbf]|[\xc4\xd9].|[\xc5\xda]..)", re.DOTALL)
RESERVATION = re.compile(rb"\xafnext_unreserved(?P<next>" + NUMBER + rb"|\xcf.{8})", re.DOTALL)
NEGOTIATED = re.compile(rb"\x94\x01\x01\xc0[\x80-\x8f]")
TEXT = re.compile(rb"[\xa0-\xbf]|[\xc4\xd9].|[\xc5\xda]..", re.DOTALL)
NONCE_TEXT = re.compile(NUMBER + rb"|\xcf.{8}", re.DOTALL)
REPORT = re.compile(rb"[\x82-\x87]")  # a map of the number, and of these
REPORTED = re.compile(rb"\xa7sysinfo|\xae(?:exception_args|exception_full)|\xaf(?:exception_(?:class|short|trace))")
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


def splice(source: int, sink: int, most: int) -> int:
    """Move what is there by splice(2); the kernel refuses it for some kinds of files."""
    return os.splice(source, sink, most, flags=os.SPLICE_F_NONBLOCK)


def copy(source: int, sink: int, most: int) -> int:
    """Move what is there the ordinary way; what was read is written, however long the other side takes.

    Raise BlockingIOError where there is nothing.
    """
    data = os.read(source, most)
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


class Stranger(Exception):  # noqa: N818 - reads as what it says
    """The server does not speak as a borg server does, or not in turn, or the gate does not agree."""


class Unknown(Exception):  # noqa: N818 - reads as what it says
    """borg asks for what no borg asks for that we know, or in another way."""


class TooLong(Exception):  # noqa: N818 - reads as what it says
    """A message is longer than any of its kind."""


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


class Way:
    """One direction, as far as it has been read: of `data` the first `ready` bytes may go on.

    No call blocks but poll: a splice that waits for a socket holds its pipe's lock, and borg, at the other end of that
    pipe, would wait for the lock while the server waits for borg.
    """

    def __init__(self, source: int, sink: int, counts: list[int], index: int) -> None:
        self.source, self.sink, self.counts, self.index = source, sink, counts, index
        self.data, self.ready, self.most = b"", 0, HEAD
        self.move = splice if hasattr(os, "splice") else copy

    def send(self) -> None:
        """Pass on what is ready."""
        if self.ready:
            self.counts[self.index] += self.ready  # first: who has read it may end us at once
            write(self.sink, self.data[: self.ready])
            self.data, self.ready = self.data[self.ready :], 0

    def more(self) -> None:
        """Pass on what is ready, and wait for more; raise EOFError at the end."""
        self.send()
        while True:
            try:
                read = os.read(self.source, self.most)
                break
            except BlockingIOError:
                wait(self.source, select.POLLIN)
        if not read:
            raise EOFError
        self.data += read
        self.most = min(2 * self.most, SHORT)

    def whole(self, longest: int) -> bytes:
        """Return the next message once it is here; it is not yet ready to go. Raise TooLong or EOFError."""
        end, pending = scan(self.data, self.ready, 1)
        while pending or end > len(self.data):
            if end - self.ready > longest:
                raise TooLong
            end -= self.ready
            self.more()
            end, pending = scan(self.data, end, pending)
        if end - self.ready > longest:
            raise TooLong
        return self.data[self.ready : end]

    def through(self, longest: int) -> None:
        """Pass on the next message as it comes, without a look at what is long in it; raise TooLong or EOFError."""
        end, pending, passed = self.ready, 1, 0
        while True:
            start = end
            end, pending = scan(self.data, start, pending)
            passed += end - start
            if passed > longest:
                raise TooLong
            self.past(end)
            if not pending:
                return
            self.more()
            end = 0

    def past(self, end: int) -> None:
        """Pass on what comes up to this place in the data."""
        rest, self.ready = end - len(self.data), min(end, len(self.data))
        if rest > 0:
            self.send()
            self.carry(rest)

    def carry(self, rest: int) -> None:
        """Move so many bytes from end to end; nothing is read ahead. Raise EOFError or OSError."""
        while rest:
            try:
                moved = self.move(self.source, self.sink, min(rest, CHUNK))
            except BlockingIOError:
                wait(self.source, select.POLLIN)
                wait(self.sink, select.POLLOUT)
                continue
            except OSError:
                if self.move is copy:
                    raise
                self.move = copy
                continue
            if not moved:
                raise EOFError
            self.counts[self.index] += moved
            rest -= moved
        self.most = HEAD


class Gate:
    """The gate, which is asked from both directions."""

    def __init__(self, door: socket.socket) -> None:
        self.door, self.lock = door, _thread.allocate_lock()

    def show(self, kind: bytes, text: bytes) -> None:
        """Show it what was said, and wait until it agrees; raise Stranger where it does not."""
        with self.lock:
            self.door.sendall(SHOWN.pack(kind, text))
            if self.door.recv(1) != b"y":
                raise Stranger


class Questions:
    """What borg asks, in the order in which it has to be answered: (number as it is written, method)."""

    def __init__(self, way: Way, gate: Gate) -> None:
        self.way, self.gate = way, gate
        self.open: deque[tuple[bytes, bytes]] = deque()
        self.writes = False

    def run(self) -> None:
        """Pass on questions, each noted before the server can answer it; raise Unknown, TooLong or EOFError."""
        self.note(self.head(FIRST))
        asked = self.head(QUESTION)
        if asked["name"] != b"open":
            raise Unknown
        self.note(asked)
        while True:
            asked = self.head(QUESTION)
            if asked["name"] not in METHODS:
                raise Unknown
            if asked["name"] != b"put" or not self.writes:
                self.look(asked)
            self.note(asked)

    def head(self, form: re.Pattern[bytes]) -> re.Match[bytes]:
        """Return the head of the next question, however it is cut."""
        while (asked := form.match(self.way.data, self.way.ready)) is None:
            here = len(self.way.data) - self.way.ready
            if here > LONGEST_HEAD or (here and length(self.way.data, self.way.ready) is not None):
                raise Unknown
            self.way.more()
        return asked

    def note(self, asked: re.Match[bytes]) -> None:
        """Let it pass, and remember that it is asked."""
        self.open.append((asked["number"], asked["name"]))
        arguments = self.way.ready + asked.end() - asked.start() - 1
        if put := PUT.match(self.way.data, arguments):
            self.way.past(put.end() + int.from_bytes(put["size"], "big"))
        else:
            self.way.through(LONGEST_ANSWER)

    def look(self, asked: re.Match[bytes]) -> None:
        """Show the gate what it keeps: the key of a new repository, the nonces that are used up, that borg writes."""
        name = asked["name"]
        if name == b"put":
            self.way.send()
            self.gate.show(WRITES, b"")
            self.writes = True
        elif name == b"save_key":
            message, start = self.way.whole(SHORT), asked.end() - asked.start()
            if (form := SAVED.match(message, start)) is None:
                raise Unknown
            self.way.send()
            self.gate.show(SAVED_KEY, digest(message[form.end() :]))
        elif name == b"commit_nonce_reservation":
            message, start = self.way.whole(SHORT), asked.end() - asked.start()
            if (form := RESERVATION.match(message, start)) is None:
                raise Unknown
            self.way.send()
            self.gate.show(RESERVED, number(form["next"]))


class Answers:
    """What the server answers."""

    def __init__(self, way: Way, gate: Gate, asked: "deque[tuple[bytes, bytes]]") -> None:
        self.way, self.gate, self.asked = way, gate, asked

    def run(self) -> None:
        """Pass on answers to what was asked, in turn; raise Stranger, TooLong or EOFError."""
        way, asked = self.way, self.asked
        while True:
            if way.ready == len(way.data):
                way.more()
            if not asked:
                raise Stranger
            nothing = b"\x82\xa1i" + asked[0][0] + b"\xa1r\xc0"
            if way.data.startswith(nothing, way.ready) and asked[0][1] in (b"put", b"delete", b"commit"):
                way.ready += len(nothing)
            else:
                self.answer(*asked[0])
            asked.popleft()

    def answer(self, number: bytes, name: bytes) -> None:
        """Pass on one answer."""
        way, head = self.way, b"\x82\xa1i" + number + b"\xa1r"
        if name in LONG_ANSWERS:
            while len(here := way.data[way.ready : way.ready + len(head)]) < len(head) and head.startswith(here):
                way.more()
            if way.data.startswith(head, way.ready):
                way.through(LONGEST_ANSWER)
                return
        message = way.whole(LONGEST_REPORT)
        if name == b"negotiate":
            if NEGOTIATED.match(message) is None:
                raise Stranger
        elif not reports(message, number):
            if not message.startswith(head) or len(message) > SHORT:
                raise Stranger
            self.look(name, message[len(head) :])
        way.ready += len(message)

    def look(self, name: bytes, value: bytes) -> None:
        """Show the gate what borg's security rests on."""
        self.way.send()
        if name == b"open":
            text = content(value)
            if len(text) != IDENTITY:
                raise Stranger
            self.gate.show(REPOSITORY, text)
        elif name == b"load_key":
            self.gate.show(KEY, digest(content(value)))
        elif name == b"get_free_nonce" and value != b"\xc0":
            if NONCE_TEXT.fullmatch(value) is None:
                raise Stranger
            self.gate.show(NONCE, number(value))


def content(value: bytes) -> bytes:
    """Return the bytes of a msgpack text."""
    form = TEXT.match(value)
    if form is None:
        raise Stranger
    return value[form.end() :]


def number(value: bytes) -> bytes:
    """Return a msgpack number that is not negative as eight bytes, the largest first."""
    return (value if len(value) == 1 else value[1:]).rjust(8, b"\0")


def digest(text: bytes) -> bytes:
    """Return the hash by which a key is known."""
    import hashlib  # noqa: PLC0415 - not before borg waits for something else anyway

    return hashlib.sha256(text).digest()


def reports(message: bytes, number: bytes) -> bool:
    """Tell whether it is a server's report of an error, which has one form and is borg's to understand."""
    at = 3 + len(number)
    if REPORT.match(message) is None or not message.startswith(b"\xa1i" + number + b"\xafexception_class", 1):
        return False
    for _ in range((message[0] & 0x0F) - 1):
        key = REPORTED.match(message, at)
        end = length(message, key.end()) if key else None
        if end is None:
            return False
        at = end
    return True


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
    counts, once = [0, 0], _thread.allocate_lock()
    for fd in (0, 1, source, sink):
        os.set_blocking(fd, False)
    gate = Gate(door)
    questions = Questions(Way(0, sink, counts, 0), gate)
    answers = Answers(Way(source, 1, counts, 1), gate, questions.open)

    def end(mark: int) -> None:
        once.acquire()
        counts[0] |= mark
        try:
            door.send(COUNTS.pack(*counts))
        finally:
            os._exit(0)

    def inward() -> None:
        try:
            answers.run()
        except (EOFError, OSError):
            os.close(1)  # the server ended: borg must see the end of file
        except BaseException:  # also what nobody foresaw: nothing more may pass
            end(STRANGE)

    _thread.start_new_thread(inward, ())
    try:
        questions.run()
    except (EOFError, OSError):
        end(0)
    except Stranger:
        end(STRANGE)
    except BaseException:
        end(UNKNOWN)


if __name__ == "__main__":
    main(sys.argv[1])
