"""Export: all that another server needs to go on where this one ended, in one new directory.

    DIR/config/     targets/, defaults.yaml and keys/, as in the configuration directory; in keys/ also root's
    DIR/state/      history.db, and of each target state.json and the copies of its repository's small files
    DIR/manifest    when, what is missing, how to put it back, and the SHA-256 of each file

Put back there, no client has to be authorised again. What belongs to this machine alone stays here: locks, workdirs,
runs at work, and the launcher's name in borg's locks. Neither repositories nor policies of a local transport are in it.

It reads while runs go on. States and copies are replaced whole, and the history is copied as it is at one moment. No
symlink is followed out of the two directories: what is one is missing, and said to be.

    exported = export(folders, "/mnt/safe/monday", stop, time.time())          exported.missing
"""

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from borgctl.errors import BadValue
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.pull.export.destination import MANIFEST, Destination, new_directory
from borgctl.pull.process.signals import Stop
from borgctl.pull.state import history_copy
from borgctl.pull.state.history_replacement import HistoryUnusable
from borgctl.pull.targets import config_file, config_lock, owner
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import load, names
from borgctl.text import iso, printable_excerpt

VERSION = 1  # of the directory's form
_LARGEST = 1 << 20  # bytes of a file, but for the history: none that we write is larger
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")  # sha256sum(1) writes other names in another form
_COPY = re.compile(r"[0-9]{1,12}-(?:config|nonce)-[0-9]{1,12}")
_HISTORY = "state/history.db"


class Exported(NamedTuple):
    """What an export has: how many targets and files, and a line about each thing that is missing."""

    targets: int
    files: int
    missing: tuple[str, ...]


def export(folders: Folders, path: str, stop: Stop, now: float) -> Exported:
    """Copy everything into a new directory at an absolute path. Raise PullError, and leave nothing then."""
    if not names(folders):
        raise PullError(f"no target in {folders.targets}", "make one with: borgpull add TARGET HOST")
    user, owners = owner.account(folders).name, config_file.owners(folders)
    with config_lock.unchanged(folders), new_directory(path) as place:
        texts, missing = names(folders), list[str]()
        targets = _good_names(texts)
        place.make("state")  # also where nothing has run yet: the manifest's commands name it
        for name, source in _sources(folders, texts, targets):
            if stop.name is not None:
                raise PullError(f"stopped by {stop.name}, and nothing was left at {path}")
            root = os.path.dirname(source) == folders.root_keys
            missing += _copy(place, name, source, {0} if root else owners)
        missing += [*_copy_history(folders, place), *_keys_elsewhere(folders, targets, place)]
        place.finish(_remarks(folders, user, missing, now))
    return Exported(len(texts), len(place.sums), tuple(missing))


def _good_names(texts: Sequence[str]) -> list[TargetName]:
    """Return the good names; a file with another name is no target, and has no state."""
    found = []
    for text in texts:
        try:
            found.append(TargetName(text))
        except BadValue:
            continue
    return found


def _sources(folders: Folders, texts: Sequence[str], targets: Sequence[TargetName]) -> Iterator[tuple[str, str]]:
    """Yield the name and the source of each file that may be there."""
    config, state = os.path.realpath(folders.config), os.path.realpath(folders.state)
    yield "config/defaults.yaml", f"{config}/defaults.yaml"
    for text in texts:
        yield f"config/targets/{text}.yaml", f"{config}/targets/{text}.yaml"
    directories = dict.fromkeys(_listed(f"{config}/keys"), f"{config}/keys")
    if os.geteuid() == 0:  # nobody else can read root's; a run takes them first
        directories |= dict.fromkeys(_listed(folders.root_keys), folders.root_keys)
    for file, directory in sorted(directories.items()):
        if not file.startswith("."):  # what somebody is writing
            yield f"config/keys/{file}", f"{directory}/{file}"
    for target in targets:
        yield f"state/{target}/state.json", f"{state}/{target}/state.json"
        for file in filter(_COPY.fullmatch, _listed(f"{state}/{target}/copies")):
            yield f"state/{target}/copies/{file}", f"{state}/{target}/copies/{file}"


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PullError(f"{directory}: {error.strerror}") from None


def _copy(place: Destination, name: str, source: str, owners: Collection[int]) -> list[str]:
    """Copy a file, if it is there and ours; return why it is missing."""
    if not _NAME.fullmatch(os.path.basename(name)):
        return [f"{source}: files with such a name are not exported"]
    try:
        with SecurePath.at(source, owners, follow=False) as file:
            data, status = file.require(stat.S_IFREG).read(_LARGEST), file.status
    except FileNotFoundError:  # there never was one, or it was removed meanwhile
        return []
    except InsecurePath as error:
        return [str(error)]
    except OSError as error:
        return [f"{source}: {error.strerror}"]
    place.write(name, data, status)
    return []


def _copy_history(folders: Folders, place: Destination) -> list[str]:
    try:
        like = os.lstat(folders.history)
    except FileNotFoundError:
        return []
    place.write(_HISTORY, b"", like)
    try:
        history_copy.copy(folders, f"{place.path}/{_HISTORY}")
    except HistoryUnusable as error:
        place.drop(_HISTORY)
        return [str(error)]
    place.rehash(_HISTORY)
    return []


def _keys_elsewhere(folders: Folders, targets: Sequence[TargetName], place: Destination) -> Iterator[str]:
    """Yield a line about each target whose key is not in the export."""
    for name in targets:
        try:
            target = load(folders, name)
        except PullError:
            yield f"{folders.target(name)} cannot be used, and so nobody knows whether it names a key elsewhere"
            continue
        key = folders.key(name) if target.identity == folders.identity(name) else target.identity
        directory, file = os.path.split(key)
        if target.transport != "local" and (directory != folders.keys or f"config/keys/{file}" not in place.sums):
            yield f"{name}: its key, {key}"


def _remarks(folders: Folders, user: str, missing: Sequence[str], now: float) -> list[str]:
    """Return what the manifest tells a person, in lines."""
    places = f"{folders.config} {folders.state}"
    copy = "cp -a --remove-destination"  # through no link that the user of these folders has made
    return [
        f"borgpull export, version {VERSION}, made {iso(now)}",
        "It has private keys: whoever reads them can ask the clients for all that their policies offer.",
        f"To see whether it is whole, here: sha256sum --check --quiet {MANIFEST}",
        "To put it back, here and as root, where there is no target yet:",
        f"    mkdir -p {places} && {copy} config/. {folders.config} && {copy} state/. {folders.state}",
        f"    chown -R {user}: {places}",
        *(f"missing: {printable_excerpt(line)}" for line in missing),
    ]
