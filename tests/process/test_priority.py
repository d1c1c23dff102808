"""borg's priority gets lower, and never higher."""

import os

import programs

LOWER = """
import ctypes, os, sys
from borgctl.process import priority
priority.lower(int(sys.argv[1]), sys.argv[2])
number = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine)
value = ctypes.CDLL(None).syscall(number, 1, 0) >> 13 if number else None
print(os.nice(0), value)
"""


def lowered(nice, ionice):
    done = programs.python(LOWER, nice, ionice)
    assert done.stderr == b""
    nice, value = done.stdout.split()
    return int(nice), value.decode()


def test_both_priorities_are_lowered():
    nice, value = lowered(10, "idle")
    assert nice >= min(19, os.nice(0) + 10) and value in ("3", "None")
    assert lowered(0, "best-effort")[1] in ("2", "None")


def test_none_leaves_them_as_they_are():
    assert lowered(0, "none")[1] in ("0", "None")
