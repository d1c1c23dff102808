"""Ordinary users for tests: real accounts of this machine with homes, and the package where they can run it.

    with person(directory, "alice") as alice:
        programs = install(directory / "borgctl")
        alice.run([programs / "borgctl", "lint"])

Only root can make a user, and become one. Where nobody is root, `ourselves` is the ordinary user.
"""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from machines import run

import borgctl

SYSTEM = "/usr/bin/python3"  # one that every user can run; ours may lie in root's home
_TWIN = f"/usr/bin/python3.{sys.version_info.minor}"  # one for which the compiled modules are good that we have
_LAUNCHER = """\
#!{python}
import sys
from {module} import main
sys.exit(main())
"""
_PROGRAMS = {"borgctl": "borgctl.cli.app", "borgpull": "borgctl.pull.app"}


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and what runs as that user: no capability, no other group, nothing of our environment."""

    name: str
    uid: int
    gid: int
    home: Path

    def options(self, path: str = "", **more: str) -> dict[str, Any]:
        """Return the options of Popen that make a child this user's; `path` comes first in its PATH."""
        env = {
            "PATH": f"{path}:/usr/bin:/bin".lstrip(":"),
            "HOME": str(self.home),
            "USER": self.name,
            "LANG": "C.UTF-8",
        }
        become = {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"env": env | more, "cwd": self.home, "umask": 0o022, **become}

    def run(self, argv: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as this user to its end."""
        return run(argv, **self.options() | options)

    def own(self, path: Path) -> None:
        """Give this user a tree; a link in it, not what it leads to."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-hR", f"{self.uid}:{self.gid}", path], check=True)


@contextlib.contextmanager
def person(directory: Path, role: str) -> Iterator[Person]:
    """Make a user with a home in this directory, for as long as the block lasts; root alone can."""
    name, home = f"bt{os.getpid()}-{role}", directory / f"home-{role}"
    made = ["useradd", "--create-home", "--home-dir", home, "--shell", "/bin/sh", "--password", "*", name]
    subprocess.run(["env", "-C", "/", *map(str, made)], check=True)
    try:
        home.chmod(0o755)
        account = pwd.getpwnam(name)
        yield Person(name, account.pw_uid, account.pw_gid, home)
    finally:
        subprocess.run(["userdel", name], check=True)


@contextlib.contextmanager
def somebody(directory: Path, role: str) -> Iterator[Person]:
    """Return an ordinary user with a directory for a home: one that is made, or us where we are one."""
    if os.geteuid() == 0:
        directory.chmod(0o711)
        with person(directory, role) as made:
            yield made
        return
    account = pwd.getpwuid(os.geteuid())
    home = directory / f"home-{role}"
    home.mkdir(mode=0o755)
    yield Person(account.pw_name, account.pw_uid, account.pw_gid, home)


def install(directory: Path, *, gate_alone: bool = False) -> Path:
    """Install the package and what it needs with the system's Python; return the directory of its programs.

    It is copied from where we run, so that nothing is fetched; what is typed wants modules that are compiled.
    """
    python = SYSTEM if gate_alone else _TWIN
    assert os.access(python, os.X_OK), f"no {python}: make .venv with the system's own Python"
    made = run([python, "-m", "venv", "--without-pip", directory])
    assert made.returncode == 0, made.stdout + made.stderr
    (packages,) = directory.glob("lib/python3.*/site-packages")
    shutil.copytree(Path(borgctl.__file__).parent, packages / "borgctl")
    for name in sorted(_needed("borgctl-gatekeeper", set() if gate_alone else {"cli"})):
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix in (".py", ".so") and "__pycache__" not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(distribution.locate_file(file), packages / file)
    for program, module in {} if gate_alone else _PROGRAMS.items():
        path = directory / "bin" / program
        path.write_text(_LAUNCHER.format(python=directory / "bin/python3", module=module))
        path.chmod(0o755)
    return directory / "bin"


def _needed(name: str, extras: set[str]) -> set[str]:
    """Return the distributions that one requires, and those that they do."""
    found: set[str] = set()
    for requirement in metadata.requires(name) or []:
        words, _, marker = requirement.partition(";")
        wanted = "extra ==" not in marker or set(re.findall(r"extra == ['\"](\w+)['\"]", marker)) & extras
        other = re.match(r"[\w.-]+", words.strip())
        if wanted and other and "platform_system" not in marker and "python_version <" not in marker:
            found |= {other[0]} | _needed(other[0], set())
    return found
