"""What the proofs share: how long they go on, where the two real borgs are, and one line about what was done.

Small by default. `BORGCTL_PROVE=1` makes them long (minutes each; the storm a quarter of an hour),
`BORGCTL_SEED=NUMBER` draws other cases.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST = 3600  # seconds for one proof at full length
PROVE = os.environ.get("BORGCTL_PROVE") == "1"
SEED = int(os.environ.get("BORGCTL_SEED", "20261123"))

# Proofs say `from generated import …`.
sys.path.insert(0, str(HERE))


@dataclass(slots=True)
class Proof:
    """How much to do, and what was done."""

    seed: int = SEED
    full: bool = PROVE
    began: float = field(default_factory=time.monotonic)

    def size(self, small, full):
        """Return one of the two sizes."""
        return full if self.full else small

    def say(self, name, **numbers):
        """Print one line: what was counted, the seed, how long it took."""
        counted = ", ".join(f"{value:,} {noun.replace('_', ' ')}" for noun, value in numbers.items())
        if self.full:
            print(f"\nproof of {name}: {counted}; seed {self.seed}, {time.monotonic() - self.began:.0f} s")


@pytest.fixture
def proof():
    """The length of this proof; at full length, the alarm of all tests is put off."""
    if PROVE:
        signal.alarm(LONGEST)
    return Proof()


@pytest.fixture(scope="module")
def parsers(borg_14, borg_12):
    """The parsers of both borgs, each in a process of its own, by series."""
    from borgs import Parser

    with Parser(borg_14) as newer, Parser(borg_12) as older:
        yield {borg_14.series: newer, borg_12.series: older}
