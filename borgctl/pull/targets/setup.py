"""Set up a target: `add` and `trust` write its key and file. They overwrite nothing.

`add` makes all or nothing: where it fails it removes what it made. `trust` changes one line of the file, and no other
byte.

add(folders, TargetName("web1"), host="root@web1", …)      the public key
"""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from borgctl.fs import atomic
from borgctl.openssh_key import HostKey
from borgctl.pull.targets import config_lock, paths, repositories, template, transports, values
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import load, load_defaults, read
from borgctl.strict_yaml import Problems
from borgctl.values import RepositoryPath, choice

T = TypeVar("T")
KEYGEN = "/usr/bin/ssh-keygen"
QUOTA = "500G"  # of a target that says nothing else


def add(
    folders: Folders,
    name: TargetName,
    *,
    host: str | None,
    port: int | None,
    repository: str | None,
    quota: str | None,
    transport: str | None,
    policy: str | None,
) -> str | None:
    """Make key, target file and the repository's parent directory; return the public key, None with transport local.

    What is None is left to the defaults; what they do not say gets the usual value.
    """
    below = load_defaults(folders)
    defaults = {str(key.value): value.value for key, value in (below.pairs or ())} if below else {}
    if repository is None and "repository" not in defaults:
        repository = paths.repository(name, dict(os.environ))
    quota = QUOTA if quota is None and "quota" not in defaults else quota
    check_words(host, repository, quota, transport, policy)
    usual = str(defaults.get("transport", "stdio"))
    words = {"host": host, "port": port, "transport": None if transport == usual else transport, "policy": policy}
    transport = usual if transport is None else transport
    if transport == "local" and policy is None:
        raise PullError("transport local needs a policy", f"borgpull add {name} --transport local --policy PATH")
    if transport != "local" and host is None:
        raise PullError("no client is named", f"borgpull add {name} root@HOST")
    words |= {"repository": repository, "quota": quota}
    text = template.text(name, words, defaults, local=transport == "local")
    try:
        target = read(text, name, folders, below)
    except Problems as problems:
        raise PullError("\n".join(problem.text for problem in problems.all)) from None
    path, key = folders.target(name), folders.key(name)
    for taken in (path, key, f"{key}.pub"):
        if os.path.lexists(taken):
            raise PullError(f"{taken} exists already", "choose another name, or remove that one first")
    repositories.require_apart(folders, str(target.repository))
    with ExitStack() as undo:
        for made in _attempt(atomic.directories, folders.config):
            undo.callback(_undo, os.rmdir, made)
        with config_lock.alone(folders):
            for folder in (folders.targets, folders.keys, os.path.dirname(str(target.repository))):
                for made in _attempt(atomic.directories, folder):
                    undo.callback(_undo, os.rmdir, made)
            public = None if transport == "local" else _new_key(key, name, undo)
            _attempt(lambda place: atomic.create(place, text.encode()), path)
            undo.pop_all()
    return public


def check_words(
    host: str | None, repository: str | None, quota: str | None, transport: str | None, policy: str | None
) -> None:
    """Raise BadValue for a word that must not get into a target file, where YAML could read it as more than a word."""
    if repository is not None:
        RepositoryPath(repository)
    if quota is not None:
        values.quota(quota)
    if transport is not None:
        choice(transport, transports.NAMES)
    if host is not None:
        values.host(host)
    if policy is not None:
        values.plain_path(policy)


def _new_key(path: str, name: TargetName, undo: ExitStack) -> str:
    """Make a key without a passphrase (nobody could type it) at `path`; return the public line."""
    with config_lock.directory(path) as private:
        argv = [KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", f"borgpull-{name}", "-f", f"{private}/key"]
        try:
            made = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise PullError(f"cannot start {KEYGEN}: {error.strerror}") from None
        if made.returncode != 0:
            raise PullError(f"ssh-keygen failed: {made.stderr.decode(errors='replace').strip()!r}")
        for end in (".pub", ""):
            _attempt(os.link, f"{private}/key{end}", path + end)
            undo.callback(_undo, os.unlink, path + end)
        with open(f"{private}/key.pub", encoding="ascii") as file:
            return file.read().strip()


def trust(folders: Folders, name: TargetName, key: HostKey, replace: bool) -> bool:
    """Write the host's key into the target file; return False if the file has it already."""
    load(folders, name)  # raises PullError where there is no target, and perhaps no directory to lock
    with config_lock.alone(folders):
        return _trust(folders, name, key, replace)


def _trust(folders: Folders, name: TargetName, key: HostKey, replace: bool) -> bool:
    target, path = load(folders, name), folders.target(name)
    if target.transport == "local":
        raise PullError(f"target {str(name)!r} has transport local, and no host to know")
    if target.host_key == key:
        return False
    if target.host_key is not None and not replace:
        hint = "was the client reinstalled? if you know that the new key is its own, give --replace"
        raise PullError(f"{path} has another host key: {target.host_key}", hint)
    with open(path, encoding="utf-8", newline="") as file:
        mode, text = os.fstat(file.fileno()).st_mode & 0o777, file.read()
    changed = with_host_key(text, key)
    try:
        good = read(changed, name, folders, load_defaults(folders)).host_key == key
    except Problems:
        good = False
    if not good:
        raise PullError(f"cannot write host_key into {path}", f"write this line yourself: host_key: {key}")
    _attempt(lambda place: atomic.replace(place, changed.encode(), mode=mode), path)
    return True


def with_host_key(text: str, key: HostKey) -> str:
    """Return a target file with `host_key` in the place of the old line, of the commented one, or after `host`."""
    line = f"host_key: {key}"
    for pattern in (r"(?m)^(?:host_key|'host_key'|\"host_key\") *:[^\r\n]*", r"(?m)^# ?host_key:[^\r\n]*"):
        changed, count = re.subn(pattern, lambda _: line, text, count=1)
        if count:
            return changed
    return re.sub(r"(?m)^(host *:[^\r\n]*)(\r?\n|\Z)", lambda found: f"{found[1]}\n{line}{found[2]}", text, count=1)


def authorize(public: str, host: str | None, name: TargetName, policy: str | None, transport: str) -> str:
    """Return the command for the client's admin; without `policy` with the usual path for that login."""
    user = (host or "").rpartition("@")[0]
    directory = "/etc/borgctl" if user in ("", "root", "borgctl") else "~/.config/borgctl"
    socket = " --transport socket" if transport == "socket" else ""
    file = f"{directory}/{name}.yaml" if policy is None else shlex.quote(policy)
    return f"borgctl authorize {shlex.quote(public)} {file}{socket}"


def _attempt(act: Callable[..., T], *words: str) -> T:
    try:
        return act(*words)
    except OSError as error:
        raise PullError(f"{words[-1]}: {error.strerror}") from None


def _undo(act: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(OSError):
        act(path)
