"""Paths: where the launcher keeps its targets, its state and its locks.

    CONFIG/targets/NAME.yaml    CONFIG/keys/NAME, NAME.pub  CONFIG/defaults.yaml    CONFIG-keys/NAME
    STATE/NAME.lock             STATE/NAME/borg             STATE/NAME/state.json
    STATE/host-id               STATE/run/…                 STATE/NAME/copies/…
    STATE/NAME/running          STATE/NAME/told.json        STATE/history.db
    STATE/digests

`workdirs` says what is in `STATE/run`, `repository/copies` what is in `copies`, `state/running` what is in `running`,
`state/told` what is in `told.json` and `digests`, `state/history_file` what is beside `history.db`.

    with lock(folders, TargetName("web1")): …
"""

import contextlib
import fcntl
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.fs import atomic
from borgctl.pull.targets.errors import PullError

ALPHABET = "letters, digits, '_', '.', '-', beginning with a letter or digit"
BUSY = "another borgpull works on it, or holds a window open: try again when that has ended"
CREDENTIAL = "borgpull"  # what our units call the folder of root's keys; systemd calls its files borgpull_NAME
SYSTEM = ("root", "borgpull")  # accounts whose directories are the system's, not in a home


@dataclass(frozen=True, slots=True)
class TargetName:
    """A target's name: 1 to 64 of a-z A-Z 0-9 _ . -, beginning with a letter or digit; not reserved."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.text):
            raise BadValue(f"bad target name {self.text[:80]!r}: expected up to 64 of {ALPHABET}")
        ours = self.text in ("run", "host-id", "digests") or self.text.startswith("history.db")
        if ours or self.text.endswith((".lock", ".pub", ".yaml")):
            raise BadValue(f"bad target name {self.text!r}: it is reserved for the launcher's own files")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths of characters that ssh_config(5) does not expand; raises PullError.

    `credentials` is where systemd has put the keys of this service, if it did (LoadCredential= in systemd.exec(5)).
    """

    config: str
    state: str
    credentials: str | None = None

    def __post_init__(self) -> None:
        for path in filter(None, (self.config, self.state, self.credentials)):
            if not re.fullmatch(r"/[A-Za-z0-9_./+@=-]+", path) or os.path.normpath(path) != path:
                raise PullError(
                    f"bad directory {path!r}: expected an absolute, normal path of letters, digits and _./+@=-"
                )

    @property
    def targets(self) -> str:
        """Return the directory of target files."""
        return f"{self.config}/targets"

    def target(self, name: TargetName) -> str:
        """Return the path of a target's file."""
        return f"{self.targets}/{name}.yaml"

    @property
    def defaults(self) -> str:
        """Return the path of the file that holds for all targets."""
        return f"{self.config}/defaults.yaml"

    @property
    def keys(self) -> str:
        """Return the directory of keys."""
        return f"{self.config}/keys"

    @property
    def root_keys(self) -> str:
        """Return the directory of keys that are root's. It is in none of ours, where we could put a link."""
        return f"{self.config}-keys"

    def key(self, name: TargetName) -> str:
        """Return the path of the key that `add` makes."""
        return f"{self.keys}/{name}"

    def identity(self, name: TargetName) -> str:
        """Return the path of the key to log in with: systemd's copy, where there is one."""
        copy = f"{self.credentials}/{CREDENTIAL}_{name}"
        return copy if self.credentials and os.path.exists(copy) else self.key(name)

    def memory(self, name: TargetName) -> str:
        """Return the path of the target's state."""
        return f"{self.state}/{name}/state.json"

    def told(self, name: TargetName) -> str:
        """Return the path of what was told of the target."""
        return f"{self.state}/{name}/told.json"

    @property
    def digests(self) -> str:
        """Return the path of which messages of the day were sent."""
        return f"{self.state}/digests"

    def running(self, name: TargetName) -> str:
        """Return the path of the file that says that a launcher is at work on the target."""
        return f"{self.state}/{name}/running"

    def copies(self, name: TargetName) -> str:
        """Return the directory of copies of the repository's small files."""
        return f"{self.state}/{name}/copies"

    @property
    def history(self) -> str:
        """Return the path of the file in which the runs of all targets are kept."""
        return f"{self.state}/history.db"

    def borg(self, name: TargetName) -> str:
        """Return BORG_BASE_DIR and HOME of the target's serve and compact."""
        return f"{self.state}/{name}/borg"


def own_account() -> pwd.struct_passwd:
    """Return the account that we run as; raise PullError where the user has none: ssh(1) would not start either."""
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        hint = "start it as a user who has one: runuser -u borgpull -- borgpull status"
        raise PullError(f"user number {os.geteuid()} has no account on this machine", hint) from None


def choose(config: str | None, state: str | None, environment: dict[str, str]) -> Folders:
    """Return the directories: the given ones, else the system's for root and borgpull, else XDG base directories."""
    user = own_account()
    if user.pw_name in SYSTEM:
        defaults = ("/etc/borgpull", "/var/lib/borgpull")
    else:
        defaults = (
            _xdg(environment, "XDG_CONFIG_HOME", f"{user.pw_dir}/.config"),
            _xdg(environment, "XDG_STATE_HOME", f"{user.pw_dir}/.local/state"),
        )
    folders = (os.path.abspath(config or defaults[0]), os.path.abspath(state or defaults[1]))
    return Folders(*folders, environment.get("CREDENTIALS_DIRECTORY") or None)


def repository(name: TargetName, environment: dict[str, str]) -> str:
    """Return where `add` puts a repository that the command line does not name."""
    user = own_account()
    if user.pw_name in SYSTEM:
        return f"/srv/borg/{name}"
    return f"{_xdg(environment, 'XDG_DATA_HOME', f'{user.pw_dir}/.local/share')}/{name}"


def _xdg(environment: dict[str, str], variable: str, default: str) -> str:
    """Read a base directory; a relative one is to be ignored (XDG Base Directory Specification)."""
    folder = environment.get(variable, "")
    return f"{folder.rstrip('/') if folder.startswith('/') else default}/borgpull"


def host_id(folders: Folders) -> str:
    """Return this launcher's name in borg's locks, made once; the machine's name and network card may change."""
    path = f"{folders.state}/host-id"
    while True:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii", errors="replace") as file:
            name = file.read(100)
            if re.fullmatch(r"borgpull@[0-9a-f]{32}", name):
                return name
            raise PullError(f"{path} is damaged: {name[:40]!r}", "remove it while no borgpull runs")
        atomic.directories(folders.state)
        with contextlib.suppress(FileExistsError):  # another launcher was first
            atomic.create(path, f"borgpull@{os.urandom(16).hex()}".encode("ascii"))


class Busy(PullError):  # noqa: N818 - reads as what it says where it is caught
    """Another launcher works on this target."""


@contextmanager
def lock(folders: Folders, name: TargetName) -> Iterator[None]:
    """Hold a target's lock; raise Busy at once if another launcher has it."""
    atomic.directories(folders.state)
    holder = os.open(f"{folders.state}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"target {str(name)!r} is busy", BUSY) from None
        yield
    finally:
        os.close(holder)
