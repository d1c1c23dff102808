"""Restrict a process, and all that it starts, to some files and rights, for good (landlock(7)).

It knows the system calls, and which rights came with which ABI; not which process it restricts, nor why. Standard
library only.

    rules = Ruleset(abi()); rules.allow("/usr/lib", READ); rules.allow("/run/x", WRITE); rules.restrict()
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct

NEWEST = 7  # the newest ABI whose rights are known here; a newer kernel supports it
LIST, READ, WRITE, EXECUTE = "list", "read", "write", "execute"
DEVICE = "device"  # to read a block device

# The same numbers on every architecture (linux/landlock.h, asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_AND_REMOVE = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8  # REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG
_ALL_OF_ABI_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_TCP = 1 << 0 | 1 << 1  # BIND_TCP, CONNECT_TCP
_SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals
# What each ABI can forbid in addition, and the file-system bits that it added.
_SINCE = (
    (2, "rename between directories", _REFER),
    (3, "truncate", _TRUNCATE),
    (4, "TCP", 0),
    (5, "ioctl on devices", _IOCTL_DEV),
    (6, "signals and abstract sockets", 0),
)
_RIGHTS = {
    LIST: _READ_DIR,
    READ: _READ_FILE | _READ_DIR,
    WRITE: _READ_FILE | _READ_DIR | _WRITE_FILE | _MAKE_AND_REMOVE | _REFER | _TRUNCATE,
    EXECUTE: _EXECUTE | _READ_FILE,
    DEVICE: _READ_FILE,
}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # the others are rights of directories
_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the kernel's Landlock ABI (at most NEWEST), 0 where it has none or refuses it to us."""
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    return min(max(version, 0), NEWEST)


def lacking(version: int) -> tuple[str, ...]:
    """Return what this ABI cannot forbid."""
    return tuple(what for since, what, _ in _SINCE if version < since)


class Ruleset:
    """Rules that forbid all that ABI `version` (1 or more) can forbid, except what is allowed. Raises OSError."""

    def __init__(self, version: int) -> None:
        self._handled = _ALL_OF_ABI_1
        for since, _, bits in _SINCE:
            self._handled |= bits if version >= since else 0
        attributes = struct.pack("=Q", self._handled)
        attributes += struct.pack("=Q", _TCP) if version >= 4 else b""
        attributes += struct.pack("=Q", _SCOPES) if version >= 6 else b""
        self._fd = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)

    def allow(self, path: str, what: str) -> None:
        """Allow a right for what is at this path now, and for all below; skip a missing path."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rights, mode = _RIGHTS[what] & self._handled, os.fstat(fd).st_mode
                if not stat.S_ISDIR(mode):
                    rights &= _OF_FILES
                if what == DEVICE and not stat.S_ISBLK(mode):
                    return
                _call(_ADD_RULE, self._fd, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
            finally:
                os.close(fd)

    def restrict(self) -> None:
        """Apply the rules to this process; it can then never again gain rights by execve(2) (no_new_privs)."""
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl PR_SET_NO_NEW_PRIVS")
        _call(_RESTRICT_SELF, self._fd, 0)
        os.close(self._fd)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno() or errno.EIO, f"landlock system call {number}")
    return result
