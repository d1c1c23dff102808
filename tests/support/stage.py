"""The stage of the unit tests: fixed facts, the corpora, and policies made from text.

policy = written(tmp_path, "version: 1\\n…")      for policy, wire, expected in lines("allowed.txt"): …
"""

import gc
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from borgctl.policy import load
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.policy.placeholders import Names

TOP = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
CORPORA = TOP / "tests/corpora"
NOW = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
FACTS = Facts(Names("web1", "", NOW))
ROOT = os.geteuid() == 0


def written(directory: Path, text: str, name: str = "policy.yaml") -> Policy:
    """Write a policy where the gate may read it, and read it."""
    file = directory / name
    file.write_text(text, encoding="utf-8")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return load.read(str(file))


def requests(name: str) -> list[tuple[str, int, str]]:
    """Return (policy's name, line number, line) of each request in a file of the corpus."""
    policy, found = "", []
    for number, line in enumerate((CORPORA / "requests" / name).read_text("ascii").splitlines(), 1):
        if line.startswith("["):
            policy = line[1:-1]
        elif line and not line.startswith("#"):
            found.append((policy, number, line))
    return found


def outcome(kind, call, *arguments):
    """Return what a call returns, or the exception of this kind that it raises."""
    try:
        return call(*arguments)
    except kind as error:
        return error


def wire(text: str) -> bytes:
    r"""Return the bytes of a line of the corpora, in which \xHH and \\ stand for one byte."""
    pattern = rb"\\(\\|x[0-9a-f]{2})"
    return re.sub(pattern, lambda m: b"\\" if m[1] == b"\\" else bytes.fromhex(m[1][1:].decode()), text.encode())


def policies(directory: Path) -> dict[str, Policy]:
    """Return the policies of the corpus of requests, by name."""
    files = (CORPORA / "requests").glob("*.yaml")
    return {file.stem: written(directory, file.read_text("utf-8"), file.name) for file in files}


def descriptors() -> set[str]:
    """Return our open descriptors, but for what earlier tests have left to the garbage collector."""
    gc.collect()
    return set(os.listdir("/proc/self/fd"))
