"""serve: the server's borg, which gives one client one repository and nothing else.

argv(target)    environment(folders, target, workdir)    compact_argv(target)    release(folders, target)
"""

from functools import partial

from borgctl.pull.process.workdirs import lives
from borgctl.pull.repository import borglock
from borgctl.pull.repository.lock_holders import exists, holders
from borgctl.pull.targets.paths import Folders, host_id
from borgctl.pull.targets.targets import Target


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


def environment(folders: Folders, target: Target, workdir: str) -> dict[str, str]:
    """Return borg's environment, from nothing: no SSH_ORIGINAL_COMMAND (borg serve would take options from it).

    By TMPDIR `workdirs` knows which launcher it belongs to, by BORG_HOST_ID `borglock` does.
    """
    base = folders.borg(target.name)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": base,
        "LANG": "C.UTF-8",
        "TMPDIR": workdir,
        "BORG_BASE_DIR": base,
        "BORG_HOST_ID": host_id(folders),
        "BORG_EXIT_CODES": "modern",
        "BORG_SHOW_SYSINFO": "no",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    }


def release(folders: Folders, target: Target) -> bool:
    """Remove the locks and drafts of dead serves of ours; return whether there were any locks.

    Remove the locks of dead borgs that an admin of this machine started, too. The caller holds the target's lock, but
    another target may name the same repository.
    """
    repository, host = str(target.repository), host_id(folders)
    freed = borglock.release(repository, host, partial(lives, folders))
    for other in {holder.host for holder in holders(folders, repository) if holder.here and holder.host != host}:
        freed += borglock.release(repository, other, exists)
    borglock.sweep(repository, host)
    return freed > 0
