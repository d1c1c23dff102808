"""borg's releases: which series are known, and what differs between them for a command.

>>> supported("1.4.5").series
(1, 4)
>>> supported("2.0.0b10") is None
True
"""

import os
import re

from borgctl.borg.command import BorgCommand
from borgctl.borg.options import COMMANDS
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError

_SERIES = ((1, 2), (1, 4))


@dataclass(frozen=True, slots=True)
class Version:
    """A borg release of a series that we know."""

    text: str
    series: tuple[int, int]


def supported(text: str) -> Version | None:
    """Read a release of a series that we know; None for any other text."""
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})\.[0-9A-Za-z.+-]{1,40}", text)
    series = (int(match[1]), int(match[2])) if match else (0, 0)
    return Version(text, series) if series in _SERIES else None


def check_version(launch: BorgCommand, version: Version) -> None:
    """Raise BorgctlError where the installed borg does not know an option of the launch."""
    for name, _ in launch.options:
        since = COMMANDS[launch.command].options[name].since
        if version.series < tuple(int(part) for part in since.split(".")):
            raise BorgctlError("borg-unsupported", f"--{name} came with borg {since}; here is {version.text}")


def opened_besides(launch: BorgCommand, version: Version) -> tuple[str, ...]:
    """Return the directories that this borg opens besides those of the launch: 1.2 the one above each path."""
    if version.series >= (1, 4):
        return ()
    return tuple(os.path.dirname(path.text) for path in launch.paths)
