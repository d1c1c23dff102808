"""No way to a connection is left to who is held, and what borg needs works."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys

import programs
import pytest

from borgctl import sockets

PRISONER = """
import ctypes, json, os, socket, sys
port, held, results = int(sys.argv[1]), sys.argv[2] == "held", {}
if held:
    from borgctl import landlock, sockets
    if ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) != 0:
        raise OSError
    sockets.forbid_streams()

def connected(*kind):
    with socket.socket(*kind) as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", port))

def fast():
    with socket.socket() as one:
        one.settimeout(5)
        one.sendto(b"", 0x20000000, ("127.0.0.1", port))  # MSG_FASTOPEN

def listened():
    with socket.socket() as one:
        one.listen()

def ring():
    fd = ctypes.CDLL(None, use_errno=True).syscall(425, 1, (ctypes.c_char * 120)())
    if fd < 0:
        raise OSError(ctypes.get_errno())
    os.close(fd)

TRIES = {
    "tcp": connected,
    "mptcp": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, 262),
    "nonblocking": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK).close(),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET).close(),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close(),
    "fast open": fast,
    "listen": listened,
    "ring": ring,
    "unix": lambda: socket.socketpair()[0].close(),
    "unix stream": lambda: socket.socket(socket.AF_UNIX).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).close(),
    "lookup": lambda: (socket.gethostbyname("localhost"), socket.getfqdn()),
}
for name, act in TRIES.items():
    try:
        act()
        results[name] = True
    except OSError:
        results[name] = False
print(json.dumps(results))
"""
NEEDED = {"unix", "unix stream", "netlink", "udp", "lookup"}


def tried(how):
    """Return what the prisoner managed to do."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        argv = [sys.executable, "-c", PRISONER, str(listener.getsockname()[1]), how]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return {name for name, succeeded in json.loads(done.stdout).items() if succeeded}


def test_no_way_to_a_connection_is_left_and_what_borg_needs_works():
    free = tried("free")
    assert free >= {*NEEDED, "tcp", "nonblocking", "listen"}  # or the next line would prove nothing
    assert tried("held") == NEEDED


def test_a_machine_whose_numbers_are_not_known_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sockets, "_MACHINES", {})
    sockets.forbid_streams()
    socket.socket().close()


OTHER_NUMBERS = """
import ctypes, json, mmap, os, sys
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret: getpid(2) by the numbers of 32 bits
narrow = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
libc = ctypes.CDLL(None, use_errno=True)
def told():
    result = libc.syscall(0x40000000 | 39)  # getpid(2) by those of x32, which many kernels do not have
    return [narrow() == os.getpid(), ctypes.get_errno() if result < 0 else 0]
before = told()
if sys.argv[1] == "held":
    from borgctl import sockets
    libc.prctl(38, 1, 0, 0, 0)
    sockets.forbid_streams()
print(json.dumps([before, told()]))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other machines have one table of numbers")
def test_no_other_table_of_system_calls_leads_past_the_filter():
    """Each of them has other numbers for the same calls, among them those that the filter refuses."""
    free = programs.python(OTHER_NUMBERS, "free")
    if free.returncode < 0:
        pytest.skip("this kernel runs no programs of 32 bits")
    before, after = json.loads(free.stdout)
    assert before == after and before[0]
    before, after = json.loads(programs.python(OTHER_NUMBERS, "held").stdout)
    assert before[0] and after == [False, errno.EACCES]
