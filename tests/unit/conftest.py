"""What the unit tests share: `stage` can be imported, and every test finds the two real borgs by name."""

import glob
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# Tests say `from stage import …`.
sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True, slots=True)
class Borg:
    """A real borg: its path, the Python that runs it, its series as '1.4', its release in that as 5."""

    path: str
    python: str
    series: str
    release: int


def _find(series: str, variable: str, otherwise: str | None) -> Borg:
    path = os.environ.get(variable) or otherwise
    if not path or not os.access(path, os.X_OK):
        pytest.fail(f"no borg {series} here: run 'make setup', or name one in {variable}", pytrace=False)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    if not (match := re.fullmatch(rf"borg {re.escape(series)}\.([0-9]+)\S*\n", said)):
        pytest.fail(f"{path} says {said!r}, and not that it is a borg {series}", pytrace=False)
    first_line = Path(path).read_bytes().split(b"\n")[0].decode()
    return Borg(path, first_line.removeprefix("#!").split()[0], series, int(match[1]))


@pytest.fixture(scope="session")
def borg_14():
    """borg 1.4.5; a test fails, and does not skip, where it is missing."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = next(iter(glob.glob(f"{glob.escape(cache)}/borgctl/borg-1.4.5*/bin/borg")), None)
    return _find("1.4", "BORGCTL_BORG_14", found)


@pytest.fixture(scope="session")
def borg_12():
    """The borg of Debian 12."""
    return _find("1.2", "BORGCTL_BORG_12", "/usr/bin/borg")
