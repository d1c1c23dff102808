"""Rename a target: its key, state and file get the new name. The repository and the client stay as they are.

The target file moves last. Until then the target has all of its files under the old name, from then on under the new.

for line in rename(folders, TargetName("web1"), TargetName("www")): print(line)
"""

import contextlib
import os
import shutil
from contextlib import ExitStack

from borgctl.fs import atomic
from borgctl.pull.targets import config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, lock
from borgctl.pull.targets.targets import Target, load, load_defaults, read


def rename(folders: Folders, old: TargetName, new: TargetName) -> list[str]:
    """Rename a target; return lines for people. Raise Busy while it is at work, PullError where the name is taken."""
    if old == new:
        raise PullError(f"target {str(old)!r} has this name already")
    target = load(folders, old)
    _require_same_places(folders, target, new)
    with config_lock.alone(folders), lock(folders, old), lock(folders, new), ExitStack() as undo:
        for path in (folders.target(new), *_keys(folders, new), os.path.dirname(folders.memory(new))):
            if os.path.lexists(path):
                raise PullError(f"{path} exists already", "choose another name, or remove that one first")
        undo.callback(_delete, f"{folders.state}/{new}.lock")
        try:
            _copy(folders, old, new, undo)
            os.rename(folders.target(old), folders.target(new))
        except OSError as error:
            raise PullError(f"{error.filename2 or error.filename or old}: {error.strerror or error}") from None
        undo.pop_all()
        for path in (*_keys(folders, old), os.path.dirname(folders.memory(old)), f"{folders.state}/{old}.lock"):
            _delete(path)
        for directory in (folders.targets, folders.keys, folders.state):
            with contextlib.suppress(OSError):  # transport local has no keys
                atomic.sync(directory)
    return [
        f"{old} is {new} from now on, with its key, its alerts, its runs and the head of its client's audit log",
        f"kept the repository where it is: {target.repository}",
        f"on the client nothing has to change: the comment of its key line says borgpull-{old} as before",
    ]


def _require_same_places(folders: Folders, target: Target, new: TargetName) -> None:
    """Refuse a file that names the key by its old path, and a repository that the defaults name by the target."""
    path = folders.target(target.name)
    with open(path, encoding="utf-8") as file:
        renamed = read(file.read(), new, folders, load_defaults(folders))
    if renamed.identity == folders.key(target.name):
        raise PullError(f"{path} names the key that goes along", f"take the line 'identity' out of {path}")
    if renamed.repository != target.repository:
        text = f"{folders.defaults} names the repository by the target, and it stays at {target.repository}"
        raise PullError(text, f"write into {path}: repository: {target.repository}")


def _copy(folders: Folders, old: TargetName, new: TargetName, undo: ExitStack) -> None:
    """Give the new name all that the old one has, except the target file."""
    for source, place in zip(_keys(folders, old), _keys(folders, new), strict=True):
        if os.path.lexists(source):
            os.link(source, place)
            undo.callback(_delete, place)
    source, place = (os.path.dirname(folders.memory(name)) for name in (old, new))
    if os.path.lexists(source):
        undo.callback(_delete, place)
        shutil.copytree(source, place, symlinks=True, copy_function=os.link)
        atomic.sync(place)


def _keys(folders: Folders, name: TargetName) -> tuple[str, str]:
    return folders.key(name), f"{folders.key(name)}.pub"


def _delete(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)
