"""The gate's command line: what a key line, a sudo rule and a launcher on the same machine start it with.

Key lines that people have pasted stay as they are, so these words do not change.

build("/etc/borgctl/web1.yaml", "SHA256:…") == ["/usr/bin/python3", "-I", "-m", "borgctl.gate", "--policy", …]
read(words) == GateArgv("/usr/bin/python3", "/etc/borgctl/web1.yaml", "SHA256:…")
"""

import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

MODULE = "borgctl.gate"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class GateArgv(NamedTuple):
    """The interpreter, the policy's file, and the fingerprint of the key that the line is for."""

    python: str
    policy: str
    key: str | None


def build(policy: str, key: str | None = None, python: str = sys.executable) -> list[str]:
    """Return the words that start the gate."""
    return [*program(python), *arguments(policy, key)]


def program(python: str = sys.executable) -> list[str]:
    """Return the words for the program alone, in an interpreter that takes nothing from its surroundings."""
    return [python, "-I", "-m", MODULE]


def arguments(policy: str, key: str | None = None) -> list[str]:
    """Return the words behind it."""
    return ["--policy", policy, *(("--key", key) if key is not None else ())]


def read(words: Sequence[str]) -> GateArgv | None:
    """Return what a command line says; None where it does not start the gate, or the gate would refuse it."""
    match list(words):
        case [python, "-I", "-m", module, *rest] if module == MODULE:
            known = read_arguments(rest)
            return None if known is None else GateArgv(python, *known)
        case _:
            return None


def read_arguments(words: Sequence[str]) -> tuple[str, str | None] | None:
    """Return the policy's file and the key's fingerprint from what stands behind the module's name, or None."""
    match list(words):
        case ["--policy", policy]:
            return policy, None
        case ["--policy", policy, "--key", key] if _FINGERPRINT.fullmatch(key):
            return policy, key
        case _:
            return None
