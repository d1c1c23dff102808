"""Check the server's own side for `borgpull test`: its borg, the repository, the lock, the disk. It asks no client.

for check in server_checks(folders, target, state): …
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator

from borgctl.pull.report.hints import advice_for
from borgctl.pull.repository.inspection import problem
from borgctl.pull.repository.lock_holders import holders
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.repository.space import missing_space
from borgctl.pull.run.check_result import Check
from borgctl.pull.state.state import State
from borgctl.pull.targets.paths import Folders, host_id
from borgctl.pull.targets.targets import Target
from borgctl.pull.targets.values import in_bytes
from borgctl.text import size

_LITTLE = 1_000_000_000  # bytes


def server_checks(folders: Folders, target: Target, state: State) -> Iterator[Check]:
    """Yield the checks of this server's borg, repository, lock and disk."""
    yield _borg(target)
    yield from _repository(folders, target, state)


def _borg(target: Target) -> Check:
    """Ask our borg for its version."""
    argv, env = [target.borg, "--version"], {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        version = done.stdout.strip() if done.returncode == 0 else f"status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        version = str(error)
    if re.fullmatch(r"borg 1\.[24]\.\S{1,40}", version):
        return Check("serve", "ok", f"{target.borg} is {version.removeprefix('borg ')}")
    hint = "install borg 1.2 or 1.4, or name it with 'borg:'"
    return Check("serve", "error", f"{target.borg}: {version[:200]}", hint)


def _repository(folders: Folders, target: Target, state: State) -> Iterator[Check]:
    path = str(target.repository)
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    made = os.path.isfile(f"{path}/config")
    if (wrong := problem(target, state)) and not wrong.hidden:
        yield Check("repository", "error", f"{wrong.reason}: {wrong.text}", advice_for(wrong.reason, str(target.name)))
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield Check("repository", "error", f"{there} cannot be written by uid {os.geteuid()}", f"chown it: {there}")
    elif not made:
        init = f"borgpull run {target.name} --job init"
        yield Check("repository", "warn", f"{path} is not made yet", f"once, where the client offers it: {init}")
    else:
        yield Check("repository", "ok", f"{path}, quota {target.quota}")
        yield from _locked(folders, target)
    yield _space(target, there)


def _locked(folders: Folders, target: Target) -> Iterator[Check]:
    """Check borg's lock: a run can wait for a living holder on this machine, and not for others."""
    for holder in holders(folders, str(target.repository)):
        text = f"locked by {holder.sentence(time.time())}"
        if holder.host == host_id(folders) or (holder.here and not holder.lives):
            yield Check("lock", "ok", f"{text}: in use just now, or removed by the next run")
        elif holder.here:
            yield Check("lock", "warn", text, f"a run waits for two minutes; see: borgpull unlock {target.name}")
        else:
            hint = f"does that process live? if not: borgpull unlock {target.name} --yes"
            yield Check("lock", "error", text, hint)


def _space(target: Target, there: str) -> Check:
    """Compare the quota with the free space; `there` is the repository, or the nearest directory above it."""
    disk = os.statvfs(there)
    free, used = disk.f_bavail * disk.f_frsize, _used(str(target.repository))
    if lack := missing_space(there, GuardSession("create")):
        return Check("space", "error", lack, advice_for("server-full", str(target.name)))
    if free < _LITTLE:
        hint = f"make room, or: borgpull compact {target.name}"
        return Check("space", "warn", f"{size(free)} free at {there}", hint)
    if in_bytes(target.quota) > free + used:
        text = f"{size(free)} free and {size(used)} used by the repository are less than the quota {target.quota}"
        hint = "the client can fill this disk: lower 'quota' in the target file, or make room"
        return Check("space", "warn", text, hint)
    return Check("space", "ok", f"{size(free)} free")


def _used(repository: str) -> int:
    """Return the total size of a repository's files, as far as they can be read."""
    total = 0
    for directory, _, files in os.walk(repository):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size
    return total
