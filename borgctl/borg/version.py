"""Tell which borg releases are supported, and how they differ for a command. It starts no borg.

>>> supported("1.4.5").series
(1, 4)
>>> supported("2.0.0b10") is None
True
"""

import os
import re

from borgctl.borg.command import BorgCommand
from borgctl.borg.subcommands import COMMANDS
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError

_SERIES = ((1, 2), (1, 4))


@dataclass(frozen=True, slots=True)
class Version:
    """A borg release of a supported series."""

    text: str
    series: tuple[int, int]


def supported(text: str) -> Version | None:
    """Parse a release of a supported series; None for any other text."""
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})\.[0-9A-Za-z.+-]{1,40}", text)
    series = (int(match[1]), int(match[2])) if match else (0, 0)
    return Version(text, series) if series in _SERIES else None


def check_version(command: BorgCommand, version: Version) -> None:
    """Raise BorgctlError where the installed borg does not know an option of the command."""
    for name, _ in command.options:
        since = COMMANDS[command.command].options[name].since
        if version.series < tuple(int(part) for part in since.split(".")):
            raise BorgctlError("borg-unsupported", f"--{name} needs borg {since}; installed is {version.text}")


def opened_besides(command: BorgCommand, version: Version) -> tuple[str, ...]:
    """Return the directories that this borg opens besides the command's paths: 1.2 opens the one above each path."""
    if version.series >= (1, 4):
        return ()
    return tuple(os.path.dirname(path.text) for path in command.paths)
