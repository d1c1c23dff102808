"""Change a process to another user with the right to read and no way to more (credentials(7), capabilities(7)).

It knows system calls, not which process becomes which user. All functions but `account` are for a child before exec.

    become(Account(990, 990))        # from root: may read every file, and has no other right of root
"""

import ctypes
import errno
import os
import pwd
import re
import resource
import struct

from borgctl.data_class import dataclass
from borgctl.errors import BadValue

_CAP_DAC_READ_SEARCH, _CAP_FOWNER = 2, 3
_LAST_CAP = 63
_PR_SET_KEEPCAPS, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 8, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_FILES = 1024
# All processes and threads of the user at once: a run has five, so two hundred runs fit, and a fork bomb does not.
_MOST_PROCESSES = 1024
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}  # the C library has no wrapper
_JOIN_SESSION_KEYRING = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """A user and their group, by number; never root."""

    uid: int
    gid: int


def account(text: str) -> Account:
    """Return the account of a user name or number; raise BadValue for root and for an unknown name.

    A number needs no entry in the password database; its group is then the same number.
    """
    try:
        entry = pwd.getpwuid(int(text)) if re.fullmatch(r"[0-9]{1,10}", text) else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise BadValue(f"no user {text!r} on this machine") from None
        result = Account(int(text), int(text))
    else:
        result = Account(entry.pw_uid, entry.pw_gid)
    if result.uid == 0:
        raise BadValue(f"user {text!r} is root")
    return result


def limit() -> None:
    """Forbid core dumps, which would contain keys, and more open files than borg needs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def limit_memory(size: int) -> None:
    """Bound the address space of this process, and of each that it starts, to `size` bytes (setrlimit(2) RLIMIT_AS)."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = size if hard == resource.RLIM_INFINITY else min(hard, size)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def leave_keyring() -> None:
    """Join a new, empty session keyring instead of our parent's (keyrings(7)); raise OSError where that fails.

    A kernel without keyrings has nothing to hide; one that refuses the call (in containers) refuses borg's as well.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None or _libc.syscall(number, _JOIN_SESSION_KEYRING, None) >= 0:
        return
    if ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
        raise OSError(ctypes.get_errno(), "keyctl KEYCTL_JOIN_SESSION_KEYRING")


def become(account: Account, *, noatime: bool = False) -> None:
    """Change from root to another user who may read every file, for good; raise OSError where a step fails.

    `noatime`: they may also open any file with O_NOATIME, by CAP_FOWNER. That permits far more, which the caller must
    forbid: modes, times and attributes of every file, and to remove or link those of others.
    """
    kept = (_CAP_DAC_READ_SEARCH, *((_CAP_FOWNER,) if noatime else ()))
    _prctl(_PR_SET_KEEPCAPS, 1)
    for capability in range(_LAST_CAP + 1):
        if capability not in kept and _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            _prctl(_PR_CAPBSET_DROP, capability)
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)  # it applies to the new user: root has no such limit
    most = _MOST_PROCESSES if hard == resource.RLIM_INFINITY else min(hard, _MOST_PROCESSES)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    _set_capabilities(sum(1 << capability for capability in kept))
    for capability in kept:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _set_capabilities(bits: int) -> None:
    """Set the effective, permitted and inheritable capabilities (capset(2), version 3: two words of 32 bits each)."""
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, struct.pack("=6I", low, low, low, high, high, high)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
