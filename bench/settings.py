"""What an administrator can set, and what each setting changes: pairs of a pull with the default and one with another.

    .venv/bin/python bench/settings.py                       all of them, with a copy of /usr/share, three pairs
    .venv/bin/python bench/settings.py --only zstd,10 --pairs 5

Compression: a first backup; its repository is measured, too. files-cache: a backup after every file was copied, so that
inodes and change times are new and the data is not. Checkpoints: a first backup that writes one every two seconds (a
policy allows 300 seconds and more), with borg alone. nice: a first backup while two processes compute, and how much
these get done in a second of it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import machine
from arena import Arena
from compare import SSHD_SETTINGS, fresh_directory, tell
from contenders import Plain
from measure import Command, Step, carry_out, machines, measure, own_network
from ours import ours
from trees import NAMES, Tree, grow, renew

COMPRESSION = ("none", "zstd,1", "zstd,3", "zstd,10", "auto,zstd,10")
CHECKPOINTS = "checkpoints"  # every two seconds
NO_NICE = "no nice"
NEW_INODES = "mtime,size"
INTERVAL = 2  # seconds between two checkpoints
COUNT = """
import signal, sys, time
began, done = time.monotonic(), 0
def end(*_):
    print(done / (time.monotonic() - began))
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    done += 1
"""


class Sample(NamedTuple):
    """A step, and what else was looked at: bytes of the repository, or the neighbours' work in a second."""

    step: Step
    other: float


def compression(arena: Arena, tree: Tree, value: str) -> Sample:
    """Measure a first backup with a compression."""
    contender = ours(arena, value, options={"compression": value})
    step = measure(contender.create(1), arena.sshd, contender.side)
    return Sample(step, size_of(contender.repository))


def new_inodes(arena: Arena, tree: Tree, value: str) -> Sample:
    """Measure a backup of a tree whose files were all copied since the last one."""
    contender = ours(arena, value, options={"files-cache": value})
    measure(contender.create(1), arena.sshd, contender.side)
    renew(tree)
    return Sample(measure(contender.create(2), arena.sshd, contender.side), 0)


def checkpoints(arena: Arena, tree: Tree, value: str) -> Sample:
    """Measure a first backup of borg alone, with a checkpoint interval in seconds."""
    plain = Plain(arena)
    words = [arena.borg, "create", "--checkpoint-interval", value, f"{plain.repository}::1", tree.path]
    return Sample(measure([Command("client", words, plain.env)], None, "server"), 0)


def neighbours(arena: Arena, tree: Tree, value: str) -> Sample:
    """Measure a first backup beside two busy processes, with the policy's `limits`."""
    limits = {"nice": 0, "ionice": "none"} if value == NO_NICE else {"nice": 10, "ionice": "idle"}
    contender = ours(arena, value, limits=limits)
    commands = contender.create(1)
    with busy() as work:
        step = measure(commands, arena.sshd, contender.side)
    return Sample(step, work())


SETTINGS: dict[str, tuple[Callable[[Arena, Tree, str], Sample], str, str, str]] = {
    **{value: (compression, "lz4", value, "repository") for value in COMPRESSION},
    NEW_INODES: (new_inodes, "ctime,size,inode", NEW_INODES, ""),
    CHECKPOINTS: (checkpoints, "1800", str(INTERVAL), ""),
    NO_NICE: (neighbours, "nice 10", NO_NICE, "neighbours"),
}


@contextmanager
def busy() -> Iterator[Callable[[], float]]:
    """Keep two processes busy; give what returns their work in a second, once they have ended."""
    argv = [sys.executable, "-I", "-c", COUNT]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    rates: list[float] = []
    try:
        yield lambda: sum(rates)
    finally:
        for child in running:
            child.terminate()
            rates.append(float(child.communicate()[0]))


def size_of(repository: str) -> int:
    """Return the bytes of a repository's files."""
    return sum(entry.stat().st_size for entry in Tree(repository).files())


def main() -> None:
    """Measure the pairs, and print the medians of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=NAMES, default="share")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", metavar="SETTING", action="append", choices=SETTINGS)
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--directory", help="where everything is made (default: TMPDIR)")
    asked = parser.parse_args()
    own_network()
    with (
        machines.tidy(),
        tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as directory,
        machines.Sshd(Path(directory, "sshd"), extra=SSHD_SETTINGS) as sshd,
    ):
        tree = grow(f"{directory}/tree", asked.data)
        number, size = tree.size()
        print(machine.describe(asked.borg))
        print(f"data: {asked.data}, {number:,} files, {size:,} bytes; {asked.pairs} pairs")
        arena = Arena(tree.path, asked.borg, sshd, Path(directory, "run"))
        for name in asked.only or SETTINGS:
            print(line(name, tree, arena, asked.pairs), flush=True)


def line(name: str, tree: Tree, arena: Arena, pairs: int) -> str:
    """Measure the pairs of one setting; return its line."""
    act, default, value, other = SETTINGS[name]
    found = []
    for pair in range(pairs):
        tell(f"{name}: pair {pair + 1} of {pairs}")
        samples = []
        for setting in (default, value):
            with fresh_directory(arena.directory):
                samples.append(act(arena, tree, setting))
        found.append(samples)
    tell("")
    ratios = {
        "wall": [changed.step.wall / plain.step.wall for plain, changed in found],
        "client's CPU": [changed.step.cpu["client"] / plain.step.cpu["client"] for plain, changed in found],
    }
    if other:
        ratios[other] = [changed.other / plain.other for plain, changed in found]
    seconds = median(plain.step.wall for plain, _ in found), median(changed.step.wall for _, changed in found)
    words = ", ".join(f"{title} {median(values):.2f}" for title, values in ratios.items())
    return f"{value} against {default}: {seconds[1]:.2f} s against {seconds[0]:.2f} s; ratios: {words}"


if __name__ == "__main__":
    carry_out(main)
