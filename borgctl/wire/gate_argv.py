"""Build and read the gate's command line: a key line, a sudo rule, and a launcher on the same machine use it.

Key lines that people have pasted stay as they are, so these words do not change. It does not know a policy.

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
    """The interpreter, the policy file, and the fingerprint of the line's key."""

    python: str
    policy: str
    key: str | None


def build(policy: str, key: str | None = None, python: str = sys.executable) -> list[str]:
    """Return the words that start the gate."""
    return [*program(python), *arguments(policy, key)]


def program(python: str = sys.executable) -> list[str]:
    """Return the words for the program alone, in an isolated interpreter."""
    return [python, "-I", "-m", MODULE]


def arguments(policy: str, key: str | None = None) -> list[str]:
    """Return the arguments of the program."""
    return ["--policy", policy, *(("--key", key) if key is not None else ())]


def read(words: Sequence[str]) -> GateArgv | None:
    """Parse a command line; return None where it does not start the gate, or the gate would refuse it."""
    match list(words):
        case [python, "-I", "-m", module, *rest] if module == MODULE:
            parsed = read_arguments(rest)
            return None if parsed is None else GateArgv(python, *parsed)
        case _:
            return None


def read_arguments(words: Sequence[str]) -> tuple[str, str | None] | None:
    """Return the policy file and the key's fingerprint from the words behind the module's name, or None."""
    match list(words):
        case ["--policy", policy]:
            return policy, None
        case ["--policy", policy, "--key", key] if _FINGERPRINT.fullmatch(key):
            return policy, key
        case _:
            return None
