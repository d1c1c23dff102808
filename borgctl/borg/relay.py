"""Move the bytes between borg and the transport: borg starts this program as its remote shell (BORG_RSH).

    python -I -S relay.py DIRECTORY [what borg adds: ignored]

It connects to the gate's socket in DIRECTORY, gets two descriptors (from the server, to the server), and moves bytes
both ways until borg closes its end. It never waits for the server's end of file: ssh keeps its side open, so that
would be a deadlock. It ignores INT, TERM and HUP, as borg needs its connection until it ends; the relay ends with borg.
At the end it tells the gate the number of bytes each way. It does not know which id, key or nonce is right: the gate
does.

It follows both sides message by message. A server answers borg's requests in turn (it has one thread). So an answer
passes only if it answers the oldest open request, in the form that `borg serve` gives it. None comes early, twice or
with another number, and none piles up in borg's memory. What borg's security rests on goes to the gate first, and
passes only when the gate agrees: the repository's id, its key, and the nonce from which borg continues. borg keeps its
own checks by an id that the server may invent, and takes the key from the server. With another id or key it would start
anew, and encrypt two texts with one key stream. Of all other messages the relay looks at the head alone, and the
kernel moves what is long (splice).

This is one file of more than 200 lines on purpose. With `-I` and `-S` Python finds neither
this directory nor site-packages, so only the standard library is there. It starts in 15 ms, and the sandbox need only
let it read this one file.
"""

import _socket  # socket itself would be a third of all that is imported here
import _thread
import array
import fcntl
import os
import re
import select
import signal
import struct
import sys
from collections import deque

CHUNK = 1 << 20
PIPE = 1 << 20  # bytes; borg's pipes to us have 64 KiB of their own, and most of its messages are larger
SOCKET = "socket"  # its name in DIRECTORY
COUNTS = struct.Struct("<QQ")  # bytes to the server, bytes from the server
STRANGE = 1 << 63  # flag in the first count: the server spoke out of turn or not as borg does
UNKNOWN = 1 << 62  # flag in the first count: borg sent a request of no known borg
IDENTITY = 32  # bytes of a repository's id, and of a hash of its key
SHOWN = struct.Struct(f"c{IDENTITY}s")  # kind (below) and value
REPOSITORY, KEY, SAVED_KEY, NONCE, RESERVED, WRITES = b"r", b"k", b"s", b"n", b"c", b"w"
LONGEST_ANSWER = 32 << 20  # bytes of one answer: an object has 20 MiB at most, a list 100000 ids
SHORT = 64 << 10  # bytes of a request or answer that is read whole
LONGEST_REPORT = 1 << 20  # bytes of an error report: it contains a traceback
PIECE = 32 << 10  # bytes to read at once: many short messages, and little of a long one, whose rest is spliced

