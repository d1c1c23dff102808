"""The relay's way in: one descendant of borg, once; what it shows is asked about, and its counts are taken."""

import array
import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
import time

import programs
import pytest

from borgctl.borg import relay
from borgctl.gate.relay_listener import RelayListener
from borgctl.gate.transport import Connection


@pytest.fixture
def room(tmp_path_factory):
    """A directory of ours, with a short name (unix(7): 107 bytes), private."""
    directory = tmp_path_factory.mktemp("r")
    directory.chmod(0o700)
    return directory


@pytest.fixture
def listener(room):
    source, sink = os.pipe2(os.O_CLOEXEC)
    listener = RelayListener(str(room), Connection(source, sink, hangup=True), lambda _, shown: shown == b"i" * 32)
    yield listener
    listener.close()
    os.close(source)
    with contextlib.suppress(OSError):
        os.close(sink)  # closed by the listener once a relay was let in


RELAY = """
import array, os, socket, struct, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
_, extra, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(8))
fds = array.array("i")
for _, _, data in extra:
    fds.frombytes(data)
print(len(fds), flush=True)
connection.send(struct.pack("<QQ", 5, 7))
"""


def relay_process(room, code=RELAY, *arguments):
    argv = [sys.executable, "-I", "-S", "-c", code, str(room / relay.SOCKET), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


def answered(listener, borg):
    programs.wait_for(lambda: programs.select.select([listener], [], [], 0)[0])
    listener.answer(borg)


def test_the_relay_is_let_in_if_it_is_a_descendant_of_borg_once(room, listener):
    with programs.ended(relay_process(room)) as one:
        answered(listener, os.getpid())
        assert one.stdout.read() == b"2\n"
        answered(listener, os.getpid())
        assert listener.counts == (5, 7)
        assert listener.fileno() == -1
        with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as second:
            second.connect(str(room / relay.SOCKET))


def test_the_listener_stays_shut_for_anybody_else_and_open_for_borg(room, listener):
    with (
        programs.ended(relay_process(room)) as stranger,
        programs.ended(subprocess.Popen(["/bin/sleep", "60"])) as borg,
    ):
        answered(listener, borg.pid)
        assert stranger.stdout.read() in (b"0\n", b"")
        with programs.ended(relay_process(room)) as one:
            answered(listener, os.getpid())
            assert one.stdout.read() == b"2\n"


def test_a_relay_that_dies_before_it_is_let_in_breaks_nothing(room, listener):
    with programs.ended(relay_process(room, RELAY.partition("_, extra")[0])) as one:
        one.wait()
        answered(listener, os.getpid())
    while listener.fileno() >= 0 and programs.select.select([listener], [], [], 0)[0]:
        listener.answer(os.getpid())
    assert listener.counts is None


def test_a_relay_that_dies_before_it_took_what_it_was_handed_breaks_nothing(room, listener):
    code = RELAY.partition("_, extra")[0] + "print(flush=True); import time; time.sleep(60)"
    with programs.ended(relay_process(room, code)) as one:
        one.stdout.readline()
        answered(listener, os.getpid())
        one.kill()
        one.wait()
        answered(listener, os.getpid())
    assert listener.counts is None and listener.fileno() == -1


NAMING = RELAY.replace(
    "connection.send(",
    "connection.send(b'r' + sys.argv[2].encode() * 32); print(connection.recv(1), flush=True); connection.send(",
)


@pytest.mark.parametrize(("letter", "agreed"), [("i", True), ("x", False)])
def test_an_id_is_agreed_to_or_the_relay_is_shut_out(room, listener, letter, agreed):
    with programs.ended(relay_process(room, NAMING, letter)) as one:
        answered(listener, os.getpid())
        answered(listener, os.getpid())
        assert one.stdout.read(2 + 5) == (b"2\nb'y'\n" if agreed else b"2\nb''\n")[:7]
        assert listener.identity == letter.encode() * 32 and listener.refused != agreed
        assert listener.compared == (("repository",) if agreed else ())
        if agreed:
            answered(listener, os.getpid())
        assert listener.fileno() == -1 and listener.counts == ((5, 7) if agreed else None)


FLOODING = RELAY.replace(
    "connection.send(struct", "[connection.send(b'r' + b'i' * 32) for _ in range(2000)]; connection.send(struct"
)


def test_a_relay_that_asks_and_does_not_listen_is_not_waited_for(room, listener):
    """A borg that was taken over could otherwise keep the gate in one call, beyond its time and all signals."""
    with programs.ended(relay_process(room, FLOODING)):
        end = time.monotonic() + 60
        while listener.fileno() >= 0 and time.monotonic() < end:
            answered(listener, os.getpid())
        assert listener.fileno() == -1


def test_a_strange_server_is_told_beside_the_counts(room, listener):
    with programs.ended(relay_process(room, RELAY.replace("5, 7", "5 | 1 << 63, 7"))):
        answered(listener, os.getpid())
        answered(listener, os.getpid())
        assert listener.strange and listener.counts == (5, 7)


def test_counts_that_are_no_counts_are_none(room, listener):
    with programs.ended(relay_process(room, RELAY.replace('struct.pack("<QQ", 5, 7)', 'b"xx"'))) as one:
        answered(listener, os.getpid())
        one.wait()
        answered(listener, os.getpid())
        assert listener.counts is None and listener.fileno() == -1


def test_closing_the_listener_takes_the_counts_of_a_relay_that_has_just_gone(room, listener):
    with programs.ended(relay_process(room)) as one:
        answered(listener, os.getpid())
        one.wait()
    listener._fd, kept = os.dup(listener._fd), listener._fd
    listener.close()
    listener._fd = kept
    assert listener.counts == (5, 7)


def test_the_socket_lies_in_a_directory_with_any_length_of_name(room):
    deep = room
    for _ in range(8):
        deep = deep / ("d" * 30)
    deep.mkdir(parents=True)
    source, sink = os.pipe()
    listener = RelayListener(str(deep), Connection(source, sink, hangup=True), lambda *_: True)
    assert stat.S_ISSOCK((deep / relay.SOCKET).lstat().st_mode)
    listener.close()
    os.close(source)
    os.close(sink)


def test_what_is_handed_over_is_what_the_relay_receives():
    ours, theirs = socket.socketpair()
    fds = [os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDONLY)]
    with ours, theirs:
        ours.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        received = relay.receive(theirs)
    assert [os.fstat(fd).st_rdev for fd in received] == [os.fstat(fd).st_rdev for fd in fds]
    for fd in (*fds, *received):
        os.close(fd)


def test_nothing_handed_over_is_an_error():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"\0")
        with pytest.raises(OSError, match="no connection"):
            relay.receive(theirs)


def test_counts_are_two_numbers():
    assert relay.COUNTS.size == struct.calcsize("<QQ")
