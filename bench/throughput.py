"""What the relay and the guard cost for each GB that they move, against nc and socat with the same bytes, in turn.

    make setup
    .venv/bin/python bench/throughput.py                           a small one, to see that it runs
    .venv/bin/python bench/throughput.py --size full --rounds 7    1.2 GB in 20,512 puts, as borg writes them
    .venv/bin/python bench/throughput.py --json FILE               the figures, for a program

One process plays borg: it writes legal messages of a `borg create` (`bench/messages.py`) into the mover's stdin.
Another plays the server: it takes them from the relay's two pipes, as sshd has them, or from a unix socket, and
answers each put. It reads no message and writes nothing to disk. nc and socat are started as the published scripts
start them, with a socket. The guard has a socket before it and a pipe behind it, and there are no answers, as they do
not pass the guard. The clock runs from the first put to the last answer (with the guard, to the last byte). CPU seconds
are those of the mover, with its start. A GB is 10^9 bytes.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator

import machine
from messages import BIG, Talk
from streams import Cost, by_program, by_relay, one_way

from borgctl.pull.repository.guard_process import PROGRAM

PLENTY = ("--quota", str(1 << 40), "--puts", str(1 << 30), "--commits", "1000")


def movers(talk: Talk, repository: str) -> dict[str, dict[str, Callable[[str], Cost]]]:
    """Return what moves a stream into a directory of its own: of the relay and of the guard, ours first."""
    guard = (*PROGRAM, "--repository", repository, "--session", "create", *PLENTY)
    return {
        "relay": {
            "relay": lambda directory: by_relay(directory, talk, "stdio"),
            "relay, socket": lambda directory: by_relay(directory, talk, "socket"),
            "nc": lambda directory: by_program(directory, talk, "nc", "-N", "-U", "{}"),
            "socat": lambda directory: by_program(directory, talk, "socat", "-", "UNIX-CONNECT:{}"),
        },
        "guard": {
            "guard": lambda directory: one_way(directory, talk, *guard),
            "nc": lambda directory: one_way(directory, talk, "nc", "-d", "-U", "{}"),
            "socat": lambda directory: one_way(directory, talk, "socat", "-u", "STDIN", "STDOUT"),
        },
    }


def compare(size: str, rounds: int, place: str | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Return for relay and guard what each mover does: medians, and those of the pairs' ratios, its by ours."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as directory:
        repository = f"{directory}/repository"
        os.mkdir(repository)
        talk = Talk(repository, size)
        for part, candidates in movers(talk, repository).items():
            costs: dict[str, list[Cost]] = {name: [] for name in candidates}
            for number, (name, move) in itertools.product(range(rounds + 1), candidates.items()):
                with tempfile.TemporaryDirectory(dir=directory) as own:
                    cost = move(own)
                if number:  # the first round brings all into memory
                    costs[name].append(cost)
            result[part] = {name: summary(costs[part], costs[name]) for name in candidates}
    return result


def summary(ours: list[Cost], theirs: list[Cost]) -> dict[str, float]:
    """Return the medians of a mover's figures, and of ours by its: throughput and CPU seconds."""
    figures = [cost.figures for cost in theirs]
    medians = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    pairs = list(zip(ours, theirs, strict=True))
    throughput = statistics.median(other.wall / own.wall for own, other in pairs)
    return medians | {"times": throughput, "cpu_ratio": statistics.median(own.cpu / other.cpu for own, other in pairs)}


def lines(result: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield the result as text."""
    for part, candidates in result.items():
        for name, figures in candidates.items():
            line = f"{part}: {name}: {figures['mb_per_s']:.0f} MB/s, {figures['cpu_s_per_gb']:.2f} CPU s per GB"
            if name != part:
                line += f"; the {part} has {figures['times']:.2f} x its throughput"
                line += f" and {figures['cpu_ratio']:.2f} x its CPU"
            yield line


def main() -> None:
    """Measure, and print or write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=BIG, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", default=None, help="where sockets are made (default: TMPDIR)")
    parser.add_argument("--json", default=None, metavar="FILE")
    asked = parser.parse_args()
    described = machine.describe(machine.newest_borg())
    print(described, flush=True)
    result = compare(asked.size, asked.rounds, asked.directory)
    print("\n".join(lines(result)))
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(
                {"machine": described, "size": asked.size, "rounds": asked.rounds, "parts": result}, file, indent=1
            )


if __name__ == "__main__":
    main()