NUMBER = rb"[\x00-\x7f]|\xcc.|\xcd..|\xce.{4}"
FIRST = re.compile(rb"\x94\x01(?P<number>\x01)\xa9(?P<name>negotiate)\x91\x81")
REQUEST = re.compile(
    rb"\x83\xa1i(?P<number>" + NUMBER + rb")\xa1m[\xa3-\xb8](?P<name>[a-z_]+)\xa1a[\x80-\x8f]", re.DOTALL
)
LONGEST_HEAD = 64  # bytes of what these two match
LISTS = (b"list", b"scan")  # their answers are ids
METHODS = {
    *(b"load_key", b"save_key", b"get_free_nonce", b"commit_nonce_reservation", *LISTS, b"get", b"put", b"delete"),
    *(b"commit", b"check", b"rollback", b"__len__", b"destroy", b"break_lock"),
}
PUT = re.compile(rb"\x82\xa2id\xda\x00\x20.{32}\xa4data\xdb(?P<size>.{4})", re.DOTALL)  # the arguments of most requests
SAVED = re.compile(rb"\xa7keydata(?:[\xa0-\xbf]|[\xc4\xd9].|[\xc5\xda]..)", re.DOTALL)
RESERVATION = re.compile(rb"\xafnext_unreserved(?P<next>" + NUMBER + rb"|\xcf.{8})", re.DOTALL)
NEGOTIATED = re.compile(rb"\x94\x01\x01\xc0[\x80-\x8f]")
TEXT = re.compile(rb"[\xa0-\xbf]|[\xc4\xd9].|[\xc5\xda]..", re.DOTALL)
OBJECT = re.compile(rb"[\xa0-\xbf\xc4-\xc6\xd9-\xdb]")  # a text of any length
LIST = re.compile(rb"(?:[\x90-\x9f]|\xdc(?P<short>..)|\xdd(?P<long>.{4}))", re.DOTALL)
ID = 3 + IDENTITY  # bytes of one of its members
IDS = re.compile(rb"(?:\xda\x00\x20.{32})*", re.DOTALL)
NONCE_TEXT = re.compile(NUMBER + rb"|\xcf.{8}", re.DOTALL)
REPORT = re.compile(rb"[\x82-\x87]")  # a map of the number, the class, and of REPORTED
REPORTED = re.compile(rb"\xa7sysinfo|\xae(?:exception_args|exception_full)|\xaf(?:exception_(?:short|trace))")
# What no server since borg 1.1 says. borg would take it for one that keeps no nonces, and count on unseen by the gate.
NO_METHOD = b"InvalidRPCMethod"
# msgpack's bytes C4 to DF: width of the size that follows, further bytes, objects per member that the size counts
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
    """Move available bytes by splice(2); the kernel refuses it for some kinds of files."""
    return os.splice(source, sink, most, flags=os.SPLICE_F_NONBLOCK)


def copy(source: int, sink: int, most: int) -> int:
    """Move available bytes by read and write; write all that was read, however long the other side takes.

    Raise BlockingIOError where nothing is available.
    """
    data = os.read(source, most)
    write(sink, data)
    return len(data)


def write(sink: int, data: bytes) -> None:
    """Write all data, however long the other side takes."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(sink, view) :]
        except BlockingIOError:
            wait(sink, select.POLLOUT)


def wait(fd: int, event: int) -> None:
    """Wait until a descriptor is ready or broken."""
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()


class BadAnswer(Exception):  # noqa: N818 - the server's error, not ours
    """The server does not answer as a borg server does, or not in turn, or the gate does not agree."""


class UnknownRequest(Exception):  # noqa: N818 - borg's error, not ours
    """borg sends a request that no known borg sends, or in another form."""


class TooLong(Exception):  # noqa: N818 - the sender's error, not ours
    """A message is longer than any of its kind."""


def scan(data: bytes | bytearray, at: int, pending: int) -> tuple[int, int]:
    """Skip `pending` msgpack objects from `at`; return the new place and number, as far as the bytes reach.

    All are skipped when none is pending and the place is not behind the end (the msgpack spec, both editions).
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


