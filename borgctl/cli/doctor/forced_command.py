"""Forced commands: which of them start the gate, and with which policy. It starts nothing.

>>> gate("exec /opt/borgctl/bin/python3 -I -m borgctl.gate --policy /etc/borgctl/web1.yaml").policy
'/etc/borgctl/web1.yaml'
"""

import re
from dataclasses import dataclass

from borgctl.wire import gate_argv

# Words that no shell changes; `authorize` prints no others
_WORD = re.compile(r"[A-Za-z0-9_./+:=@-]+")


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate's command line: its interpreter, its policy, the key that it was printed for, with sudo or without."""

    python: str
    policy: str
    key: str | None
    sudo: bool


def gate(command: str) -> Gate | None:
    """Return the gate that a forced command starts; None where the command is not, word by word, the gate's."""
    words = command.split(" ")
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    if words[:1] == ["exec"]:
        words = words[1:]
    sudo = words[:2] == ["sudo", "-n"]
    parts = gate_argv.read(words[2:] if sudo else words)
    return None if parts is None else Gate(*parts, sudo)


def names_gate(command: str | None) -> bool:
    """Tell whether a command is meant to start the gate, even where it has mistakes."""
    return command is not None and gate_argv.MODULE in command
