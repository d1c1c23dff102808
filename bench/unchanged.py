"""Compare ways to back up where nothing has changed, one right after the other.

    .venv/bin/python bench/unchanged.py                                   push, the scripts, stdio; 20 rounds, 5 minutes
    .venv/bin/python bench/unchanged.py --only push,stdio,no-sandbox      the first is what the others are divided by
    .venv/bin/python bench/unchanged.py --data small --rounds 1           a small tree, to see that it runs

Such a run takes seconds, and two of compare.py's are minutes apart. In minutes a shared machine becomes faster or
slower by more than the ways differ. Here each way has its first backup at the beginning, in a place and with an sshd of
its own. Then all take turns, and each round begins with another one.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import machine
from arena import Arena, Contender
from compare import SSHD_SETTINGS, missing, tell
from contenders import CONTENDERS
from measure import SIDES, Step, carry_out, machines, measure, own_network
from trees import NAMES, grow

Entrant = tuple[Arena, Contender]


def enter(directory: str, name: str, tree: str, borg: str, stack: ExitStack) -> Entrant:
    """Return a contender behind its first backup."""
    place = Path(directory, name)
    sshd = stack.enter_context(machines.Sshd(Path(directory, f"{name}-sshd"), extra=SSHD_SETTINGS))
    place.mkdir(mode=0o700)
    arena = Arena(tree, borg, sshd, place)
    contender = CONTENDERS[name](arena)
    measure(contender.create(1), sshd, contender.side)
    return arena, contender


def rounds(entrants: dict[str, Entrant], number: int) -> dict[str, list[Step]]:
    """Return the steps of each contender, in the order of rounds."""
    names = list(entrants)
    steps: dict[str, list[Step]] = {name: [] for name in names}
    for turn in range(number):
        tell(f"round {turn + 1} of {number}")
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            arena, contender = entrants[name]
            steps[name].append(measure(contender.create(turn + 2), arena.sshd, contender.side))
    tell("")
    return steps


def table(steps: dict[str, list[Step]]) -> list[str]:
    """Return the medians of each contender, and its ratios to the first, pair by pair."""
    first = next(iter(steps))
    heads = ["wall s", f"by {first}", "middle half", *(f"CPU s {side}" for side in SIDES)]
    lines = [f"{'':<14}" + "".join(f"{head:>14}" for head in heads)]
    for name, own in steps.items():
        ratios = [step.wall / other.wall for step, other in zip(own, steps[first], strict=True)]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        cells = [f"{median(step.wall for step in own):.2f}", f"{median(ratios):.3f}", f"{low:.2f} to {high:.2f}"]
        cells += [f"{median(step.cpu[side] for step in own):.2f}" for side in SIDES]
        lines.append(f"{name:<14}" + "".join(f"{cell:>14}" for cell in cells))
    return lines


def main() -> None:
    """Read the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME,…", default="push,scripts,stdio", help=f"of: {', '.join(CONTENDERS)}")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--data", choices=NAMES, default="little")
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--directory", help="where everything is made (default: TMPDIR)")
    asked = parser.parse_args()
    names = asked.only.split(",")
    for name in names:
        if name not in CONTENDERS:
            parser.error(f"no contender {name} (there are: {', '.join(CONTENDERS)})")
        if missing(name):
            parser.error(f"{name} needs {missing(name)}")
    own_network()
    with (
        machines.tidy(),
        tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as directory,
        ExitStack() as stack,
    ):
        tree = grow(f"{directory}/tree", asked.data)
        print(machine.describe(asked.borg), flush=True)
        entrants = {name: enter(directory, name, tree.path, asked.borg, stack) for name in names}
        print("\n".join(table(rounds(entrants, asked.rounds))))


if __name__ == "__main__":
    carry_out(main)
