"""Lock holders: who holds borg's lock of a repository, in words for people; remove a lock that nobody will release.

A lock names a host and a process number (`borglock`). borg calls a host by its name and network card, unless
BORG_HOST_ID says otherwise. We can tell whether a process of this machine lives; of another machine only its admin can.

    for holder in holders(folders, "/srv/borg/web1"): print(holder.sentence(now))
    remove(folders, "/srv/borg/web1", holders(…))
"""

import contextlib
import os
import re
import socket

from borgctl.console.text import elapsed
from borgctl.data_class import dataclass
from borgctl.pull.repository import borglock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, host_id

_LONGEST = 200  # bytes of a command line
_MADE_UP = 1 << 40  # set in the random number that Python uses without a network card (RFC 9562, 6.10)


@dataclass(frozen=True, slots=True)
class Holder:
    """An entry of the lock: its file in `lock.exclusive`, or None in the roster; `process` is None if not borg's.

    `here`: it is this machine's. `since`, in seconds since the epoch: it is there at least since then.
    """

    name: str | None
    host: str
    process: int | None
    here: bool
    since: float

    @property
    def lives(self) -> bool:
        """Tell whether it is a living process of this machine."""
        return self.here and self.process is not None and exists(self.process)

    def sentence(self, now: float) -> str:
        """Return a sentence: who it is, and since when."""
        since = f"for {elapsed(max(0.0, now - self.since))}"
        if self.process is None:
            return f"{self.host!r}, which borg did not write, {since}"
        if not self.here:
            return f"process {self.process} of host {self.host!r}, {since}"
        return f"process {self.process} of this machine ({_command(self.process) or 'it has ended'}), {since}"


def holders(folders: Folders, repository: str) -> list[Holder]:
    """Return every holder of the lock."""
    entries: list[tuple[str | None, str, int | None, str]] = []
    for name in borglock.listed(f"{repository}/lock.exclusive"):
        match = re.fullmatch(r"(.+)\.([0-9]{1,10})-[0-9a-f]{1,16}", name)
        host, process = (match[1], int(match[2])) if match else (name, None)
        entries.append((name, host, process, f"{repository}/lock.exclusive/{name}"))
    for entry in borglock.entries(repository, "shared"):
        entries.append((None, entry[0], entry[1], f"{repository}/lock.roster"))
    here = (host_id(folders), this_host()) if entries else ()
    return [Holder(name, host, process, host in here, _changed(path)) for name, host, process, path in entries]


def remove(folders: Folders, repository: str, doomed: list[Holder]) -> None:
    """Remove these from the lock; raise PullError where one of them is a borg that lives."""
    for holder in doomed:
        if holder.lives and "borg" in (_command(holder.process or 0) or ""):
            raise PullError(f"process {holder.process} is a borg that runs", "wait for it or end it, then try again")
    for holder in doomed:
        if holder.name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{repository}/lock.exclusive/{holder.name}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(f"{repository}/lock.exclusive")
    gone = [[holder.host, holder.process] for holder in doomed]
    borglock.strike(repository, host_id(folders), lambda entry: entry[:2] in gone)


def this_host() -> str | None:
    """Return what borg calls this machine (borg/platform/base.py); None where that name changes each time."""
    import uuid  # noqa: PLC0415 - seldom needed, and 5 ms

    name, card = socket.gethostname(), uuid.getnode()
    with contextlib.suppress(OSError):
        answers = socket.getaddrinfo(name, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
        name = next((entry[3] for entry in answers if entry[3]), name)
    return None if card & _MADE_UP else f"{name}@{card}"


def exists(process: int) -> bool:
    """Tell whether a process of any user lives on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _command(process: int) -> str | None:
    """Return the command line of a process of this machine; None where it has ended."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            words = file.read(_LONGEST).decode("utf-8", "replace").split("\0")
    except OSError:
        return "perhaps a borg that this user may not look at" if exists(process) else None
    return " ".join(words).strip() or "it has ended"


def _changed(path: str) -> float:
    with contextlib.suppress(OSError):
        return os.lstat(path).st_mtime
    return 0.0
