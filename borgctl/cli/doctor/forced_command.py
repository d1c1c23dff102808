"""Forced commands: which of them are the gate, and of which policy. It starts nothing.

>>> gate("exec /opt/borgctl/bin/python3 -I -m borgctl.gate --policy /etc/borgctl/web1.yaml").policy
'/etc/borgctl/web1.yaml'
"""

import re
from dataclasses import dataclass

from borgctl.wire import gate_argv

# Words that mean themselves to every shell; what `authorize` prints has no others
_WORD = re.compile(r"[A-Za-z0-9_./+:=@-]+")


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate's command line: its interpreter, its policy, the key that it was printed for, behind sudo or not."""

    python: str
    policy: str
    key: str | None
    sudo: bool


def gate(command: str) -> Gate | None:
    """Return what a forced command starts; None where it is not, word by word, the gate."""
    words = command.split(" ")
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    if words[:1] == ["exec"]:
        words = words[1:]
    sudo = words[:2] == ["sudo", "-n"]
    found = gate_argv.read(words[2:] if sudo else words)
    return None if found is None else Gate(*found, sudo)


def names_gate(command: str | None) -> bool:
    """Tell whether a command is meant to start the gate, well written or not."""
    return command is not None and gate_argv.MODULE in command
