"""What many targets cost the launcher: 300 pulled in one call, 30 at once, and 3,000 of which none is due.

    make setup
    .venv/bin/python bench/fleet.py                              300 targets over ssh, 300 of transport local
    .venv/bin/python bench/fleet.py --targets 6 --parallel 3 --idle 30      a small run, to see that all of it runs

Each target is a client of its own on this machine, behind one sshd: policy, base, key and repository, a tree of a few
files and a real borg. Every run must end well. Printed are the wall seconds by run, the launcher's own CPU seconds by
run and its peak of memory (VmHWM, read every few milliseconds), and what a call costs in which nothing is due.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import machine
from launcher_start import cpu, peak
from measure import Failed, carry_out, machines

from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import Folders, TargetName

_ROOM = "MaxStartups 200:30:400"  # sshd's own limit of connections that have not logged in
_OFTEN = 0.01  # seconds


class Call(NamedTuple):
    """One call of the launcher: wall and CPU seconds of its own process, its peak in MiB, its reports."""

    wall: float
    cpu: float
    peak: float
    reports: list[dict[str, object]]


def add(server: machines.Server, sshd: machines.Sshd, borg: str, name: str, transport: str) -> str:
    """Make a client, and its target with a repository that has been made; return its key line."""
    repository = server.repositories / name
    client = machines.Client(server.directory / "clients" / name, repository, borg=borg)
    target = server.config / "targets" / f"{name}.yaml"
    target.parent.mkdir(exist_ok=True)
    lines = [f"repository: {repository}", "quota: 1G", f"borg: {borg}", "jobs: {default: {every: 1d}}"]
    if transport == "local":
        client.policy(transports=["stdio", "local"])
        target.write_text("\n".join([*lines, "transport: local", f"policy: {client.policy_file}", ""]))
        return ""
    keys = server.config / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    key = machines.keypair(keys, name)
    host = [f"host: {sshd.user}@127.0.0.1", f"port: {sshd.port}", f"host_key: {sshd.host_key}"]
    target.write_text("\n".join([*lines, *host, ""]))
    return machines.key_line(key, client.command(key))


def call(server: machines.Server, *words: str) -> Call:
    """Call the launcher; end the benchmark where it or one of its runs does not end well."""
    out = server.directory / "reports"
    with out.open("wb") as file, open(os.devnull, "r+b") as null:
        argv = server.borgpull("run", *words, "--json")
        redirected = [(os.POSIX_SPAWN_DUP2, fd.fileno(), number) for fd, number in ((null, 0), (file, 1), (null, 2))]
        began = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=redirected)
        most = 0.0
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            most = max(most, peak(pid))
            time.sleep(_OFTEN)
    wall, used = time.monotonic() - began, cpu(pid)
    _, status = os.waitpid(pid, 0)
    reports = [json.loads(line) for line in out.read_text().splitlines()]
    bad = [report for report in reports if report["outcome"] != "ok"]
    if status or bad:
        raise Failed(f"{argv} ended with {os.waitstatus_to_exitcode(status)}; {len(bad)} bad runs, one is {bad[:1]}")
    return Call(wall, used, most, reports)


def fleet(asked: argparse.Namespace, directory: Path, transport: str) -> None:
    """Pull all targets over one transport, first to make their repositories, then at once, and print what it took."""
    with machines.Sshd(directory / "sshd", extra=[_ROOM]) as sshd:
        server = machines.Server(directory / "server")
        names = [f"host{number:04}" for number in range(asked.targets)]
        sshd.replace_keys(*filter(None, [add(server, sshd, asked.borg, name, transport) for name in names]))
        parallel = ("--all", "--parallel", str(asked.parallel))
        call(server, *parallel, "--job", "init")
        done = call(server, *parallel)
        if sorted(str(report["target"]) for report in done.reports) != names:
            raise Failed(f"{transport}: of {len(names)} targets {len(done.reports)} have a report")
        each = f"{done.wall / len(names):.2f} s and {done.cpu / len(names) * 1000:.0f} ms of the launcher's CPU a run"
        print(f"{transport}: {len(names)} targets, {asked.parallel} at once: {done.wall:.1f} s; {each}")
        print(f"{transport}: peak memory of the launcher: {done.peak:.1f} MiB", flush=True)


def idle(asked: argparse.Namespace, directory: Path) -> None:
    """Call the launcher for many targets of which none is due, and print what it took."""
    server = machines.Server(directory)
    folders, good = Folders(str(server.config), str(server.state)), Past(time.time() - 60, "ok")
    Path(folders.targets).mkdir()
    for number in range(asked.idle):
        name = TargetName(f"host{number:04}")
        lines = [f"repository: {server.repositories}/{name}", "host: root@192.0.2.1", "jobs: {default: {every: 1d}}"]
        Path(folders.target(name)).write_text("\n".join([*lines, "quota: 1G", ""]))
        state_file.save(folders, name, State(jobs={"default": JobRecord(good, good, command="create")}))
    done = call(server, "--all", "--due")
    if done.reports:
        raise Failed(f"{len(done.reports)} of {asked.idle} targets ran, and none was due")
    print(f"{asked.idle} targets of which none is due: {done.wall:.2f} s, CPU {done.cpu:.2f} s, {done.peak:.1f} MiB")


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=300)
    parser.add_argument("--parallel", type=int, default=30)
    parser.add_argument("--idle", type=int, default=3000)
    parser.add_argument("--borg", default=machine.newest_borg())
    asked = parser.parse_args()
    print(machine.describe(asked.borg), flush=True)
    for transport in ("ssh", "local"):
        with machines.scratch() as directory:
            fleet(asked, directory, transport)
    with machines.scratch() as directory:
        idle(asked, directory)


if __name__ == "__main__":
    carry_out(main)
