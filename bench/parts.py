"""What the parts of a run cost, each by itself: the gate's way to borg's exec, hello, the policy, the audit log.

    make setup
    .venv/bin/python bench/parts.py                        a small one, to see that it runs
    .venv/bin/python bench/parts.py --size full            31 rounds; nothing else should run on the machine
    .venv/bin/python bench/parts.py --json FILE            the figures, for a program

`gate to borg` runs a job whose borg is a Python script that notes the time and ends. It stands where the newest borg
does its work: the same interpreter, the same libraries to check. In the same round that script is started by itself,
and its time is taken off. `hello` is a whole call, and `borg --version` runs in the same round. Policy and log are
measured in this process: `policy load` reads `policy/jobs-only.yaml`, `audit append` puts records on the disk, one by
one. The relay and the guard have a program of their own (`bench/throughput.py`).
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine

from borgctl.audit.log import Log
from borgctl.policy import load
from borgctl.wire import gate_argv

ROUNDS = {"small": 3, "full": 31}
RECORDS = {"small": 20, "full": 500}
POLICY = Path(__file__).parents[1] / "policy/jobs-only.yaml"
SSH = {"SSH_CONNECTION": "192.0.2.1 5000 192.0.2.2 22"}
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
# The version of a borg that the gate takes; else the moment, which a record keeps where borg fails
STAND_IN = """#!{python} -IS
import sys, time
if sys.argv[1:] == ["--version"]:
    print("borg 1.4.5")
else:
    sys.exit("at %.6f." % time.monotonic())
"""


class Client:
    """A client's files in a directory, with a borg that does nothing; jobs and hello are asked by a gate's exec."""

    def __init__(self, directory: str, borg: str) -> None:
        here = Path(directory)
        for name in ("base", "log", "source"):
            (here / name).mkdir(mode=0o700)
        with open(borg) as script:
            python = script.readline().removeprefix("#!").split()[0]
        self.stand_in = here / "borg"
        self.stand_in.write_text(STAND_IN.format(python=python))
        self.stand_in.chmod(0o755)
        here.chmod(0o711)  # borg runs as another user where the gate is root
        secret = here / "passphrase"
        secret.write_text("x\n")
        secret.chmod(0o600)
        self.policy = here / "policy.yaml"
        keys = {
            "version": 1,
            "repositories": {"/srv/borg/web1": {"encryption": "required"}},
            "passphrase": {"file": str(secret)},
        }
        keys |= {"jobs": {"default": {"paths": [str(here / "source")]}}, "borg": str(self.stand_in), "user": "64123"}
        keys |= {"base": str(here / "base"), "audit": {"file": str(here / "log/audit.jsonl"), "syslog": False}}
        self.policy.write_text(json.dumps(keys | {"sandbox": "prefer"}))  # JSON is YAML
        self.policy.chmod(0o600)
        self.log = here / "log"

    def ask(self, request: str) -> tuple[float, float, str]:
        """Have the gate carry out a request; return when it began and ended, and what it said and recorded."""
        began = time.monotonic()
        argv = gate_argv.build(str(self.policy), "SHA256:" + "A" * 43)
        env = ENVIRONMENT | SSH | {"SSH_ORIGINAL_COMMAND": request}
        done = subprocess.run(argv, env=env, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        ended = time.monotonic()
        recorded = (self.log / "audit.jsonl").read_text()
        for file in self.log.iterdir():  # else so many runs an hour would be too many
            file.unlink()
        return began, ended, done.stderr.decode() + recorded

    def to_borg(self) -> float:
        """Return the seconds from the gate's exec to borg's, less what borg takes from there to its first line."""
        began, _, said = self.ask("run default")
        alone = time.monotonic()
        line = subprocess.run([str(self.stand_in), "x"], env=ENVIRONMENT, check=False, capture_output=True, text=True)
        return moment(said) - began - (moment(line.stderr) - alone)


def moment(said: str) -> float:
    """Return the moment that the stand-in wrote."""
    found = re.search(r"at ([0-9]+\.[0-9]+)\.", said)
    if found is None:
        sys.exit(f"borg was not started: {said}")
    return float(found[1])


def seconds(act: Callable[[], object]) -> float:
    """Return what a call takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def children() -> float:
    """Return the CPU seconds of all our children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def measure(size: str, borg: str, directory: str) -> dict[str, float]:
    """Return the medians of all parts."""
    client = Client(directory, borg)
    starts, hellos, versions, ratios, loads = [], [], [], [], []
    for number in range(ROUNDS[size] + 1):
        start = client.to_borg()
        before = children()
        began, ended, said = client.ask("hello")
        if '"outcome": "ok"' not in said:
            sys.exit(f"hello was not answered: {said}")
        between = children()
        version = seconds(lambda: subprocess.run([borg, "--version"], check=True, capture_output=True))
        ratio = (between - before) / (children() - between)
        loaded = seconds(lambda: load.read(str(POLICY)))
        if number:  # the first round brings all into memory
            starts.append(start)
            hellos.append(ended - began)
            versions.append(version)
            ratios.append(ratio)
            loads.append(loaded)
    log = Log.open(f"{directory}/records/audit.jsonl", syslog=False)
    record = {"type": "exit", "run": "0" * 16, "policy": str(POLICY), "outcome": "ok", "code": 0}
    appended = seconds(lambda: [log.append(record) for _ in range(RECORDS[size])])
    return {
        "gate_to_borg_ms": statistics.median(starts) * 1000,
        "hello_ms": statistics.median(hellos) * 1000,
        "borg_version_ms": statistics.median(versions) * 1000,
        "hello_by_borg_version": statistics.median(h / v for h, v in zip(hellos, versions, strict=True)),
        "hello_cpu_by_borg_version": statistics.median(ratios),
        "policy_load_ms": statistics.median(loads) * 1000,
        "audit_records_per_s": RECORDS[size] / appended,
    }


def main() -> None:
    """Measure, and print or write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=ROUNDS, default="small")
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--directory", default=None, help="where the client's files are made (default: TMPDIR)")
    parser.add_argument("--json", default=None, metavar="FILE")
    asked = parser.parse_args()
    described = machine.describe(asked.borg)
    print(described, flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as directory:
        result = measure(asked.size, asked.borg, directory)
    for name, value in result.items():
        print(f"{name}: {value:.3f}")
    if asked.json:
        Path(asked.json).write_text(json.dumps({"machine": described, "size": asked.size, "parts": result}, indent=1))


if __name__ == "__main__":
    main()
