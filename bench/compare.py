"""Compare the ways to back up, side by side, on one machine: `make bench`.

    make bench                                            1 GiB of random in 16 files, 20,000 small files; five rounds
    make bench BENCH="--data usr --rounds 7"              a copy of /usr; or: --data tiny, 200,000 tiny files
    make bench BENCH="--only scripts,stdio --json FILE"   two of them
    make bench-smoke                                      a small tree, once: only to see that all of it runs

A round is every contender in turn: a first backup, a second with nothing changed, a third with 1 % of the files and
bytes changed, and a restore of everything, which is compared with the tree. One more round looks at memory, and does
not count. What is known is written after each round. The contenders are in bench/contenders.py.

Needs a real sshd and borg, and socat, nc and sshfs; those that are not there, or have no FUSE, are left out and named.
Free space: four times the data. Nothing else may run on the machine: the load at the beginning is printed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import machine
from arena import Arena, Contender
from chart import draw
from contenders import CONTENDERS
from measure import Failed, Step, carry_out, machines, measure, own_network
from results import PHASES, Results
from trees import NAMES, Tree, change, grow

SSHD_SETTINGS = [
    "AcceptEnv BORG_SOCKET BORG_REPOPATH",
    "Subsystem sftp /usr/lib/openssh/sftp-server",
    "SetEnv SHLVL=2",  # or bash, started by sshd, reads the login user's own start-up file in each session
]
NEEDS = {"scripts": ("socat", "nc"), "socat": ("socat",), "sshfs": ("sshfs", "fusermount3", "mountpoint")}


def missing(name: str) -> str | None:
    """Return what a contender needs and this machine has not."""
    for program in NEEDS.get(name, ()):
        if shutil.which(program) is None:
            return program
    if name == "sshfs" and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse"
    return None


def compare(arena: Arena, names: list[str], tree: Tree, data: str, rounds: int) -> Iterator[Results]:
    """Run all rounds, and tell what goes on on stderr; yield the results after each. The last looks at memory."""
    results = Results(machine.describe(arena.borg), data, *tree.size())
    for number in range(1, rounds + 2):
        memory = number > rounds
        for name in names:
            tell(f"round {number} of {rounds}: {name}" if not memory else f"memory: {name}")
            with fresh_directory(arena.directory):
                for phase, step in steps(CONTENDERS[name](arena), arena, tree, f"{number} {name}", memory=memory):
                    if memory:
                        results.add_memory(name, phase, step)
                    if not memory or not rounds:
                        results.add(name, phase, step)
        tell("")
        yield results


@contextmanager
def fresh_directory(path: Path) -> Iterator[None]:
    """Make a private directory, which is gone afterwards."""
    path.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(path)


def steps(contender: Contender, arena: Arena, tree: Tree, seed: str, *, memory: bool) -> Iterator[tuple[str, Step]]:
    """Measure the phases of one contender; yield each one's name and what it took."""
    for number, phase in enumerate(list(PHASES)[:-1], 1):
        if phase == "changed":
            change(tree, seed)
        yield phase, measure(contender.create(number), arena.sshd, contender.side, memory=memory)
    into = Path(f"{tree.path}-restored")
    with fresh_directory(into):
        commands = contender.restore(3, str(into))
        yield "restore", measure(commands, arena.sshd, contender.side, memory=memory)
        verify(tree, str(into))


def verify(tree: Tree, into: str) -> None:
    """Compare the restored files with the tree, byte by byte; raise Failed where they differ."""
    whole = f"{into}{tree.path}"
    restored = whole if os.path.isdir(whole) else into  # sshfs leaves the path out
    done = subprocess.run(
        ["diff", "-rq", "--no-dereference", tree.path, restored], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"what was restored differs: {done.stdout[:2000]}{done.stderr[:2000]}")


def tell(text: str) -> None:
    """Show on a terminal what goes on, one line over the other; elsewhere line by line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=NAMES, default="random")
    parser.add_argument(
        "--rounds", type=int, default=5, help="those that count; 0: show the last, which looks at memory"
    )
    parser.add_argument("--only", metavar="NAME,…", help=f"of: {', '.join(CONTENDERS)}")
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--json", metavar="FILE", help="write every measured step")
    parser.add_argument("--svg", metavar="FILE", help="write the chart")
    parser.add_argument("--directory", help="where everything is made (default: TMPDIR)")
    asked = parser.parse_args()
    names = asked.only.split(",") if asked.only else list(CONTENDERS)
    if unknown := [name for name in names if name not in CONTENDERS]:
        parser.error(f"no contender {', '.join(unknown)} (there are: {', '.join(CONTENDERS)})")
    for name in [name for name in names if missing(name)]:
        print(f"left out: {name}, as there is no {missing(name)}")
        names.remove(name)
    if not own_network():
        print("no network namespace of our own: bytes over the wire are all that this machine's loopback carries")
    with (
        machines.tidy(),
        tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as directory,
        machines.Sshd(Path(directory, "sshd"), extra=SSHD_SETTINGS) as sshd,
    ):
        tree = grow(f"{directory}/tree", asked.data)
        arena = Arena(tree.path, asked.borg, sshd, Path(directory, "run"))
        for results in compare(arena, names, tree, asked.data, asked.rounds):
            if asked.json:
                Path(asked.json).write_text(results.json())
            if asked.svg:
                Path(asked.svg).write_text(draw(results))
    print("\n".join(results.table()))


if __name__ == "__main__":
    carry_out(main)
