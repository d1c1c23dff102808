"""Remove a target: its key, file and state. The repository stays: it may be all that is left of a client.

for line in remove(folders, TargetName("web1")): print(line)
"""

import contextlib
import os
import shutil

from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, lock
from borgctl.pull.targets.targets import load


def remove(folders: Folders, name: TargetName) -> list[str]:
    """Remove what `add` and runs made, except the repository; return what was done and what is left to do."""
    path, key = folders.target(name), folders.key(name)
    if not os.path.lexists(path):
        raise PullError(f"no target {str(name)!r} ({path})")
    repository, removed = "", []
    with contextlib.suppress(PullError):  # a file with mistakes can be removed, too
        repository = f" {load(folders, name).repository}"
    with lock(folders, name):
        for file in (path, f"{key}.pub", key):  # the target file first: without it nothing runs any more
            with contextlib.suppress(FileNotFoundError):
                _unlink(file)
                removed.append(f"removed {file}")
        shutil.rmtree(f"{folders.state}/{name}", ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folders.state}/{name}.lock")
    return [
        *removed,
        f"kept the repository{repository}: remove it yourself when nobody needs it any more",
        f"on the client: remove the line of the key borgpull-{name} from authorized_keys, and the policy that it names",
    ]


def _unlink(file: str) -> None:
    try:
        os.unlink(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PullError(f"{file}: {error.strerror}") from None
