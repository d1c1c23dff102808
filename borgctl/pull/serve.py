"""serve: the borg of the server, which gives one client one repository and nothing else.

argv(target)    environment(folders, target, temporary)    compact_argv(target)    release(…) after a SIGKILL
"""

import contextlib
import json
import os
import re
import subprocess
import uuid

from borgctl.pull.folders import Folders
from borgctl.pull.targets import Target


def argv(target: Target) -> list[str]:
    """Return the argv of `borg serve`: append-only, one repository, a quota; no target can ask for less."""
    repository = str(target.repository)
    return [
        *(target.borg, "serve", "--append-only"),
        *("--restrict-to-path", repository, "--restrict-to-repository", repository),
        *("--storage-quota", target.quota, "--umask=0077"),
    ]


def compact_argv(target: Target) -> list[str]:
    """Return the argv of `borg compact`, which needs no key; --info says how much was freed."""
    return [target.borg, "compact", "--info", "--umask=0077", "--", str(target.repository)]


def environment(folders: Folders, target: Target, temporary: str) -> dict[str, str]:
    """Return borg's environment, from nothing: no SSH_ORIGINAL_COMMAND (borg serve would take options from it)."""
    base = folders.borg(target.name)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": base,
        "LANG": "C.UTF-8",
        "TMPDIR": temporary,
        "BORG_BASE_DIR": base,
        "BORG_EXIT_CODES": "modern",
        "BORG_SHOW_SYSINFO": "no",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    }


def release(target: Target, env: dict[str, str], pid: int) -> bool:
    """Break the repository's lock if it is that of our serve `pid`, which is dead, and of nobody else.

    borg's lock is a directory `lock.exclusive` with a file HOST@NODE.PID-THREAD, and a JSON file `lock.roster`
    of [HOST@NODE, PID, THREAD] (borg/locking.py). An end by any signal but SIGKILL leaves none behind.
    """
    ours, others = _holders(str(target.repository), pid)
    if not ours or others:
        return False
    broken = subprocess.run(
        [target.borg, "break-lock", "--", str(target.repository)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return broken.returncode == 0


def _holders(repository: str, pid: int) -> tuple[int, int]:
    """Count the locks that are the process `pid` of this host's, and all others."""
    holders = []
    with contextlib.suppress(OSError):  # not locked
        holders += [name.rpartition("-")[0] for name in os.listdir(f"{repository}/lock.exclusive")]
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # nobody shares it
        with open(f"{repository}/lock.roster", encoding="utf-8") as file:
            roster = json.loads(file.read(1 << 20))
        holders += [f"{host}.{number}" for host, number, _ in [*roster.get("shared", ()), *roster.get("exclusive", ())]]
    ours = [holder for holder in holders if re.fullmatch(rf".*@{uuid.getnode()}\.{pid}", holder)]
    return len(ours), len(holders) - len(ours)