class Direction:
    """One direction, as far as it has been read: the first `ready` bytes of `data` may pass.

    No call blocks but poll. A splice that waits for a socket holds its pipe's lock. borg, at the pipe's other end,
    would wait for the lock, while the server waits for borg.
    """

    def __init__(self, source: int, sink: int, counts: list[int], index: int) -> None:
        self.source, self.sink, self.counts, self.index = source, sink, counts, index
        self.data, self.ready = b"", 0
        self.room = memoryview(bytearray(PIECE))  # read() would make room anew each time, and scatter it over the heap
        self.move = splice if hasattr(os, "splice") else copy

    def send(self) -> None:
        """Pass on the bytes that are ready."""
        if self.ready:
            self.counts[self.index] += self.ready  # first: the reader may end us at once
            write(self.sink, self.data[: self.ready])
            self.data, self.ready = self.data[self.ready :], 0

    def read_more(self) -> None:
        """Pass on the bytes that are ready, and wait for more; raise EOFError at the end."""
        self.send()
        while True:
            try:
                read = os.readv(self.source, [self.room])
                break
            except BlockingIOError:
                wait(self.source, select.POLLIN)
        if not read:
            raise EOFError
        self.data += self.room[:read]

    def peek(self, size: int) -> bytes:
        """Return up to `size` bytes that are not yet ready to pass."""
        return self.data[self.ready : self.ready + size]

    def message(self, longest: int) -> bytes:
        """Return the next message once it is complete; it is not yet ready to pass. Raise TooLong or EOFError."""
        end, pending = scan(self.data, self.ready, 1)
        while pending or end > len(self.data):
            if end - self.ready > longest:
                raise TooLong
            end -= self.ready
            self.read_more()
            end, pending = scan(self.data, end, pending)
        if end - self.ready > longest:
            raise TooLong
        return self.data[self.ready : end]

    def pass_message(self, longest: int) -> None:
        """Pass on the next message as it comes, without reading long values in it; raise TooLong or EOFError."""
        end, pending, passed = self.ready, 1, 0
        while True:
            start = end
            end, pending = scan(self.data, start, pending)
            passed += end - start
            if passed > longest:
                raise TooLong
            self.pass_to(end)
            if not pending:
                return
            self.read_more()
            end = 0

    def pass_ids(self, start: int) -> None:
        """Pass on a list of ids as it comes, with what is before it; raise BadAnswer, TooLong or EOFError.

        A list of other things would become far more in borg's memory than its bytes.
        """
        while (head := LIST.match(self.data, start)) is None:
            if len(self.data) > start and self.data[start] not in (0xDC, 0xDD):
                raise BadAnswer
            start -= self.ready
            self.read_more()
        size = head["short"] or head["long"]
        rest = ID * (int.from_bytes(size, "big") if size else head[0][0] & 0x0F)
        if rest > LONGEST_ANSWER:
            raise TooLong
        self.ready = head.end()
        while True:
            whole = min(rest, len(self.data) - self.ready) // ID * ID
            if IDS.fullmatch(self.data, self.ready, self.ready + whole) is None:
                raise BadAnswer
            self.ready += whole
            rest -= whole
            if not rest:
                return
            self.read_more()

    def pass_to(self, end: int) -> None:
        """Pass on all bytes up to this place in the data, also those still to come."""
        rest, self.ready = end - len(self.data), min(end, len(self.data))
        if rest > 0:
            self.send()
            self.move_bytes(rest)

    def move_bytes(self, rest: int) -> None:
        """Move `rest` bytes from source to sink, and read none ahead. Raise EOFError or OSError."""
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


