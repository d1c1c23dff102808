"""A launcher's world in a short temporary directory: folders, targets, a stand-in gate, real borg and ssh."""

import gc
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import machines
import pytest
from stage import SUPPORT

from borgctl.pull import app
from borgctl.pull.client import client_command
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.progress import Plain, View
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import run
from borgctl.pull.run.scheduler import result
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import Target, load
from borgctl.values import JobName

# A serve that says nothing, and notes a transaction where it was told to commit; its fourth argument is the repository.
SAVES = r"""grep -qa cleanup_commits && mkdir -p "$4" && n=$(date +%s%3N) && {
printf 'BORG_IDX\1\0\0\0\1\0\0\0\40\10'; head -c 32 /dev/zero; printf %s "$n" | tail -c 8; } >"$4/index.$n"
cat >/dev/null; exit 0"""  # an index whose one entry is the manifest, elsewhere each time
STANDIN = SUPPORT / "standin.py"


def program(name: str) -> str:
    """Return where a real program is; a machine without it cannot run these tests."""
    found = shutil.which(name)
    assert found, f"{name} is needed for these tests"
    return found


def reports(launcher: Launcher, target: Target, jobs: tuple[JobName, ...] = ()) -> list[RunReport]:
    """Run a target in this process, and return its reports."""
    told: list[RunReport] = []
    result(launcher, run(launcher, target, jobs, told.append))
    return told


@dataclass
class World:
    """Folders below one short directory, and what a test does with them."""

    root: Path
    folders: Folders
    screen: io.StringIO
    saves: str = SAVES

    def steps(self, steps: object) -> str:
        """Write what the stand-in shall do; return the path that is its 'policy'."""
        path = self.root / "steps.json"
        path.write_text(json.dumps(steps))
        return str(path)

    def target(self, name: str = "web1", **keys: object) -> Target:
        """Write a target file and load it."""
        repository = keys.pop("repository", self.root / "repo" / name)
        lines = {"repository": repository, "quota": "100M", **keys}
        os.makedirs(self.folders.targets, exist_ok=True)
        text = "".join(f"{key}: {value}\n" for key, value in lines.items())
        Path(self.folders.target(TargetName(name))).write_text(text)
        return load(self.folders, TargetName(name))

    def local(self, steps: object, name: str = "web1", **keys: object) -> Target:
        """Write a target of transport local whose gate plays `steps`."""
        keys.setdefault("jobs", "[default]")
        if keys["jobs"] is None:
            del keys["jobs"]
        repository = Path(str(keys.get("repository", self.root / "repo" / name)))
        runs = "run" in steps if isinstance(steps, dict) else bool(steps)
        if runs and not repository.exists():
            repository.mkdir(parents=True)
            (repository / "README").write_text("This is a Borg Backup repository.")
        return self.target(name, transport="local", policy=self.steps(steps), **keys)

    def standing(self, name: str, steps: object, **keys: object) -> str:
        """Write a target whose gate plays steps of its own; return its name."""
        path = self.root / f"{name}.json"
        path.write_text(json.dumps(steps))
        repository = self.root / "repo" / name
        repository.mkdir()
        (repository / "README").write_text("This is a Borg Backup repository.")
        fixed = {"transport": "local", "policy": path, "jobs": "[default]", "borg": self.quiet_serve()}
        self.target(name, **fixed | keys)
        return name

    def quiet_serve(self) -> str:
        """Write a serve that says nothing, and notes a transaction where it was told to commit; return its path."""
        path = self.root / "serve"
        path.write_text(f"#!/bin/sh\n{SAVES}\n")
        path.chmod(0o755)
        return str(path)

    def run(self, target: Target, patience: Timeouts | None = None) -> list:
        """Run a target in this process, with an admin's patience unless told otherwise; return the reports."""
        with Stop() as stop:
            return reports(self.launcher(stop, patience), target)

    def launcher(self, stop: Stop, patience: Timeouts | None = None, deadline: float = math.inf) -> Launcher:
        """Return a launcher in this process, with an admin's patience unless told otherwise."""
        return Launcher(self.folders, View(Plain(self.screen)), stop, patience or Timeouts(), deadline=deadline)

    def argv(self, *words: str) -> list[str]:
        """Return a command line of borgpull in these folders."""
        return ["borgpull", "--config-dir", self.folders.config, "--state-dir", self.folders.state, *words]

    def start(
        self,
        *words: str,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
        closed: bool = False,
        before: str = "",
    ) -> subprocess.Popen:
        """Start borgpull as a process of its own, whose gate is the stand-in; its 0, 1 and 2 may be closed.

        `before` is code that it runs first.
        """
        driver = (
            f"{before}\nimport sys; from borgctl.pull import app\nfrom borgctl.pull.client import client_command\n"
            f"client_command.GATE = (sys.executable, '-I', {str(STANDIN)!r})\n"
            f"sys.argv = {self.argv(*words)!r}\napp.main()"
        )
        argv = [sys.executable, "-c", driver]
        if closed:
            argv = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *argv]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env)


@pytest.fixture(autouse=True)
def watch() -> Iterator[None]:
    """Every test fails when a process below it is still there after its fixtures are gone."""
    watch = machines.Watch()
    yield
    watch.assert_no_process()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give a world whose local gate is the stand-in; afterwards nothing may be left in its state."""
    monkeypatch.setattr(client_command, "GATE", (sys.executable, "-I", str(STANDIN)))
    root = Path(tempfile.mkdtemp(prefix="bp"))
    (root / "repo").mkdir()
    yield World(root, Folders(f"{root}/config", f"{root}/state"), io.StringIO())
    workdirs = root / "state" / "run"
    left = list(workdirs.iterdir()) if workdirs.exists() else []
    shutil.rmtree(root)
    assert not left, f"left behind: {left}"


@pytest.fixture
def borgpull(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs a command line in this process and returns status, stdout and stderr."""

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", world.argv(*words))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app.main()
        gc.unfreeze()  # this process goes on
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return command


@pytest.fixture
def borg() -> str:
    """Give the real borg."""
    return program("borg")


@pytest.fixture
def repository(world: World, borg: str) -> Path:
    """Give an empty repository without encryption."""
    path = world.root / "repo" / "web1"
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init")}
    subprocess.run([borg, "init", "-e", "none", str(path)], env=env, check=True, capture_output=True)
    return path
