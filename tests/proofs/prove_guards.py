"""Take each guard out, in a copy of the tree, and demand that its test fails: `make prove-guards`.

    python tests/proofs/prove_guards.py [--jobs N] [--verbose] [ID …]

A row is caught where its test passes on the tree as it is, and with the patch pytest says that this very test failed:
not that it could not be collected, was skipped, or came upon a name that is not there. The working tree is only read.
"""

import argparse
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import guards
from guards import TOP, BadRow, Row

from borgctl.process import process_tree

SECONDS = 400  # for one test, with what it sets up
LEFT_OUT = (".venv", ".git", "__pycache__", "dist", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache")
_OURS: set[int] = set()  # the tests that are waited for
_STARTING = threading.Lock()
_ADOPTING = threading.Event()  # what tests have left becomes our child
# A patch that makes no sense fails any test, and shows nothing
NONSENSE = "NameError|ImportError|ModuleNotFoundError|SyntaxError|UnboundLocalError|IndentationError"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a row: `told` is what was wrong, "" where the loss was caught; `said` is how the test failed."""

    row: Row
    told: str
    said: str

    @property
    def caught(self) -> bool:
        """Whether the test holds what the row says."""
        return not self.told


@dataclass(frozen=True, slots=True)
class Case:
    """One test that pytest ran: its name as in its report, its outcome, and what it said where that was not good."""

    name: str
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class Results:
    """What pytest said: its exit status, and each test that it came to."""

    status: int
    cases: tuple[Case, ...] = ()

    @classmethod
    def read(cls, report: Path, status: int) -> "Results":
        """Read pytest's report of JUnit's form; one that is not there has no tests."""
        try:
            found = list(ElementTree.parse(report).getroot().iter("testcase"))
        except (OSError, ElementTree.ParseError):
            return cls(status)
        cases = []
        for case in found:
            ends = [child for child in case if child.tag in ("failure", "error", "skipped")]
            name = f"{case.get('classname')}.{case.get('name')}"
            cases += [Case(name, end.tag, end.get("message") or "") for end in ends] or [Case(name, "passed", "")]
        return cls(status, tuple(cases))

    def of(self, test: str) -> list[Case]:
        """Return the cases of one test, all of its parameters."""
        file, _, names = test.partition("::")
        name = f"{file.removesuffix('.py').replace('/', '.')}.{names.replace('::', '.')}"
        return [case for case in self.cases if case.name == name or case.name.startswith(f"{name}[")]


@contextmanager
def room() -> Iterator[Path]:
    """Hold a directory that other users may look into, as some tests' other users have to."""
    path = Path(tempfile.mkdtemp(prefix="guards-"))
    try:
        path.chmod(0o755)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copied(tree: Path, place: Path, left_out: Sequence[str] = (".venv",)) -> Path:
    """Copy a tree to `place`, with an environment in which `borgctl` is that copy; return `place`."""
    shutil.copytree(tree, place, ignore=shutil.ignore_patterns(*left_out), symlinks=True)
    _environment(place)
    return place


def _environment(place: Path) -> None:
    """Make a virtual environment in moments: the copy stands before the packages of ours, whose .pth is not read."""
    ours, new = Path(sys.prefix), place / ".venv"
    packages = next(path for path in map(Path, sys.path) if path.name == "site-packages" and ours in path.parents)
    site = new / packages.relative_to(ours)
    site.mkdir(parents=True)
    (new / "bin").mkdir()
    shutil.copy(ours / "pyvenv.cfg", new / "pyvenv.cfg")
    interpreter = Path(sys.executable).name
    for name in {interpreter, "python", "python3"}:
        (new / "bin" / name).symlink_to(os.path.realpath(sys.executable))
    (site / "tree.pth").write_text(f"{place}\n{packages}\n")
    for name in ("borgctl", "borgpull"):
        text = (ours / "bin" / name).read_text()
        (new / "bin" / name).write_text(re.sub(r"\A#!.*", f"#!{new}/bin/python", text))
        (new / "bin" / name).chmod(0o755)


def tested(place: Path, report: Path, *tests: str, first: bool) -> Results:
    """Run tests in a copy and return what pytest said of them, or up to the first that fails."""
    options = ("-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0", "-q", "--junitxml", str(report))
    stop = ("-x",) if first else ()
    argv = [f"{place}/.venv/bin/python", "-m", "pytest", *options, *stop, *tests]
    env = {**os.environ, "PYTEST_DEBUG_TEMPROOT": str(place.parent), "VIRTUAL_ENV": f"{place}/.venv"}
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        env.pop(name, None)  # bytecode goes into the copy, and what is started there starts sooner
    null = subprocess.DEVNULL
    with _STARTING:
        process = subprocess.Popen(
            argv, cwd=place, env=env, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        _OURS.add(process.pid)
    pidfd = os.pidfd_open(process.pid)
    try:
        late = not select.select([pidfd], [], [], SECONDS)[0]
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it, where it is late, and what a test without its guard has left
        status = process.wait()
        os.close(pidfd)
        _reap(process.pid)
    return Results.read(report, -signal.SIGKILL if late else status)


def _reap(ended: int) -> None:
    """Reap what tests have left and has ended: it is ours to reap, and counts as its user's processes until then."""
    with _STARTING:
        _OURS.discard(ended)
        for task in os.listdir("/proc/self/task") if _ADOPTING.is_set() else ():
            for pid in map(int, Path(f"/proc/self/task/{task}/children").read_text().split()):
                if pid not in _OURS:
                    with suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)


def standing(rows: Sequence[Row], whole: Path, pool: ThreadPoolExecutor) -> dict[str, str]:
    """Run every row's test as things are; return for each why it shows nothing, "" where it passes."""
    tests = list(dict.fromkeys(row.test for row in rows))
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)

    def ran(number: int, together: list[str]) -> dict[str, str]:
        results = tested(whole, whole.parent / f"whole-{number}.xml", *together, first=False)
        return {test: _shows_nothing(results, test) for test in together}

    said = pool.map(ran, range(len(files)), files.values())
    return {test: why for some in said for test, why in some.items()}


