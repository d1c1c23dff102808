"""Which Landlock has this kernel? Asked of the kernel itself, and nothing is restricted by asking.

abi() == 7      # 0: none, or switched off at boot
"""

import ctypes

_CREATE_RULESET = 444  # the same number on every architecture (landlock_create_ruleset(2))
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION


def abi() -> int:
    """Return the ABI's number, 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(0, int(number))
