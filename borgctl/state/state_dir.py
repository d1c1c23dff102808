"""The base: the client's state directory for one policy, and the small files in it.

base/borg/            borg's cache, keys and security database (BORG_BASE_DIR)
base/host-id          who we are in borg's locks, made once
base/borg-version     what the borg binary said of itself, and of which file that was
base/hostnames        the names that this host has had
base/locks/, runs/    what runs hold (`run_locks`)
base/repository-…     what is known of each repository, and its fellows (`pins`)

    StateDir.open("/var/lib/borgctl/web1").host_id() == "borgctl@3f…"
"""

import contextlib
import os
import re
from collections.abc import Iterable

from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.fs import atomic
from borgctl.fs.chown_tree import chown_tree, foreign_symlink, give_back
from borgctl.fs.free_space import write_error
from borgctl.fs.secure_path import InsecurePath, directory

DEEPEST = 3  # directories that are made, as for the log


@dataclass(frozen=True, slots=True)
class StateDir:
    """An open base directory; nobody but root and the gate's user can write it."""

    path: str
    fd: int

    @classmethod
    def open(cls, path: str) -> "StateDir":
        """Open it, making up to three missing directories (0700); raise BorgctlError where it is not safe."""
        try:
            with directory(path, missing=DEEPEST) as pinned:
                fd = pinned.open(os.O_RDONLY | os.O_DIRECTORY)
            for name in ("borg", "locks", "runs"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
        except (OSError, InsecurePath) as error:
            raise write_error("base-unusable", path, error) from None
        return cls(path, fd)

    @classmethod
    def known(cls, path: str) -> "StateDir | None":
        """Open it only where it is there and safe; make nothing."""
        try:
            with directory(path) as pinned:
                return cls(path, pinned.open(os.O_RDONLY | os.O_DIRECTORY))
        except (OSError, InsecurePath):
            return None

    @property
    def borg(self) -> str:
        """Return borg's own base directory."""
        return f"{self.path}/borg"

    def host_id(self) -> str:
        """Return the identity that borg writes into locks; the same for all runs, so that borg can tell a dead one."""
        known = self.read("host-id")
        if not re.fullmatch(r"borgctl@[0-9a-f]{32}", known):
            known = f"borgctl@{os.urandom(16).hex()}"
            self.replace("host-id", known)
        return known

    def give_borg(self, uid: int, gid: int) -> None:
        """Give borg's own directory to the user whom borg runs as; raise BorgctlError where that fails."""
        if uid == os.geteuid():
            self.require_own_borg()  # else a borg of ours would follow what another user has left there
        try:
            chown_tree(self.fd, "borg", uid, gid)
            give_back(self.fd, "borg")
        except OSError as error:
            raise write_error("base-unusable", self.borg, error) from None

    def require_own_borg(self) -> bool:
        """Return whether borg's directory is ours; where it is another user's, raise where that one has set a trap."""
        try:
            link = foreign_symlink(self.fd, "borg")
            own = os.stat("borg", dir_fd=self.fd, follow_symlinks=False).st_uid == os.geteuid()
        except OSError as error:
            raise write_error("base-unusable", self.borg, error) from None
        if link is not None:
            raise BorgctlError("base-unusable", f"{self.path}/{link} is a symlink that borg's user has made")
        return own

    def host(self) -> str:
        """Return the identity of `host_id`, '' where none was made yet."""
        return self.read("host-id")

    def hostnames(self) -> list[str]:
        """Return the names that this host has had, the latest first."""
        return self.read("hostnames").split()

    def note_hostnames(self, names: Iterable[str]) -> None:
        """Keep the names that this host has had."""
        self.replace("hostnames", "\n".join(names))

    def version_note(self) -> str:
        """Return what was kept with `note_version`, '' where nothing was."""
        return self.read("borg-version")

    def note_version(self, text: str) -> None:
        """Keep what the borg binary said of itself."""
        self.replace("borg-version", text)

    def read(self, name: str) -> str:
        """Return what is in a file, '' where there is none."""
        return self.content(name) or ""

    def content(self, name: str) -> str | None:
        """Return what is in a file, None where there is none."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self.fd)
            try:
                return os.read(fd, 1000).decode("ascii", "replace")
            finally:
                os.close(fd)  # os.fdopen would leave a directory's open
        except FileNotFoundError:
            return None
        except OSError as error:
            raise write_error("base-unusable", f"{self.path}/{name}", error) from None

    def replace(self, name: str, text: str) -> None:
        """Write a file whole, on disk when this returns: a reader sees the old text or the new."""
        try:
            atomic.replace(name, text.encode("ascii"), at=self.fd)
        except OSError as error:
            raise write_error("base-unusable", f"{self.path}/{name}", error) from None
