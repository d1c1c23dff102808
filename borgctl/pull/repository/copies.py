"""Copies of a repository's `config` and `nonce`, the last few of each, in the launcher's own state.

    STATE/NAME/copies/12-config-1764464123        number, file, when it was made (seconds since the epoch)

`config` holds the key (repokey) and the id: without it nobody can read the archives. Where a client wrote another key
there, an earlier copy brings them back. The number counts up; the time is for people.

    keep(folders, name, "/srv/borg/web1", now)          put_back(folders, target, 12, now)
"""

import contextlib
import os
import re
from datetime import UTC, datetime
from typing import Any

from borgctl.data_class import dataclass
from borgctl.fs import atomic
from borgctl.pull.repository import borglock, repo_config, serve
from borgctl.pull.repository.repo_config import LARGEST
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, host_id, lock
from borgctl.pull.targets.targets import Target

FILES = ("config", "nonce")
MOST = 10  # of each; the first config always stays, so that no number of changes removes it


@dataclass(frozen=True, slots=True)
class Copy:
    """One file as it was at `time`, in seconds since the epoch; `file` is a name of FILES."""

    number: int
    file: str
    time: int
    path: str
    content: repo_config.File


def keep(folders: Folders, name: TargetName, repository: str, now: float) -> list[str]:
    """Copy each file that differs from its last copy; return lines about those too large to copy.

    The caller holds the target's lock. Raises OSError where a copy cannot be written. A missing file is not copied.
    """
    directory, large = folders.copies(name), []
    earlier = listed(folders, name)
    number = max((copy.number for copy in earlier), default=0)
    for file in FILES:
        mine = [copy for copy in earlier if copy.file == file]
        try:
            content = repo_config.read(repository, file)
        except OSError:
            continue
        if not content.whole:
            large.append(f"{repository}/{file} has {content.size} bytes; more than {LARGEST} are not copied")
        elif not mine or mine[-1].content.lasting != content.lasting:
            number += 1
            _write(f"{directory}/{number}-{file}-{int(now)}", content.data)
            _thin([*(copy.path for copy in mine), ""], keep_first=file == "config")
    return large


def _write(path: str, data: bytes) -> None:
    atomic.directories(os.path.dirname(path))
    atomic.replace(path, data)


def _thin(paths: list[str], *, keep_first: bool) -> None:
    """Remove the oldest of these paths, in order, except the first with `keep_first`; the last was just made."""
    for path in paths[1 if keep_first else 0 : -MOST]:
        with contextlib.suppress(OSError):
            os.unlink(path)


def listed(folders: Folders, name: TargetName) -> list[Copy]:
    """Return the copies by number; files with other names are not ours."""
    directory, copies = folders.copies(name), []
    for entry in os.listdir(directory) if os.path.isdir(directory) else ():
        match = re.fullmatch(r"([0-9]{1,12})-(config|nonce)-([0-9]{1,12})", entry)
        if match:
            with contextlib.suppress(OSError):  # removed meanwhile, or the disk cannot give it back
                content = repo_config.read(directory, entry)
                copies.append(Copy(int(match[1]), match[2], int(match[3]), f"{directory}/{entry}", content))
    return sorted(copies, key=lambda copy: copy.number)


def overview(folders: Folders, target: Target) -> list[dict[str, Any]]:
    """Return the copies as objects; `now` tells whether the repository's file equals it."""
    present = {}
    for file in FILES:
        with contextlib.suppress(OSError):
            present[file] = repo_config.read(str(target.repository), file).digest
    return [
        {
            "target": str(target.name),
            "copy": copy.number,
            "file": copy.file,
            "time": datetime.fromtimestamp(copy.time, UTC).isoformat(timespec="seconds"),
            "sha256": copy.content.digest,
            "repository": copy.content.id if copy.file == "config" else None,
            "now": present.get(copy.file) == copy.content.digest,
            "path": copy.path,
        }
        for copy in listed(folders, target.name)
    ]


def sentence(entry: dict[str, Any]) -> str:
    """Write one copy of `overview` for people."""
    now = ", as it is now" if entry["now"] else ""
    return f"{entry['target']}: {entry['copy']:4} {entry['file']:6} {entry['time']} sha256 {entry['sha256'][:16]}{now}"


def put_back(folders: Folders, target: Target, number: int, now: float) -> Copy:
    """Put a copy into its place in the repository, whole; what is there now becomes a copy. Return it.

    Raises PullError where that is not safe: while a borg uses the repository, where its disk is not mounted, for a copy
    of another repository, and for a nonce that was used already. May raise Busy.
    """
    repository = str(target.repository)
    with lock(folders, target.name):
        copy = next((copy for copy in listed(folders, target.name) if copy.number == number), None)
        if copy is None or not copy.content.whole:
            raise PullError(f"no copy {number}", f"see: borgpull copies {target.name}")
        if not os.path.isdir(f"{repository}/data"):
            raise PullError(f"{repository} has no directory 'data': this is not a repository", "is its disk mounted?")
        state = state_file.load(folders, target.name)
        _check(folders, target, copy, state)
        serve.release(folders, target)
        with borglock.alone(repository, host_id(folders)) as ours:
            if not ours:
                raise PullError(f"a borg uses {repository}", "wait for it to end, then try again")
            keep(folders, target.name, repository, now)
            repo_config.write(repository, copy.file, copy.content.data)
        if copy.file == "config":
            state.config = copy.content.lasting
            state_file.save(folders, target.name, state)
    return copy


def _check(folders: Folders, target: Target, copy: Copy, state: State) -> None:
    """Raise PullError where this copy must not be put back."""
    if copy.file == "config" and (copy.content.id is None or state.repository not in (None, copy.content.id)):
        raise PullError(
            f"copy {copy.number} is of repository {copy.content.id}, and {target.name} has {state.repository}",
            f"to take another repository on purpose: borgpull forget {target.name} --repository",
        )
    if copy.file == "nonce":
        used = [other.content for other in listed(folders, target.name) if other.file == "nonce"]
        with contextlib.suppress(OSError):
            used.append(repo_config.read(str(target.repository), "nonce"))
        if _nonce(copy.content) < max(map(_nonce, used)):
            raise PullError(
                f"copy {copy.number} is of a nonce that was used already: two texts would have one key stream",
                f"put back the newest one only: borgpull copies {target.name}",
            )


def _nonce(file: repo_config.File) -> int:
    """Return the number that borg keeps in `nonce`, 16 hexadecimal digits (borg/repository.py); -1 for none."""
    text = file.data.strip()
    return int(text, 16) if re.fullmatch(rb"[0-9a-f]{1,16}", text) else -1
