"""What a start of the launcher costs: `borgpull --version` against a bare Python, and a run as far as its processes.

    make setup
    .venv/bin/python bench/launcher_start.py                 nine pairs and nine runs
    .venv/bin/python bench/launcher_start.py --pairs 31      more of them, for a busy machine
    .venv/bin/python bench/launcher_start.py --tree DIR      the launcher of another checkout, to compare two

The launcher is this checkout's, installed as a server has it: byte-compiled, in a virtual environment with what the
package needs for it. It pulls from a client on this machine, through a real sshd, with real borgs; between two runs
nothing changes. A run's times are from the launcher's exec to ssh's and to serve's, seen in /proc within a millisecond
or two. CPU seconds are those of the launcher alone: those until ssh's exec hardly count what else the machine does.
Peaks of memory (VmHWM) are read every few milliseconds, so the last moment is missing.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import machine

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{ROOT}/tests/support")

from machines import Sshd, scratch  # noqa: E402
from pair import Pair, with_a_repository  # noqa: E402

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
SCRIPT = "#!{python}\nimport sys\nfrom borgctl.pull.app import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
MARKS = {"ssh": b"/ssh\0-T\0", "serve": b"\0serve\0--append-only\0", "guard": b"borgctl.pull.repository.rpc_guard\0"}
_OFTEN, _SELDOM = 0.001, 0.005  # seconds


class Start(NamedTuple):
    """One run: seconds to ssh's and serve's exec and of the whole; the launcher's CPU seconds; peaks in MiB."""

    ssh: float
    serve: float
    wall: float
    cpu_to_ssh: float
    cpu_to_serve: float
    cpu: float
    launcher: float
    guard: float


def install(directory: str, tree: str) -> str:
    """Install a checkout's launcher in a new virtual environment; return the environment's folder of programs."""
    venv.create(directory, symlinks=True)
    packages = f"{directory}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for name in needed("borgctl-gatekeeper", {"cli"}) - {"borgctl-gatekeeper"}:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and not file.name.endswith(".pyc"):
                os.makedirs(f"{packages}/{file.parent}", exist_ok=True)
                shutil.copy(file.locate(), f"{packages}/{file}")
    shutil.copytree(f"{tree}/borgctl", f"{packages}/borgctl", ignore=shutil.ignore_patterns("__pycache__"))
    python = f"{directory}/bin/python3"
    subprocess.run([python, "-I", "-m", "compileall", "-q", packages], check=True)
    program = Path(f"{directory}/bin/borgpull")
    program.write_text(SCRIPT.format(python=python))
    program.chmod(0o755)
    return f"{directory}/bin"


def needed(distribution: str, extras: set[str]) -> set[str]:
    """Return the installed distributions that one needs, itself among them."""
    found = {distribution}
    for text in importlib.metadata.requires(distribution) or ():
        name, _, marker = text.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        name = re.match(r"[A-Za-z0-9._-]+", name)[0]  # type: ignore[index]
        if (extra is None or extra[1] in extras) and name not in found:
            try:
                importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:  # for another system or Python
                continue
            found |= needed(name, set())
    return found


def measure(argv: list[str]) -> float:
    """Return the CPU seconds of one process, which must end well."""
    with open(os.devnull, "r+b") as null:
        redirected = [(os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)]
        pid = os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=redirected)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{argv} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def programs_of(pid: int) -> dict[str, int]:
    """Return the children of a launcher that have become ssh, serve or guard (execve(2)), by these names."""
    found = {}
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        for child in children:
            with open(f"/proc/{child}/cmdline", "rb") as file:
                words = file.read()
            found |= {name: int(child) for name, mark in MARKS.items() if mark in words}
    except OSError:  # one of them has ended
        pass
    return found


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process, which may have ended, unless somebody waited for it."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def peak(pid: int) -> float:
    """Return the peak of a process's memory in MiB, 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def pull(pair: Pair, programs: str) -> Start:
    """Pull once, and return what it took."""
    pair.client.wait_for_a_new_name()
    argv = [f"{programs}/borgpull", *pair.server.borgpull("run", "web1")[1:]]
    with open(os.devnull, "r+b") as null:
        redirected = [(os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)]
        began = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=redirected)
    times: dict[str, tuple[float, float]] = {}
    launcher = guard = 0.0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        children = programs_of(pid)
        for name in children:
            times.setdefault(name, (time.perf_counter() - began, cpu(pid)))
        launcher, guard = max(launcher, peak(pid)), max(guard, peak(children.get("guard", 0)))
        time.sleep(_SELDOM if len(times) == len(MARKS) else _OFTEN)
    wall = time.perf_counter() - began
    used = cpu(pid)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"{argv} ended with {os.waitstatus_to_exitcode(status)}")
    (ssh, cpu_to_ssh), (serve, cpu_to_serve) = times["ssh"], times["serve"]
    return Start(ssh, serve, wall, cpu_to_ssh, cpu_to_serve, used, launcher, guard)


def summary(name: str, values: list[float], unit: str) -> str:
    """Return the median and the least of values."""
    return f"{name}: median {statistics.median(values):.1f} {unit}, least {min(values):.1f}"


def main() -> None:
    """Run the pairs, then the runs, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--borg", default=machine.newest_borg())
    parser.add_argument("--tree", default=ROOT)
    asked = parser.parse_args()
    print(machine.describe(asked.borg), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        programs = install(f"{directory}/venv", asked.tree)
        version, bare = [f"{programs}/borgpull", "--version"], [f"{programs}/python3", "-I", "-c", "pass"]
        for argv in (version, bare):  # before it counts: all is in memory then
            measure(argv)
        pairs = [(measure(version), measure(bare)) for _ in range(asked.pairs)]
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"borgpull --version by a bare Python, CPU: median ratio {ratio:.2f}")
        print(summary("borgpull --version, CPU", [one * 1000 for one, _ in pairs], "ms"))
        print(summary("a bare Python, CPU", [other * 1000 for _, other in pairs], "ms"), flush=True)
        with scratch() as place, Sshd(place / "sshd") as sshd:
            pair = with_a_repository(place, sshd, SimpleNamespace(path=asked.borg), "stdio")
            pair.set("jobs", "[default]")
            for _ in range(2):
                pull(pair, programs)
            runs = [pull(pair, programs) for _ in range(asked.pairs)]
    names = ["ssh's exec after", "serve's exec after", "the whole run"]
    names += ["the launcher's CPU until ssh's exec", "until serve's exec", "of the whole run"]
    for name, values in zip(names, list(zip(*runs, strict=True))[: len(names)], strict=True):
        print(summary(name, [value * 1000 for value in values], "ms"))
    for name, peaks in (("launcher", [run.launcher for run in runs]), ("guard", [run.guard for run in runs])):
        print(f"peak memory of the {name}: {max(peaks):.1f} MiB")


if __name__ == "__main__":
    main()