class Gate:
    """The gate, which both directions ask. It hears one of them at a time, and the counts last."""

    def __init__(self, connection: _socket.socket) -> None:
        self.connection, self.ended = connection, False
        self.asking, self.sending = _thread.allocate_lock(), _thread.allocate_lock()

    def show(self, kind: bytes, text: bytes) -> None:
        """Show the gate a value, and wait until it agrees; raise BadAnswer where it does not, EOFError at the end."""
        with self.asking:
            self.send(SHOWN.pack(kind, text))
            if self.connection.recv(1) != b"y":
                raise BadAnswer

    def end(self, counts: bytes) -> None:
        """Tell the gate the counts, behind which nothing follows: it knows them by their length alone."""
        self.send(counts, last=True)

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Send one whole message; raise EOFError behind the last one."""
        with self.sending:
            if self.ended:
                raise EOFError
            self.ended = last
            self.connection.sendall(data)


class Requests:
    """borg's open requests, in the order of their answers: (number as msgpack has it, method)."""

    def __init__(self, direction: Direction, gate: Gate) -> None:
        self.direction, self.gate = direction, gate
        self.open: deque[tuple[bytes, bytes]] = deque()
        self.writes = False

    def run(self) -> None:
        """Pass on requests, each noted before the server can answer it; raise UnknownRequest, TooLong or EOFError."""
        self.note(self.head(FIRST))
        request = self.head(REQUEST)
        if request["name"] != b"open":
            raise UnknownRequest
        self.note(request)
        while True:
            request = self.head(REQUEST)
            if request["name"] not in METHODS:
                raise UnknownRequest
            if request["name"] != b"put" or not self.writes:
                self.look(request)
            self.note(request)

    def head(self, form: re.Pattern[bytes]) -> re.Match[bytes]:
        """Return the head of the next request, in however many pieces it comes."""
        while (request := form.match(self.direction.data, self.direction.ready)) is None:
            here = len(self.direction.data) - self.direction.ready
            if here > LONGEST_HEAD or (here and length(self.direction.data, self.direction.ready) is not None):
                raise UnknownRequest
            self.direction.read_more()
        return request

    def note(self, request: re.Match[bytes]) -> None:
        """Pass a request on, and remember that it is open."""
        self.open.append((request["number"], request["name"]))
        arguments = self.direction.ready + request.end() - request.start() - 1
        if put := PUT.match(self.direction.data, arguments):
            self.direction.pass_to(put.end() + int.from_bytes(put["size"], "big"))
        else:
            self.direction.pass_message(LONGEST_ANSWER)

    def look(self, request: re.Match[bytes]) -> None:
        """Show the gate what it keeps: a new repository's key, the nonces that borg reserves, the first write."""
        name = request["name"]
        if name == b"put":
            self.direction.send()
            self.gate.show(WRITES, b"")
            self.writes = True
        elif name == b"save_key":
            message, start = self.direction.message(SHORT), request.end() - request.start()
            if (form := SAVED.match(message, start)) is None:
                raise UnknownRequest
            self.direction.send()
            self.gate.show(SAVED_KEY, digest(message[form.end() :]))
        elif name == b"commit_nonce_reservation":
            message, start = self.direction.message(SHORT), request.end() - request.start()
            if (form := RESERVATION.match(message, start)) is None:
                raise UnknownRequest
            self.direction.send()
            self.gate.show(RESERVED, number(form["next"]))


class Answers:
    """The server's answers."""

    def __init__(self, direction: Direction, gate: Gate, open_requests: "deque[tuple[bytes, bytes]]") -> None:
        self.direction, self.gate, self.open_requests = direction, gate, open_requests

    def run(self) -> None:
        """Pass on the answers to open requests, in turn; raise BadAnswer, TooLong or EOFError."""
        direction, open_requests = self.direction, self.open_requests
        while True:
            if direction.ready == len(direction.data):
                direction.read_more()
            if not open_requests:
                raise BadAnswer
            number, name = open_requests[0]
            nothing = b"\x82\xa1i" + number + b"\xa1r\xc0"
            if direction.data.startswith(nothing, direction.ready) and name in (b"put", b"delete", b"commit"):
                direction.ready += len(nothing)
            else:
                self.answer(number, name)
            open_requests.popleft()

    def answer(self, number: bytes, name: bytes) -> None:
        """Pass on one answer."""
        direction, head = self.direction, b"\x82\xa1i" + number + b"\xa1r"
        if name == b"get" or name in LISTS:
            while len(here := direction.peek(len(head) + 1)) <= len(head) and head.startswith(here):
                direction.read_more()
            if direction.data.startswith(head, direction.ready):
                start = direction.ready + len(head)
                if name in LISTS:
                    direction.pass_ids(start)
                elif OBJECT.match(direction.data, start):
                    direction.pass_message(LONGEST_ANSWER)
                else:
                    raise BadAnswer
                return
        message = direction.message(LONGEST_REPORT)
        if name == b"negotiate":
            if NEGOTIATED.match(message) is None:
                raise BadAnswer
        elif not reports(message, number):
            if not message.startswith(head) or len(message) > SHORT:
                raise BadAnswer
            self.look(name, message[len(head) :])
        direction.ready += len(message)

    def look(self, name: bytes, value: bytes) -> None:
        """Show the gate the values that borg's security rests on."""
        self.direction.send()
        if name == b"open":
            text = content(value)
            if len(text) != IDENTITY:
                raise BadAnswer
            self.gate.show(REPOSITORY, text)
        elif name == b"load_key":
            self.gate.show(KEY, digest(content(value)))
        elif name == b"get_free_nonce" and value != b"\xc0":
            if NONCE_TEXT.fullmatch(value) is None:
                raise BadAnswer
            self.gate.show(NONCE, number(value))


