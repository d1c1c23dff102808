"""The bytes between borg and the transport: what borg starts as its remote shell (BORG_RSH).

    python -I -S relay.py DIRECTORY [what borg adds: ignored]

It connects to the gate's door in DIRECTORY, is handed two descriptors (from the server, to the server), and moves bytes
both ways until borg closes its end. It never waits for the far end of file: ssh keeps its side open, so that wait would
be a deadlock. It ignores INT, TERM and HUP, because borg wants its connection while it ends; it goes when borg goes. At
the end it tells the gate how many bytes went each way. Standard library only, no package import: it starts in 15 ms.
"""

import _thread
import array
import os
import select
import signal
import socket
import struct
import sys

CHUNK = 1 << 20
DOOR = "door"
COUNTS = struct.Struct("<QQ")  # bytes to the server, bytes from the server


def splice(source: int, sink: int) -> int:
    """Move what is there by splice(2); the kernel refuses it for some kinds of files."""
    return os.splice(source, sink, CHUNK, flags=os.SPLICE_F_NONBLOCK)


def copy(source: int, sink: int) -> int:
    """Move what is there the ordinary way; what was read is written, however long the other side takes."""
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

    _thread.start_new_thread(inward, ())
    move(0, sink, counts, 0)
    try:
        door.send(COUNTS.pack(*counts))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
