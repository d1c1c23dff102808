"""Installation: what a unit has to know of one borgpull: its program, its user, its folders, and what its runs write.

This module knows no systemd.

    Installation.default().program == "/opt/borgctl/bin/borgpull"
    read(folders, environment)      # this one
"""

import os
import shutil
import sys
from collections.abc import Mapping

from borgctl.data_class import dataclass
from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath
from borgctl.pull.targets import owner, paths
from borgctl.pull.targets.defaults import TARGET
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.owner import Account
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import load, load_defaults, names


@dataclass(frozen=True, slots=True)
class Installation:
    """One borgpull. `user` owns its folders; `own`: an ordinary user's, whose own systemd or crontab starts it.

    `writable` are directories that runs write into, besides the state. `needed` are other places that runs need.
    `local`: a target is this machine itself. `keys`: root alone chooses what is at the path of root's keys.
    """

    program: str
    user: str
    own: bool
    folders: Folders
    writable: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    local: bool = False
    keys: bool = True

    @classmethod
    def default(cls) -> "Installation":
        """Return the README's: a server that runs as user borgpull."""
        folders = Folders("/etc/borgpull", "/var/lib/borgpull")
        return cls("/opt/borgctl/bin/borgpull", "borgpull", False, folders, ("/srv/borg",))

    @property
    def root(self) -> bool:
        """Tell whether it runs as root."""
        return self.user == "root"

    def argv(self, *words: str) -> list[str]:
        """Return a command line of this borgpull."""
        return [self.program, "--config-dir", self.folders.config, "--state-dir", self.folders.state, *words]

    def needs(self, *places: str) -> bool:
        """Tell whether a run needs something in one of these directories."""
        needed = (self.program, self.folders.config, self.folders.state, *self.writable, *self.needed)
        return any(f"{path}/".startswith(f"{place}/") for path in needed for place in places)


def read(folders: Folders, environment: Mapping[str, str]) -> Installation:
    """Return the installation that this process is part of; raise PullError where a target file is wrong."""
    account = owner.account(folders)
    targets = [load(folders, TargetName(name)) for name in names(folders)]
    program = _program()
    repositories = [str(target.repository) for target in targets]
    directories = {_directory(repository, account) for repository in repositories}
    directories.add(os.path.dirname(paths.repository(TargetName("x"), dict(environment))))
    directories |= _of_all(folders, account)
    places = [account.home, program, sys.executable, sys.prefix, sys.base_prefix, __file__]
    places += [folders.config, folders.state, *repositories, *(target.borg for target in targets)]
    places += [target.identity for target in targets]
    return Installation(
        program=program,
        user=account.name,
        own=account.own,
        folders=folders,
        writable=tuple(sorted(directories)),
        needed=tuple(sorted({*places, *map(os.path.realpath, places)})),
        local=any(target.transport == "local" for target in targets),
        keys=_hands_over_keys(folders),
    )


def _program() -> str:
    """Return the path by which this program was started, else where it is found."""
    started = sys.argv[0] if "/" in sys.argv[0] else shutil.which(sys.argv[0])
    for path in (started, os.path.join(os.path.dirname(sys.executable), "borgpull")):
        if path and os.path.basename(path) == "borgpull" and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise PullError("cannot tell where borgpull is installed", "start it by its path: /opt/borgctl/bin/borgpull units")


def _directory(repository: str, account: Account) -> str:
    """Return the directory of repositories, if it is one: the user's own, and neither the home nor a top directory.

    In it later targets can have theirs, too. Else it is the repository alone.
    """
    parent = os.path.dirname(repository)
    if parent.count("/") < 2 or parent in ("/var/lib", account.home):
        return repository
    try:
        return parent if os.stat(parent).st_uid == account.uid else repository
    except OSError:  # no such directory: perhaps its disk is not mounted
        return repository


def _of_all(folders: Folders, account: Account) -> set[str]:
    """Return the directory in which the defaults put the repositories, also those of targets that are not there yet."""
    defaults = load_defaults(folders)
    said = {key.value: value.value for key, value in defaults.pairs or ()} if defaults else {}
    directory = os.path.dirname(str(said.get("repository", "")).partition(TARGET)[0])
    return {directory} & {_directory(f"{directory}/x", account)}


def _hands_over_keys(folders: Folders) -> bool:
    """Tell whether root alone can choose what is at the path of root's keys, also where nothing is there yet.

    PID 1 reads there as root and follows links (systemd.exec(5), LoadCredential=): another user could choose any file.
    """
    try:
        secure_path.require_directory(folders.root_keys, {0}, missing=1)
    except (InsecurePath, OSError):
        return False
    return True
