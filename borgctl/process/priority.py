"""Lower borg's priority by nice(2) and ioprio_set(2), so that a backup does not slow down its host.

It knows the system calls, not when to use them.

    lower(10, "idle")
"""

import ctypes
import os

# The C library has no wrapper; numbers from the kernel's syscall tables.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "i686": 289, "armv7l": 314, "ppc64le": 273, "s390x": 282}
_CLASSES = {"best-effort": (2 << 13) | 7, "idle": 3 << 13}
_WHO_PROCESS = 1


def lower(nice: int, ionice: str) -> None:
    """Lower the calling process's priority; 'none' leaves the I/O priority as it is. Raise OSError as the calls do."""
    os.nice(nice)
    number = _IOPRIO_SET.get(os.uname().machine)
    if ionice in _CLASSES and number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASSES[ionice])
