"""Which sockets a process may still make: local ones, netlink and datagrams, and no other kind (seccomp(2)).

Landlock forbids bind(2) and connect(2) of TCP. A connection is also made without them (sendto(2), listen(2)), and by
kinds of sockets that it does not look at; so the sockets are refused. It knows system calls, not who is held.

    forbid_streams()        # for good; wants no_new_privs
"""

import ctypes
import errno
import os
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_IO_URING_SETUP = 425  # it would make sockets of its own, past any filter
_X32 = 0x40000000  # x86-64's second table of numbers
# By machine: AUDIT_ARCH_… (linux/audit.h) and socket(2) in the kernel's table. Elsewhere Landlock stands alone. A
# program of another machine's than ours (32 bits beside 64) would have other numbers: it can do nothing at all.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198), "riscv64": (0xC00000F3, 198)}
_UNIX, _INET, _INET6, _NETLINK, _DATAGRAM = 1, 2, 10, 16, 2
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # of classic BPF
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data, little-endian
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forbid_streams() -> None:
    """Lay the filter on this process and all that it starts; raise OSError unless this kernel has no such filters."""
    known = _MACHINES.get(os.uname().machine)
    if known is None or struct.calcsize("P") != 8:
        return
    steps = _steps(*known)
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        if number != errno.EINVAL:
            raise OSError(number, "prctl PR_SET_SECCOMP")


def _steps(architecture: int, socket: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: code, how far to jump where it holds, and where it does not, operand."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 13, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 11, 0, _X32),
        (_EQUAL, 10, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 8, socket),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 6, 0, _UNIX),
        (_EQUAL, 5, 0, _NETLINK),
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, 4, _INET6),
        (_LOAD, 0, 0, _SECOND),
        (_AND, 0, 0, 0xF),  # without SOCK_CLOEXEC and SOCK_NONBLOCK
        (_EQUAL, 0, 1, _DATAGRAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
