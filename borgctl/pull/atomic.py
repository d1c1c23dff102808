"""Atomic: a file's new content is there whole or not at all, and on disk, with its name, when `write` returns.

write("/var/lib/borgpull/web1/state.json", b"{}")
directories("/var/lib/borgpull/web1/copies")         # 0700 each, on disk too
"""

import contextlib
import os

from borgctl.pull.targets.paths import make, settle


def write(path: str, data: bytes, *, draft: str | None = None, aside: str | None = None) -> None:
    """Put `data` into the place of `path`, mode 0600; where that cannot be written the old file stays, and no draft.

    `draft` is the name it has until then, in the same directory; `aside` keeps what was there under this name.
    Raises OSError.
    """
    draft = draft or f"{path}.new"
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if aside is not None:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, aside)
        os.rename(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    settle(os.path.dirname(path))


def directories(path: str) -> None:
    """Make a directory and those above it, 0700 each, so that a crash leaves none of them out."""
    for made in make(path):
        settle(os.path.dirname(made))