def content(value: bytes) -> bytes:
    """Return the bytes of a msgpack string."""
    form = TEXT.match(value)
    if form is None:
        raise BadAnswer
    return value[form.end() :]


def number(value: bytes) -> bytes:
    """Return a non-negative msgpack number as eight bytes, big-endian."""
    return (value if len(value) == 1 else value[1:]).rjust(8, b"\0")


def digest(text: bytes) -> bytes:
    """Return the hash by which the gate knows a key: SHA-256, by CPython's own code where it is there.

    hashlib would load OpenSSL for this, which takes nearly as much memory as the whole relay.
    """
    for name in ("_sha2", "_sha256"):  # since CPython 3.12; before
        try:
            return bytes(__import__(name).sha256(text).digest())
        except ImportError:
            continue
    import hashlib  # noqa: PLC0415 - the last resort

    return hashlib.sha256(text).digest()


def reports(message: bytes, number: bytes) -> bool:
    """Tell whether a message is a server's error report; its form is checked, its text is for borg."""
    head = b"\xa1i" + number + b"\xafexception_class"
    if REPORT.match(message) is None or not message.startswith(head, 1):
        return False
    at = length(message, 1 + len(head))
    if at is None or content(message[1 + len(head) : at]) == NO_METHOD:
        return False
    for _ in range((message[0] & 0x0F) - 2):
        key = REPORTED.match(message, at)
        end = length(message, key.end()) if key else None
        if end is None:
            return False
        at = end
    return True


def receive(connection: _socket.socket) -> tuple[int, int]:
    """Return the two descriptors that the gate sends: from the server, to the server."""
    descriptors = array.array("i")
    _, ancillary, _, _ = connection.recvmsg(1, _socket.CMSG_SPACE(2 * descriptors.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            descriptors.frombytes(data)
    if len(descriptors) != 2:
        raise OSError("the gate sent no connection")
    return descriptors[0], descriptors[1]


def widen(fd: int) -> None:
    """Let a pipe hold as much as one of borg's messages; a small one, or what is no pipe, is only slower."""
    try:  # noqa: SIM105 - contextlib would be one more import of each start
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE)
    except OSError:  # EPERM: over the account's limit (pipe(7)); EBADF: a socket; EBUSY: it holds more already
        pass


def main(directory: str) -> None:
    """Connect, move bytes, report their number, end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir(directory)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(SOCKET)
    source, sink = receive(connection)
    counts, once = [0, 0], _thread.allocate_lock()
    for fd in (0, 1, source, sink):
        os.set_blocking(fd, False)
    for fd in (0, 1, source, sink):
        widen(fd)
    gate = Gate(connection)
    requests = Requests(Direction(0, sink, counts, 0), gate)
    answers = Answers(Direction(source, 1, counts, 1), gate, requests.open)

    def end(mark: int) -> None:
        once.acquire()
        counts[0] |= mark
        try:
            gate.end(COUNTS.pack(*counts))
        finally:
            os._exit(0)

    def inward() -> None:
        try:
            answers.run()
        except (EOFError, OSError):
            os.close(1)  # the server ended: borg must see the end of file
        except BaseException:  # also an unforeseen error: nothing more may pass
            end(STRANGE)

    _thread.start_new_thread(inward, ())
    try:
        requests.run()
    except (EOFError, OSError):
        end(0)
    except BadAnswer:
        end(STRANGE)
    except BaseException:
        end(UNKNOWN)


if __name__ == "__main__":
    main(sys.argv[1])