def _shows_nothing(results: Results, test: str) -> str:
    cases = results.of(test)
    if not cases:
        return f"the test does not run as things are: pytest ended with {results.status}"
    if failed := [case.message for case in cases if case.outcome in ("failure", "error")]:
        return f"the test does not pass as things are: {failed[0]:.200}"
    return "the test is skipped here" if any(case.outcome == "skipped" for case in cases) else ""


def taken_out(row: Row, whole: Path) -> Proof:
    """Try one row without its guard, in a copy that has the bytecode of all the rest already."""
    place = whole.parent / row.id
    try:
        file = copied(whole, place) / row.file
        file.write_text(guards.patched(row, file.read_text("utf-8")), "utf-8")
        results = tested(place, whole.parent / f"{row.id}.xml", row.test, first=True)
    except BadRow as error:
        return Proof(row, str(error), "")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    failures = [case.message for case in results.of(row.test) if case.outcome == "failure"]
    return Proof(row, _uncaught(results.status, failures), failures[0].partition("\n")[0] if failures else "")


def _uncaught(status: int, failures: Sequence[str]) -> str:
    """Return why the guard's loss was not caught, "" where it was."""
    if status == 0:
        return "NOT CAUGHT: the test passes without the guard"
    if status != 1 or not failures:
        return f"no failure but an error: pytest ended with {status}"
    if any(re.match(rf"(?:{NONSENSE})\b", failure) for failure in failures):
        return f"the patch makes no sense: {failures[0]:.100}"
    return ""


def proofs(rows: Sequence[Row], jobs: int) -> Iterator[Proof]:
    """Prove rows, `jobs` at a time; yield what came of each, in their order."""
    with room() as above, ThreadPoolExecutor(jobs) as pool:
        try:
            whole = copied(TOP, above / "whole", LEFT_OUT)
            nothing = standing(rows, whole, pool)
            for proof in pool.map(lambda row: taken_out(row, whole), rows):
                yield replace(proof, told=nothing[proof.row.test] or proof.told)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main(words: list[str]) -> int:
    """Prove the rows that are named, or all; print the table, and return 0 where every one is caught."""
    parser = argparse.ArgumentParser(description="Take each guard out, in a copy, and see its test fail.")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time")
    parser.add_argument("-v", "--verbose", action="store_true", help="say how each test failed")
    parser.add_argument("ids", nargs="*", metavar="ID")
    asked = parser.parse_args(words)
    table = guards.rows()
    if unknown := set(asked.ids) - {row.id for row in table}:
        parser.error(f"no guard {min(unknown)!r}")
    process_tree.adopt_orphans()
    _ADOPTING.set()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    begun, chosen, caught = time.monotonic(), [row for row in table if not asked.ids or row.id in asked.ids], 0
    try:
        for proof in proofs(chosen, asked.jobs):
            caught += proof.caught
            print(f"{'yes' if proof.caught else 'NO '} {proof.row.id:28} {proof.row.test}", flush=True)
            if told := proof.told or (asked.verbose and proof.said):
                print(f"    {told}", flush=True)
    finally:
        process_tree.kill_descendants()
    print(f"{caught} of {len(chosen)} guards caught, {time.monotonic() - begun:.0f} s")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
