"""Forbid the system calls that borg and its relay never need (seccomp(2)).

Landlock forbids files, and bind(2) and connect(2) of TCP. It does not forbid other sockets, programs without a file,
access to other processes, keyrings, or changes of a file's mode, times and attributes, which CAP_FOWNER permits on
any file. This module knows system calls, not which process it restricts.

    forbid()        # for good; sets no_new_privs, too
"""

import ctypes
import errno
import os
import struct

_PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 38, 21, 22, 2
_ALLOW, _REFUSE, _MISSING = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
_IGNORE = 0x00050000  # the call does nothing, and says that it did
_X32 = 0x40000000  # x86-64's second table of numbers
# By machine: AUDIT_ARCH_… (linux/audit.h) and its column in the tables below. Other machines have Landlock only. A
# program for another architecture (32 bits beside 64) has other numbers, so every call of it is refused.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
_SOCKET, _SOCKETPAIR, _CLONE, _CLONE3 = (41, 198), (53, 199), (56, 220), (435, 435)
_IOCTL, _FCNTL = (16, 29), (72, 25)
_UNKNOWN = 470  # the first number that is not known here, on every architecture: later calls may permit anything
# Name: number on x86-64 (syscall_64.tbl), and in the table that newer machines share (asm-generic/unistd.h).
REFUSED = {
    # opens sockets past any filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # the user's or root's keys, which outlive the run
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    # programs without a file
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "execveat": (322, 281),
    # watches what others do with files
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # files by number and not by path: CAP_DAC_READ_SEARCH permits that
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # modes, owners, ACLs and other attributes (the times' older calls are below), also of files that are only read
    "fchmod": (91, 52),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    # locks: whoever may read a file may lock it, as the gate's log and locks, and so keep others from their work
    "flock": (73, 32),
    # which parts of a file others read: an owner may ask
    "mincore": (27, 232),
    "preadv2": (327, 286),
    "cachestat": (451, 451),
    # objects that outlive a process: System V's and POSIX queues
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # namespaces and mounts: in its own user namespace a process has every right, and reaches more of the kernel
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    # kernel interfaces for administrators and debuggers
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "syslog": (103, 116),
}
_ONLY_ON_X86_64 = {
    "inotify_init": 253,
    "chown": 92,
    "lchown": 94,
    "utime": 132,
    "utimes": 235,
    "futimesat": 261,
}
# borg's cache copies its files with their modes, and fails where it cannot
_IGNORED = ((90, 53), (268, 53))  # chmod, which newer machines lack, and fchmodat
# Refused: F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW; F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT
_FCNTLS = (6, 7, 37, 38, 1024, 1026, 1036, 1038)
# TCGETS, TCGETS2, TIOCGWINSZ, FIONCLEX, FIOCLEX, FIONBIO; FS_IOC_GETFLAGS, which borg saves. Others set attributes.
_IOCTLS = (0x5401, 0x802C542A, 0x5413, 0x5450, 0x5451, 0x5421, 0x80086601)
_UNIX = 1  # AF_UNIX
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data, little-endian
_libc = ctypes.CDLL(None, use_errno=True)

Step = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def available() -> bool:
    """Tell whether this machine's system calls are known here, and its kernel supports filters."""
    return _machine() is not None and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def forbid() -> None:
    """Apply the filter to this process and all that it starts, if it is available; raise OSError where that fails."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_NO_NEW_PRIVS")
    machine = _machine()
    if machine is None or not available():
        return
    steps = program(*machine)
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(steps), code)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_SECCOMP")


def program(architecture: int, column: int) -> list[Step]:
    """Return the filter: code, jump length if true, jump length if false, operand."""
    numbers = [*(both[column] for both in REFUSED.values()), *(() if column else _ONLY_ON_X86_64.values())]
    lines = [
        ("", _LOAD, "", "", _ARCHITECTURE),
        ("", _EQUAL, "", "refuse", architecture),
        ("", _LOAD, "", "", _NUMBER),
        ("", _AT_LEAST, "refuse", "", _X32),
        ("", _AT_LEAST, "missing", "", _UNKNOWN),
        *(("", _EQUAL, "refuse", "", number) for number in numbers),
        *(("", _EQUAL, "ignore", "", both[column]) for both in _IGNORED),
        ("", _EQUAL, "missing", "", _CLONE3[column]),  # its flags are in memory; the C library then takes clone
        ("", _EQUAL, "socket", "", _SOCKET[column]),
        ("", _EQUAL, "socket", "", _SOCKETPAIR[column]),  # it makes two of any kind before it fails
        ("", _EQUAL, "ioctl", "", _IOCTL[column]),
        ("", _EQUAL, "fcntl", "", _FCNTL[column]),
        ("", _EQUAL, "clone", "allow", _CLONE[column]),
        ("socket", _LOAD, "", "", _FIRST),
        ("", _EQUAL, "allow", "refuse", _UNIX),
        ("ioctl", _LOAD, "", "", _SECOND),
        *(("", _EQUAL, "allow", "", number) for number in _IOCTLS[:-1]),
        ("", _EQUAL, "allow", "refuse", _IOCTLS[-1]),
        ("fcntl", _LOAD, "", "", _SECOND),
        *(("", _EQUAL, "refuse", "", number) for number in _FCNTLS[:-1]),
        ("", _EQUAL, "refuse", "allow", _FCNTLS[-1]),
        ("clone", _LOAD, "", "", _FIRST),
        ("", _ANY_OF, "refuse", "allow", _NEW_NAMESPACES),
        ("refuse", _RETURN, "", "", _REFUSE),
        ("allow", _RETURN, "", "", _ALLOW),
        ("missing", _RETURN, "", "", _MISSING),
        ("ignore", _RETURN, "", "", _IGNORE),
    ]
    places = {label: place for place, (label, *_) in enumerate(lines)}

    def jump(place: int, label: str) -> int:
        return places[label] - place - 1 if label else 0

    return [
        (code, jump(place, where), jump(place, elsewhere), operand)
        for place, (_, code, where, elsewhere, operand) in enumerate(lines)
    ]


def _machine() -> tuple[int, int] | None:
    return _MACHINES.get(os.uname().machine) if struct.calcsize("P") == 8 else None
