"""Folders: where the launcher keeps what it knows and what it needs while it runs.

    CONFIG/targets/NAME.yaml    CONFIG/keys/NAME, NAME.pub
    STATE/NAME.lock             STATE/NAME/borg             STATE/NAME/state.json    STATE/run/…

`STATE/run` has one private directory for each launcher that is alive, with a file `owner` that it keeps locked; what a
launcher that was killed left behind is cleared by the next one.

    with room(folders) as path: …           # 0700, gone afterwards
    with lock(folders, TargetName("web1")): …
"""

import fcntl
import os
import pwd
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from borgctl.errors import BadValue
from borgctl.pull.errors import PullError

_OWN = ("root", "borgpull")  # accounts whose folders are the system's, not somebody's home


@dataclass(frozen=True, slots=True)
class TargetName:
    """A target's name: 1 to 64 of a-z A-Z 0-9 _ . -, beginning with a letter or digit; 'run' is a folder of ours."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.text):
            raise BadValue(f"bad target name {self.text[:80]!r}: expected up to 64 letters, digits, '_', '.', '-'")
        if self.text == "run" or self.text.endswith((".lock", ".pub", ".yaml")):
            raise BadValue(f"bad target name {self.text!r}: it is kept for the launcher's own files")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Folders:
    """Two absolute paths of characters that ssh_config(5) does not expand; raises PullError."""

    config: str
    state: str

    def __post_init__(self) -> None:
        for path in (self.config, self.state):
            if not re.fullmatch(r"/[A-Za-z0-9_./+@=-]+", path) or os.path.normpath(path) != path:
                raise PullError(
                    f"bad folder {path!r}: expected an absolute, normal path of letters, digits and _./+@=-"
                )

    @property
    def targets(self) -> str:
        """Return the folder of target files."""
        return f"{self.config}/targets"

    def target(self, name: TargetName) -> str:
        """Return the path of a target's file."""
        return f"{self.targets}/{name}.yaml"

    def key(self, name: TargetName) -> str:
        """Return the path of the key that `add` makes."""
        return f"{self.config}/keys/{name}"

    def memory(self, name: TargetName) -> str:
        """Return the path of the target's state."""
        return f"{self.state}/{name}/state.json"

    def borg(self, name: TargetName) -> str:
        """Return BORG_BASE_DIR and HOME of the target's serve and compact."""
        return f"{self.state}/{name}/borg"


def choose(config: str | None, state: str | None, environment: dict[str, str]) -> Folders:
    """Return the folders: as asked, else the system's for root and borgpull, else those of the XDG base directories."""
    account = pwd.getpwuid(os.geteuid())
    if account.pw_name in _OWN:
        defaults = ("/etc/borgpull", "/var/lib/borgpull")
    else:
        defaults = (
            _xdg(environment, "XDG_CONFIG_HOME", f"{account.pw_dir}/.config"),
            _xdg(environment, "XDG_STATE_HOME", f"{account.pw_dir}/.local/state"),
        )
    return Folders(os.path.abspath(config or defaults[0]), os.path.abspath(state or defaults[1]))


def repository(name: TargetName, environment: dict[str, str]) -> str:
    """Return where `add` puts a repository if not told."""
    account = pwd.getpwuid(os.geteuid())
    if account.pw_name in _OWN:
        return f"/srv/borg/{name}"
    return f"{_xdg(environment, 'XDG_DATA_HOME', f'{account.pw_dir}/.local/share')}/{name}"


def _xdg(environment: dict[str, str], variable: str, default: str) -> str:
    """Read a base directory; a relative one is to be ignored (XDG Base Directory Specification)."""
    folder = environment.get(variable, "")
    return f"{folder.rstrip('/') if folder.startswith('/') else default}/borgpull"


def make(path: str) -> list[str]:
    """Make a directory and those above it, 0700 each; return what was made, outermost first."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    made: list[str] = []
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # somebody made it meanwhile
            continue
        made.append(path)
    return made


@contextmanager
def room(folders: Folders) -> Iterator[str]:
    """Hold a private directory below STATE/run, after clearing those of launchers that are gone."""
    parent = f"{folders.state}/run"
    make(parent)
    path = f"{parent}/{secrets.token_hex(4)}"
    gate = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for name in os.listdir(gate):
            _clear(f"{parent}/{name}")
        os.mkdir(path, 0o700)
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
    finally:
        os.close(gate)
    try:
        yield path
    finally:
        shutil.rmtree(path)
        os.close(owner)


def _clear(path: str) -> None:
    """Remove a room if nobody holds its owner file; a room without one was left half made."""
    try:
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(owner)


class Busy(PullError):  # noqa: N818 - reads as what it says where it is caught
    """Another launcher works on this target."""


@contextmanager
def lock(folders: Folders, name: TargetName) -> Iterator[None]:
    """Hold a target's lock; raise Busy at once if another launcher has it."""
    make(folders.state)
    holder = os.open(f"{folders.state}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"target {str(name)!r} is busy", "wait for the other borgpull to end") from None
        yield
    finally:
        os.close(holder)
