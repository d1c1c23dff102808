"""What the guard costs: a first backup to `borg serve`, without the guard and with it, in pairs.

    make setup
    .venv/bin/python bench/rpc_guard.py                            a small one, to see that it runs
    .venv/bin/python bench/rpc_guard.py --size full --pairs 7      1 GiB in 16 files and 20,000 small ones; 3 GB free
    .venv/bin/python bench/rpc_guard.py --borg PATH                another borg than the newest that is set up

Each run is a `borg create` with a new cache to a new repository (repokey-blake2), and a `borg serve` started as the
launcher starts it. In both runs of a pair the client's bytes come over a unix socket pair; with the guard they go on
from there through a pipe of 1 MiB. There is no ssh, which would cost the same in both and hide the difference. Times
are the whole `borg create`; the guard's CPU seconds are its own, its start included; a GB has 10^9 bytes. Nothing else
may run on the machine: the load before the first pair is printed.
"""

import argparse
import fcntl
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import machine

RSH = "this-benchmark"  # BORG_RSH: what borg would start instead of ssh, and `Popen` below takes for our server
BIG = {"small": (4, 8 << 20), "full": (16, 64 << 20)}  # files, bytes of each
LITTLE = {"small": 500, "full": 20_000}  # files of 0.1 to 9 KB
PLENTY = ("--quota", str(1 << 40), "--puts", str(1 << 30), "--commits", "1000")
PIPE = 1 << 20  # bytes
GB = 10**9


class Run(NamedTuple):
    """One backup: seconds of the whole, the guard's CPU seconds and bytes (0 without it)."""

    wall: float
    cpu: float
    bytes: int


def server(guarded: str, report: str, *serve: str) -> None:
    """Be the server of one backup: fd 0 the client's bytes, fd 1 its answers. Write down what the guard used."""
    if guarded == "without":
        subprocess.run(serve, check=True)
        return
    from borgctl.pull.repository.guard_process import PROGRAM  # noqa: PLC0415 - it is not there in borg's interpreter

    passed, sink = os.pipe()
    fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PIPE)
    argv = [*PROGRAM, "--repository", serve[-1], "--session", "create", *PLENTY]
    guard = subprocess.Popen(argv, stdout=sink, stderr=subprocess.PIPE)
    child = subprocess.Popen(serve, stdin=passed)
    os.close(passed)
    os.close(sink)
    assert guard.stderr is not None
    *refused, end = map(json.loads, guard.stderr)
    _, status, usage = os.wait4(guard.pid, 0)
    guard.returncode = os.waitstatus_to_exitcode(status)
    assert not refused and guard.returncode == child.wait() == 0, refused
    with open(report, "w") as file:
        json.dump({"cpu": usage.ru_utime + usage.ru_stime, "bytes": end["bytes"]}, file)


def client(python: str, guarded: str, report: str, serve: str, *words: str) -> None:
    """Be borg, in its own interpreter, with our server (run by `python`) in the place of its ssh."""
    real = subprocess.Popen

    class Popen(real):  # type: ignore[type-arg, misc]
        def __init__(self, args: list[str], *more: object, **options: Any) -> None:  # noqa: ANN401
            if args[0] != RSH:
                super().__init__(args, *more, **options)
                return
            ours, theirs = socket.socketpair()
            with theirs:
                argv = [python, __file__, "server", guarded, report, *json.loads(serve)]
                super().__init__(argv, *more, **options | {"stdin": theirs})
            self.stdin = ours  # borg asks it for its descriptor and closes it

    subprocess.Popen = Popen  # type: ignore[misc]
    from borg import archiver  # type: ignore[import-not-found]  # noqa: PLC0415 - after that

    sys.argv = ["borg", *words]
    archiver.main()


def run(argv: list[str], env: dict[str, str]) -> None:
    """Run a borg to its end; what it said is printed only where it failed."""
    result = subprocess.run(argv, env=env, check=False, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{argv} ended with {result.returncode}: {result.stderr}")


def backup(borg: str, tree: str, guarded: str) -> Run:
    """Make one first backup in a new directory beside the tree, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(tree)) as directory, open(borg) as script:
        interpreter = script.readline().removeprefix("#!").split()
        repository, report = f"{directory}/repo", f"{directory}/report"
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "BORG_BASE_DIR": directory, "HOME": directory}
        env |= {"BORG_PASSPHRASE": "x", "BORG_RSH": RSH, "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        run([borg, "init", "--encryption=repokey-blake2", repository], env)
        serve = [borg, "serve", "--append-only", "--umask=0077", "--storage-quota=1T", "--restrict-to-path"]
        serve += [repository, "--restrict-to-repository", repository]
        argv = [*interpreter, __file__, "client", sys.executable, guarded, report, json.dumps(serve)]
        os.sync()
        began = time.monotonic()
        run([*argv, "create", f"ssh://server{repository}::first", tree], env)
        wall = time.monotonic() - began
        if guarded == "without":
            return Run(wall, 0.0, 0)
        with open(report) as file:
            used = json.load(file)
        return Run(wall, used["cpu"], used["bytes"])


def grow(tree: str, size: str) -> None:
    """Write the tree: random data, so that nothing is left out or made smaller."""
    draw = random.Random(8)  # noqa: S311
    os.mkdir(tree)
    number, length = BIG[size]
    sizes = [length] * number + [draw.randrange(100, 9_000) for _ in range(LITTLE[size])]
    for at, length in enumerate(sizes):
        os.makedirs(f"{tree}/{at // 1000}", exist_ok=True)
        with open(f"{tree}/{at // 1000}/{at}", "wb") as file:
            file.write(draw.randbytes(length))


def main() -> None:
    """Run the pairs and print each of them, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=BIG, default="small")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--directory", default=None, help="where data and repositories are made (default: TMPDIR)")
    asked = parser.parse_args()
    print(machine.describe(asked.borg), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as directory:
        tree = f"{directory}/tree"
        grow(tree, asked.size)
        for guarded in ("without", "with"):  # once each before it counts: all is in memory then
            backup(asked.borg, tree, guarded)
        ratios, costs = [], []
        for pair in range(1, asked.pairs + 1):
            without, guarded_run = backup(asked.borg, tree, "without"), backup(asked.borg, tree, "with")
            ratios.append(guarded_run.wall / without.wall)
            costs.append(guarded_run.cpu / guarded_run.bytes * GB)
            print(
                f"pair {pair}: {without.wall:.2f} s without, {guarded_run.wall:.2f} s with, ratio {ratios[-1]:.3f};",
                f"the guard: {guarded_run.cpu:.2f} CPU s for {guarded_run.bytes:,} bytes, {costs[-1]:.2f} s per GB",
                flush=True,
            )
    print(f"median: ratio {statistics.median(ratios):.3f}, the guard {statistics.median(costs):.2f} CPU s per GB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server", *words]:
            server(*words)
        case ["client", *words]:
            client(*words)
        case _:
            main()
