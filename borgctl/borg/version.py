"""Tell which borg releases are supported, and how they differ for a command. It starts no borg.

>>> supported("1.4.5").release
(1, 4, 5)
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
_QUICK_STATS = (1, 4, 5)


@dataclass(frozen=True, slots=True)
class Version:
    """A borg release of a supported series."""

    text: str
    release: tuple[int, int, int]  # a beta of 1.4.5, say, counts as 1.4.0: what it knows is not known

    @property
    def series(self) -> tuple[int, int]:
        """Return the first two numbers."""
        return self.release[:2]

    @property
    def has_quick_stats(self) -> bool:
        """Tell whether `create` can leave out the sums over all archives, for which it asks the server for each one."""
        return self.release >= _QUICK_STATS


def supported(text: str) -> Version | None:
    """Parse a release of a supported series; None for any other text."""
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9A-Za-z.+-]{1,40})", text)
    if match is None or (int(match[1]), int(match[2])) not in _SERIES:
        return None
    return Version(text, (int(match[1]), int(match[2]), int(match[3]) if match[3].isdecimal() else 0))


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
