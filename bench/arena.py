"""Arena: where ways to back up are compared, and what each of them is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from measure import Command, machines


class Arena(NamedTuple):
    """What all contenders share: the tree, the borg, the client's sshd, and a directory for each to be made in."""

    tree: str
    borg: str
    sshd: machines.Sshd
    directory: Path


@dataclass
class Contender:
    """One way to back up; `side` is the machine that the sshd stands for."""

    name: str
    side: str
    create: Callable[[int], list[Command]]
    restore: Callable[[int, str], list[Command]]
    repository: str = ""
