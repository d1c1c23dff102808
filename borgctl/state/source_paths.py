"""Paths that borg is given, looked at before borg does: nobody else may be able to choose what is there.

Paths that a peer asks for: nobody else may be able to lead one of them somewhere else.

borg follows symlinks in a path's parents (not its last component), so a path inside an offered directory could end
outside it, also later: the server decides how long borg waits before it reads. So every parent must be a real directory
that only root or the gate's user can change. Files of patterns, which a job names: borg opens them by name before
anything else, so they are held to the rule of `secure_path`, and must be small and regular, as borg would wait at a
FIFO and read a device without end. It does not know what is offered; `judge` does.
"""

import os
import stat
from collections.abc import Iterable

from borgctl.errors import BorgctlError
from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath

LARGEST = 1 << 20  # bytes of a file of patterns


def check(paths: Iterable[str]) -> None:
    """Raise BorgctlError where another user could redirect one of the paths.

    A missing path is looked for once the hooks have run.
    """
    for path in paths:
        try:
            secure_path.directory(os.path.dirname(path), follow=False).close()
        except FileNotFoundError:
            continue
        except InsecurePath as error:
            raise BorgctlError("source-refused", f"{path!r}: {error}") from None
        except OSError as error:
            raise BorgctlError("source-refused", f"{path!r}: {error.strerror}") from None


def require_devices(paths: Iterable[str], *, missing: bool = False) -> None:
    """Raise BorgctlError where a path below /dev is no block device, or another user could lead a link to one.

    Such a link is refused wherever it leads now. `missing`: a device may be missing, as a hook is still to make it.
    """
    for path in paths:
        named = path.startswith("/dev/")
        if not named and not os.path.islink(path):
            continue
        try:
            with SecurePath.at(path) as pinned:
                if named and not stat.S_ISBLK(pinned.status.st_mode):
                    raise BorgctlError("device-unusable", f"{path!r} is not a block device")
        except FileNotFoundError as error:
            if named and not missing:
                raise BorgctlError("device-unusable", f"{path!r}: {error.strerror}") from None
        except InsecurePath as error:
            raise BorgctlError("device-unusable", f"{path!r}: {error}") from None
        except OSError as error:
            if named:
                raise BorgctlError("device-unusable", f"{path!r}: {error.strerror}") from None


def is_device(path: str) -> bool:
    """Tell whether a block device is at this path, or behind it."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def require_present(paths: Iterable[str]) -> None:
    """Raise BorgctlError where a path is not there: borg would warn of that, and make an archive without it."""
    for path in paths:
        try:
            os.lstat(path)
        except OSError as error:
            raise BorgctlError("source-missing", f"{path!r}: {error.strerror}") from None


def require_patterns(files: Iterable[str], *, missing: bool = False) -> None:
    """Raise BorgctlError where another user could choose what borg reads, or borg would not come to an end of it.

    `missing`: a file may be missing, as a hook is still to make it.
    """
    for path in files:
        try:
            secure_path.read_file(path, LARGEST)
        except FileNotFoundError as error:
            if not missing:
                raise BorgctlError("patterns-unusable", f"{path!r}: {error.strerror}") from None
        except InsecurePath as error:
            raise BorgctlError("patterns-unusable", f"{path!r}: {error}") from None
        except OSError as error:
            raise BorgctlError("patterns-unusable", f"{path!r}: {error.strerror}") from None
