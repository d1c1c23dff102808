"""The two real borgs, as a test finds them by name: a test fails, and does not skip, where one is missing."""

import glob
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Borg:
    """A real borg: its path, the Python that runs it, its series as '1.4', its release in that as 5."""

    path: str
    python: str
    series: str
    release: int


def find(series: str, variable: str, otherwise: str | None) -> Borg:
    path = os.environ.get(variable) or otherwise
    if not path or not os.access(path, os.X_OK):
        pytest.fail(f"no borg {series} here: run 'make setup', or name one in {variable}", pytrace=False)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    if not (match := re.fullmatch(rf"borg {re.escape(series)}\.([0-9]+)\S*\n", said)):
        pytest.fail(f"{path} says {said!r}, and not that it is a borg {series}", pytrace=False)
    first_line = Path(path).read_bytes().split(b"\n")[0].decode()
    return Borg(path, first_line.removeprefix("#!").split()[0], series, int(match[1]))


def newest_14() -> str | None:
    """Return the borg 1.4.5 that 'make setup' has built, if it has."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return next(iter(glob.glob(f"{glob.escape(cache)}/borgctl/borg-1.4.5*/bin/borg")), None)
