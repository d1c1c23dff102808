"""owner: whose the launcher's folders are, and how its commands are typed on this server.

Root would leave files there that their owner cannot read, from then on; so root is shown how to become him.

    require(folders, ["run", "web1"])       # PullError, with the hint: runuser -u borgpull -- borgpull run web1
    typed("then: borgpull run web1")        # the same words where borgpull runs as a service's user
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
_FIRST_PERSON = 1000  # login.defs(5), UID_MIN: for an account below, root types


def require(folders: Folders, words: Iterable[str]) -> None:
    """Raise PullError where we are root and one of the folders is another user's; `words` are those behind borgpull."""
    if os.geteuid() != 0:
        return
    for path in (folders.state, folders.config):
        with contextlib.suppress(FileNotFoundError):
            if uid := os.stat(path).st_uid:
                text = f"{path} belongs to {_name(uid) or uid}, who could not use what root leaves there"
                raise PullError(text, _become(uid, words))


def typed(text: str) -> str:
    """Return a sentence whose commands of borgpull's are as this server's admin types them."""
    uid = os.geteuid()
    name = _name(uid) if 0 < uid < _FIRST_PERSON else None
    return text if name is None else _COMMAND.sub(f"runuser -u {name} -- borgpull ", text)


def _become(uid: int, words: Iterable[str]) -> str:
    name, command = _name(uid), shlex.join(["borgpull", *words])
    return f"runuser -u {name} -- {command}" if name else "give the folders to a user that there is, with 'chown -R'"


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
