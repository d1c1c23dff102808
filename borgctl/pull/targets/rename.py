"""rename: give a target another name. Its key, state and file go along; the repository and the client stay as they are.

The new name gets all of it first, then the file moves, which is what makes a target: until then the old name is whole,
and from then on the new one is.

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
from borgctl.pull.targets.targets import Target, load, read


def rename(folders: Folders, old: TargetName, new: TargetName) -> list[str]:
    """Rename a target; return what is to be said. Raise Busy while it is at work, PullError where the name is taken."""
    if old == new:
        raise PullError(f"target {str(old)!r} has this name already")
    target = load(folders, old)
    _require_no_old_path(folders, target, new)
    with config_lock.alone(folders), lock(folders, old), lock(folders, new), ExitStack() as undo:
        for path in (folders.target(new), *_keys(folders, new), os.path.dirname(folders.memory(new))):
            if os.path.lexists(path):
                raise PullError(f"{path} is there already", "choose another name, or remove that one first")
        undo.callback(_forget, f"{folders.state}/{new}.lock")
        try:
            _give(folders, old, new, undo)
            os.rename(folders.target(old), folders.target(new))
        except OSError as error:
            raise PullError(f"{error.filename2 or error.filename or old}: {error.strerror or error}") from None
        undo.pop_all()
        for path in (*_keys(folders, old), os.path.dirname(folders.memory(old)), f"{folders.state}/{old}.lock"):
            _forget(path)
        for directory in (folders.targets, folders.keys, folders.state):
            with contextlib.suppress(OSError):  # transport local has no keys
                atomic.sync(directory)
    return [
        f"{old} is {new} from now on, with its key, its alerts, its runs and the head of its client's audit log",
        f"kept the repository where it is: {target.repository}",
        f"on the client nothing has to change: the comment of its key line says borgpull-{old} as before",
    ]


def _require_no_old_path(folders: Folders, target: Target, new: TargetName) -> None:
    """Refuse a file that names the key which goes along."""
    path = folders.target(target.name)
    with open(path, encoding="utf-8") as file:
        renamed = read(file.read(), new, folders)
    if renamed.identity == folders.key(target.name):
        raise PullError(f"{path} names the key that goes along", f"take the line 'identity' out of {path}")


def _give(folders: Folders, old: TargetName, new: TargetName, undo: ExitStack) -> None:
    """Let the new name have all that the old one has, but for the file."""
    for source, place in zip(_keys(folders, old), _keys(folders, new), strict=True):
        if os.path.lexists(source):
            os.link(source, place)
            undo.callback(_forget, place)
    source, place = (os.path.dirname(folders.memory(name)) for name in (old, new))
    if os.path.lexists(source):
        undo.callback(_forget, place)
        shutil.copytree(source, place, symlinks=True, copy_function=os.link)
        atomic.sync(place)


def _keys(folders: Folders, name: TargetName) -> tuple[str, str]:
    return folders.key(name), f"{folders.key(name)}.pub"


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)
