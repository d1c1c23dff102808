"""Candidate: a text that is to become a target's file, or the defaults of all, read before it is put in place.

Who may write the file that it comes from now does not matter then.

    content = read("/tmp/new.yaml")                      read("-") reads stdin
    check(folders, TargetName("web1"), content, "-")     where it differs from; PullError names every mistake
    check(folders, None, content, "-")                   as defaults.yaml
    put(folders, TargetName("web1"), content, "-")       the same, and then it is there, whole
"""

import os

from borgctl.fs import atomic
from borgctl.pull.targets import config_file, config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import load_defaults, read_defaults
from borgctl.pull.targets.targets import read as read_target
from borgctl.strict_yaml import LARGEST, Problems

STDIN = "-"


def read(file: str) -> bytes:
    """Return what is in this file, or in stdin; raise PullError."""
    try:
        with open(0 if file == STDIN else file, "rb", closefd=file != STDIN) as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise PullError(f"{file}: {error.strerror}") from None


def check(folders: Folders, name: TargetName | None, content: bytes, file: str) -> str | None:
    """Read a candidate for this target's file, or with None `defaults.yaml`; raise PullError with every mistake.

    Return the path of the file that it would take the place of, None where that has the same content.
    """
    if len(content) > LARGEST:
        raise PullError(f"{file}:1:1: longer than {LARGEST} bytes")
    try:
        text = content.decode("utf-8")
        if name is None:
            read_defaults(text, folders)
        else:
            read_target(text, name, folders, load_defaults(folders))
    except UnicodeDecodeError:
        raise PullError(f"{file}:1:1: not UTF-8") from None
    except Problems as problems:
        raise PullError("\n".join(map(str, problems.all))) from None
    path = folders.defaults if name is None else folders.target(name)
    return None if config_file.read(folders, path) == text else path


def put(folders: Folders, name: TargetName | None, content: bytes, file: str) -> str | None:
    """Put a candidate in its place; return that place, None where it is there already. Raise PullError.

    A target is made with `add` before, which gives it its key.
    """
    if name is not None and not os.path.lexists(folders.target(name)):
        raise PullError(f"no target {str(name)!r} ({folders.target(name)})", f"make it with: borgpull add {name} HOST")
    with config_lock.alone(folders):
        path = check(folders, name, content, file)
        if path is not None:
            try:
                atomic.replace(path, content)
            except OSError as error:
                raise PullError(f"{path}: {error.strerror}") from None
    return path
