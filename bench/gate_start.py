"""What a start of the gate costs: from its exec to a recorded refusal, against `borg --version`, in pairs.

    make setup
    .venv/bin/python bench/gate_start.py                 nine pairs
    .venv/bin/python bench/gate_start.py --pairs 31      more of them, for a busy machine
    .venv/bin/python bench/gate_start.py --borg PATH     another borg than the newest that is set up

The gate is this checkout's, installed as a client has it: byte-compiled, in a virtual environment with PyYAML and
nothing else. Its policy is `policy/jobs-only.yaml`, the request a job which that does not have, so policy, request and
audit log are all read, and the refusal is on disk. Each pair is the gate and then borg; a ratio is the gate's time by
borg's. The wall clock counts what else the machine does; CPU seconds (user and system) hardly do.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from typing import NamedTuple

import machine
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POLICY = f"{ROOT}/policy/jobs-only.yaml"
REQUEST = "run weekly"  # no job of that policy
STATUS = 77  # how such a refusal ends
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}


class Cost(NamedTuple):
    """What one process took from exec to its end, in seconds."""

    wall: float
    cpu: float


def install(directory: str) -> str:
    """Install this checkout's gate in a new virtual environment; return its interpreter."""
    venv.create(directory, symlinks=True)
    python = f"{directory}/bin/python3"
    packages = f"{directory}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for package in (f"{ROOT}/borgctl", os.path.dirname(yaml.__file__)):
        name = os.path.basename(package)
        shutil.copytree(package, f"{packages}/{name}", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-I", "-m", "compileall", "-q", packages], check=True)
    return python


def write_policy(directory: str) -> str:
    """Write the policy, with an audit log beside it; return its path."""
    path = f"{directory}/policy.yaml"
    with open(POLICY) as sample, open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"{sample.read()}\naudit: {{file: {directory}/audit.jsonl, syslog: no}}\n")
    return path


def measure(argv: list[str], status: int = 0, **variables: str) -> Cost:
    """Run one process to its end; its exit status must be this one."""
    with open(os.devnull, "r+b") as null:
        redirected = [(os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)]
        began = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, ENVIRONMENT | variables, file_actions=redirected)
        _, code, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(code) != status:
        sys.exit(f"{argv} ended with {os.waitstatus_to_exitcode(code)}, not {status}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def refuse(python: str, policy: str) -> Cost:
    """Have one request refused, with a new log, as a log takes so many refusals of a key an hour."""
    argv = [python, "-I", "-m", "borgctl.gate", "--policy", policy]
    cost = measure(argv, STATUS, SSH_ORIGINAL_COMMAND=REQUEST, SSH_CONNECTION="192.0.2.1 5000 192.0.2.2 22")
    log = f"{os.path.dirname(policy)}/audit.jsonl"
    with open(log) as file:
        (record,) = map(json.loads, file)
    assert (record["type"], record["reason"]) == ("refuse", "unknown-job"), record
    for path in glob.glob(f"{glob.escape(log)}*"):
        os.unlink(path)
    return cost


def summary(name: str, gate: list[float], borg: list[float]) -> str:
    """Return the median of the pairs' ratios, and both sides' medians and minima in milliseconds."""
    ratio = statistics.median(one / other for one, other in zip(gate, borg, strict=True))
    sides = (f"{statistics.median(side) * 1000:.1f} (least {min(side) * 1000:.1f})" for side in (gate, borg))
    least = min(gate) / min(borg)
    return f"{name}: median ratio {ratio:.3f}, of the least {least:.3f}; gate, borg in ms: {', '.join(sides)}"


def main() -> None:
    """Run the pairs and print each of them, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--borg", default=machine.newest_borg())
    asked = parser.parse_args()
    print(machine.describe(asked.borg), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        python, policy = install(f"{directory}/venv"), write_policy(directory)
        for _ in range(2):  # before it counts: all is in memory then
            refuse(python, policy)
            measure([asked.borg, "--version"])
        gate, borg = [], []
        for pair in range(1, asked.pairs + 1):
            gate.append(refuse(python, policy))
            borg.append(measure([asked.borg, "--version"]))
            wall, cpu = gate[-1].wall / borg[-1].wall, gate[-1].cpu / borg[-1].cpu
            print(f"pair {pair}: wall {wall:.3f}, CPU {cpu:.3f}", flush=True)
    print(summary("wall", [cost.wall for cost in gate], [cost.wall for cost in borg]))
    print(summary("CPU", [cost.cpu for cost in gate], [cost.cpu for cost in borg]))


if __name__ == "__main__":
    main()
