"""Owner: the user who owns the launcher's directories, and how commands are typed here to run as that user.

Root would leave files there that their owner cannot read. So root is refused, and shown the command that becomes them.

    require(folders, ["run", "web1"])       # PullError, with the hint: runuser -u borgpull -- borgpull run web1
    typed("then: borgpull run web1")        # with runuser, where we are a service's user
    account(folders).name                   # whose the directories are
"""

import contextlib
import os
import pwd
import re
import shlex
from collections.abc import Iterable

from borgctl.data_class import dataclass
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import SYSTEM, Folders

_COMMAND = re.compile(r"(?:^|(?<=: )|(?<=, and )|(?<='))borgpull (?=[a-z])")
_FIRST_PERSON = 1000  # login.defs(5), UID_MIN: nobody logs in as an account below, root types for it


@dataclass(frozen=True, slots=True)
class Account:
    """The user whom borgpull runs as; `own`: a person's, who asks for themselves, and not a service's."""

    name: str
    uid: int
    home: str
    own: bool


def require(folders: Folders, words: Iterable[str]) -> None:
    """Raise PullError where we are root and a directory is another user's; `words` are those behind borgpull."""
    if os.geteuid() != 0:
        return
    for path in (folders.state, folders.config):
        with contextlib.suppress(FileNotFoundError):
            if uid := os.stat(path).st_uid:
                text = f"{path} belongs to {_name(uid) or uid}, who could not use what root leaves there"
                raise PullError(text, _become(uid, words))


def account(folders: Folders) -> Account:
    """Return the user of these directories: to root the one who owns them, to everybody else themselves."""
    asking = uid = os.geteuid()
    for path in (folders.config, folders.state) if asking == 0 else ():
        with contextlib.suppress(FileNotFoundError):
            uid = os.stat(path).st_uid or uid
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        text = f"{folders.state} belongs to user number {uid}, who has no name here"
        raise PullError(text, "give the directories to an existing user, with 'chown -R'") from None
    return Account(entry.pw_name, uid, entry.pw_dir, asking >= _FIRST_PERSON and entry.pw_name not in SYSTEM)


def typed(text: str) -> str:
    """Return a text with its borgpull commands as this server's admin types them."""
    uid = os.geteuid()
    name = _name(uid) if 0 < uid < _FIRST_PERSON else None
    return text if name is None else _COMMAND.sub(f"runuser -u {name} -- borgpull ", text)


def _become(uid: int, words: Iterable[str]) -> str:
    name, command = _name(uid), shlex.join(["borgpull", *words])
    return f"runuser -u {name} -- {command}" if name else "give the directories to an existing user, with 'chown -R'"


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
