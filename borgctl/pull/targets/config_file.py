"""Config file: open a file of the launcher's configuration only where no other user can have written it.

Such a file names a program that we start (`borg`) and says what a client may do. What it means is in `targets`.

    text = read(folders, folders.defaults)      None where there is no such file
"""

import contextlib
import os
import stat

from borgctl.fs.secure_path import InsecurePath, SecurePath, ourselves
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders
from borgctl.strict_yaml import LARGEST

_HINT = "only root and the user that runs borgpull may be able to write it, or a directory above: chown, chmod go-w"


def read(folders: Folders, path: str) -> str | None:
    """Return the file's text, None where it is missing; raise PullError where it cannot be trusted or read."""
    try:
        with SecurePath.at(path, owners(folders)) as file:
            if file.require(stat.S_IFREG).status.st_size > LARGEST:
                raise PullError(f"{path}:1:1: longer than {LARGEST} bytes")
            return file.read(LARGEST).decode("utf-8")
    except FileNotFoundError:
        if os.path.islink(path):  # all that it says would be missing in silence
            raise PullError(f"{path}: is a symlink to what is not there") from None
        return None
    except InsecurePath as error:
        raise PullError(f"unsafe file: {error}", _HINT) from None
    except OSError as error:
        raise PullError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PullError(f"{path}:1:1: not UTF-8") from None


def version(path: str) -> tuple[int, ...] | None:
    """Return what differs when a file was written, replaced or given to others; None where there is none to look at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def owners(folders: Folders) -> frozenset[int]:
    """Return whose files we take; root, which only reads in other users' folders, takes theirs there."""
    found = set(ourselves())
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            found.add(os.stat(folders.config).st_uid)
    return frozenset(found)
