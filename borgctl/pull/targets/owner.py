"""Owner: the user who owns the launcher's directories, and how commands are typed here to run as that user.

Root would leave files there that their owner cannot read. So root is refused, and shown the command that becomes them.

    require(folders, ["run", "web1"])       # PullError, with the hint: runuser -u borgpull -- borgpull run web1
    typed("then: borgpull run web1")        # with runuser, where we are a service's user
"""

import contextlib
import os
import pwd
import re
import shlex
from collections.abc import Iterable

from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders

_COMMAND = re.compile(r"(?:^|(?<=: )|(?<=, and )|(?<='))borgpull (?=[a-z])")
_FIRST_PERSON = 1000  # login.defs(5), UID_MIN: nobody logs in as an account below, root types for it


def require(folders: Folders, words: Iterable[str]) -> None:
    """Raise PullError where we are root and a directory is another user's; `words` are those behind borgpull."""
    if os.geteuid() != 0:
        return
    for path in (folders.state, folders.config):
        with contextlib.suppress(FileNotFoundError):
            if uid := os.stat(path).st_uid:
                text = f"{path} belongs to {_name(uid) or uid}, who could not use what root leaves there"
                raise PullError(text, _become(uid, words))


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
