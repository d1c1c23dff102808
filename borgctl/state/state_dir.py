"""The base: the client's state directory for one policy, and what is kept there from run to run.

base/borg/            borg's cache, keys and security database (BORG_BASE_DIR)
base/host-id          who we are in borg's locks, made once
base/borg-version     what the borg binary said of itself, and of which file that was
base/locks/           flock(2) files: one for each repository, one for each session
base/runs/RUN/        a run's private directory: the relay's door and borg's TMPDIR

with StateDir.open("/var/lib/borgctl/web1") as base, base.lock_repository(path): …
"""

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator

from borgctl.borg import cache_lock
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.fs import atomic
from borgctl.fs.chown_tree import foreign_link, hand_back, hand_over
from borgctl.fs.free_space import unwritten
from borgctl.fs.remove_tree import clear
from borgctl.fs.secure_path import InsecurePath, directory
from borgctl.values import RepositoryPath

DEEPEST = 3  # directories that are made, as for the log
_OLD = 60.0  # seconds: to come from a lock to a directory takes a few milliseconds
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


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
            raise unwritten("base-unusable", path, error) from None
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
        known = self._read("host-id")
        if not re.fullmatch(r"borgctl@[0-9a-f]{32}", known):
            known = f"borgctl@{os.urandom(16).hex()}"
            self._replace("host-id", known)
        return known

    @contextlib.contextmanager
    def lock_repository(self, repository: RepositoryPath) -> Iterator[None]:
        """Hold the one lock of this repository; busy is an answer, not a wait."""
        fd = self._try_lock(f"locks/{_name(repository)}")
        if fd is None:
            raise BorgctlError("repository-busy", f"another run uses {repository.text!r}")
        try:
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def session(self, most: int) -> Iterator[None]:
        """Hold one of `most` places for gates at work."""
        fds = (self._try_lock(f"locks/session-{number}") for number in range(most))
        fd = next((fd for fd in fds if fd is not None), None)
        if fd is None:
            raise BorgctlError("sessions-full", f"{most} sessions of this policy are at work")
        try:
            yield
        finally:
            os.close(fd)

    def give_borg(self, uid: int, gid: int) -> None:
        """Give borg's own directory to the user whom borg runs as; raise BorgctlError where that fails."""
        if uid == os.geteuid():
            self.require_own_borg()  # else a borg of ours would follow what another user has left there
        try:
            hand_over(self.fd, "borg", uid, gid)
            hand_back(self.fd, "borg")
        except OSError as error:
            raise unwritten("base-unusable", self.borg, error) from None

    def require_own_borg(self) -> bool:
        """Return whether borg's directory is ours; where it is another user's, raise where that one has set a trap."""
        try:
            link = foreign_link(self.fd, "borg")
            own = os.stat("borg", dir_fd=self.fd, follow_symlinks=False).st_uid == os.geteuid()
        except OSError as error:
            raise unwritten("base-unusable", self.borg, error) from None
        if link is not None:
            raise BorgctlError("base-unusable", f"{self.path}/{link} is a symlink that borg's user has made")
        return own

    @contextlib.contextmanager
    def run_directory(self, run: str, uid: int, gid: int) -> Iterator[str]:
        """Make a run's private directory, and in it `tmp` for this user; remove it and those of dead runs."""
        lock, path = self._try_lock(f"locks/run-{run}"), f"{self.path}/runs/{run}"
        try:
            try:
                self._sweep()
                os.mkdir(path, 0o700)
                os.mkdir(f"{path}/tmp", 0o700)
                os.chown(f"{path}/tmp", uid, gid)
            except OSError as error:
                raise unwritten("base-unusable", self.path, error) from None
            yield path
        finally:
            self._forget(run, lock)

    def is_running(self, run: str) -> bool:
        """Tell whether the gate of this run is at work; nothing is made, and no gate is kept from its lock."""
        try:
            fd = os.open(f"locks/run-{run}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def kept(self, kind: str, repository: RepositoryPath) -> str | None:
        """Return the 'repository' id or the hash of the 'key' that is known here, as hexadecimal digits, or None.

        Raise BorgctlError where the file is there and holds anything else: it is not known what was known.
        """
        name = _name(repository, kind)
        known = self._content(name)
        if known is not None and not re.fullmatch(r"[0-9a-f]{64}", known):
            damaged = ValueError("damaged: expected 64 hexadecimal digits")
            raise unwritten("base-unusable", f"{self.path}/{name}", damaged)
        return known

    def keep(self, kind: str, repository: RepositoryPath, text: str) -> None:
        """Keep it, on disk when this returns."""
        self._replace(_name(repository, kind), text)

    def noted(self, kind: str, repository: RepositoryPath) -> str:
        """Return what was kept with another kind of note, '' where there is none."""
        return self._read(_name(repository, kind))

    def rival(self, identity: str, others: Iterable[str] = ()) -> str | None:
        """Return another base in which the repository with this id is known; None where none is, as far as we may look.

        That is one beside this one, or among `others`. A copy of this base (one with its host id) is none: it is
        somebody's own copy, not in use.
        """
        above, host = os.path.dirname(self.path), self.host()
        with contextlib.suppress(OSError):
            others = [*others, *(f"{above}/{name}" for name in sorted(os.listdir(above)))]
        for path in others:
            with contextlib.suppress(BorgctlError):
                if os.path.lexists(f"{path}/host-id") and _knows(path, identity, host):
                    return path
        return None

    def identities(self) -> frozenset[str]:
        """Return the ids of the repositories that are known here, at whatever path."""
        names = (name for name in os.listdir(self.fd) if re.fullmatch("repository-[0-9a-f]{32}", name))
        return frozenset(map(self._read, names))

    def host(self) -> str:
        """Return the identity of `host_id`, '' where none was made yet."""
        return self._read("host-id")

    def known_elsewhere(self, kind: str, repository: RepositoryPath) -> bool:
        """Tell whether what is known of this repository is known of one at another path, too."""
        known, own = self.kept(kind, repository), _name(repository, kind)
        others = (name for name in os.listdir(self.fd) if re.fullmatch(rf"{kind}-[0-9a-f]{{32}}", name) and name != own)
        return known is not None and any(self._read(name) == known for name in others)

    def forget(self, kind: str, repository: RepositoryPath) -> None:
        """Keep it no longer."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_name(repository, kind), dir_fd=self.fd)

    def clear_cache_lock(self, repository: RepositoryPath) -> None:
        """Remove what a borg that was killed has left of its lock of the cache; we hold the run lock."""
        with contextlib.suppress(OSError, BorgctlError):  # what is in its place is borg's to complain of
            identity = self.kept("repository", repository)
            if identity is not None and not self.known_elsewhere("repository", repository):  # nor at another path
                cache_lock.release(self.fd, identity, self.host_id())

    def _sweep(self) -> None:
        """Remove what runs that were killed have left: those whose lock nobody holds, and names half made."""
        for run in os.listdir(f"{self.path}/runs"):
            fd = self._try_lock(f"locks/run-{run}")
            if fd is not None:
                self._forget(run, fd)
        for name in filter(re.compile("run-[0-9a-f]{16}").fullmatch, os.listdir(f"{self.path}/locks")):
            with contextlib.suppress(FileNotFoundError):
                self._forget_old(f"locks/{name}")
        atomic.remove_drafts(self.fd)

    def _forget_old(self, name: str) -> None:
        """Remove the lock of a run that came to no directory, unless a gate may be at it now."""
        if time.time() - os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mtime > _OLD:
            fd = self._try_lock(name)
            if fd is not None and not os.path.exists(f"{self.path}/runs/{name.removeprefix('locks/run-')}"):
                os.unlink(name, dir_fd=self.fd)
            if fd is not None:
                os.close(fd)

    def _forget(self, run: str, lock: int | None) -> None:
        clear(self.fd, f"runs/{run}")
        if lock is not None:
            with contextlib.suppress(FileNotFoundError):  # another gate swept it too
                os.unlink(f"locks/run-{run}", dir_fd=self.fd)
            os.close(lock)

    def hostnames(self) -> list[str]:
        """Return the names that this host has had, the latest first."""
        return self._read("hostnames").split()

    def note_hostnames(self, names: Iterable[str]) -> None:
        """Keep the names that this host has had."""
        self._replace("hostnames", "\n".join(names))

    def version_note(self) -> str:
        """Return what was kept with `note_version`, '' where nothing was."""
        return self._read("borg-version")

    def note_version(self, text: str) -> None:
        """Keep what the borg binary said of itself."""
        self._replace("borg-version", text)

    def require_new(self, repository: RepositoryPath) -> None:
        """Raise BorgctlError where this repository was used before: then 'init' would make another in its place."""
        if known := self.kept("repository", repository):
            raise BorgctlError("repository-known", f"{repository.text!r} is known here with the id {known}")

    def _try_lock(self, name: str) -> int | None:
        try:
            fd = os.open(name, _OPEN, 0o600, dir_fd=self.fd)
        except OSError as error:
            raise unwritten("base-unusable", self.path, error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def _read(self, name: str) -> str:
        return self._content(name) or ""

    def _content(self, name: str) -> str | None:
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
            raise unwritten("base-unusable", f"{self.path}/{name}", error) from None

    def _replace(self, name: str, text: str) -> None:
        """Write a file whole, on disk when this returns: a reader sees the old text or the new."""
        try:
            atomic.replace(name, text.encode("ascii"), at=self.fd)
        except OSError as error:
            raise unwritten("base-unusable", f"{self.path}/{name}", error) from None


def _knows(path: str, identity: str, host: str) -> bool:
    """Tell whether another base than that of this host id knows the repository."""
    other = StateDir.known(path)
    if other is None:
        return False
    try:
        return identity in other.identities() and other.host() != host
    finally:
        os.close(other.fd)


def _name(repository: RepositoryPath, kind: str = "repository") -> str:
    return f"{kind}-{hashlib.sha256(repository.text.encode()).hexdigest()[:32]}"
