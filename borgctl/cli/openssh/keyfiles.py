"""The files of authorized keys that sshd really reads for one login, and which of their lines count for one key.

sshd takes the first line with the key whose options it understands and whose `from` and `expiry-time` hold. It reads
further lines and files only where none did (sshd(8), auth2-pubkey.c). It reads as the user who logs in, and may be
refused a file. So a line of one file never keeps sshd from reading the next file. Here each file is read as that user,
too: a link in their home would lead root to a device, where the opening alone does something.

    places(read("/root/.ssh/authorized_keys", login.uid), blob)[0].line.options
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass

from borgctl.cli.openssh import keyline
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.login import Login
from borgctl.cli.openssh.sshd import Settings, Unseen
from borgctl.fs import plain_file
from borgctl.process.effective_user import acting_as

_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a key; `winner`: the place of an earlier line that sshd always takes, so that this one never counts."""

    line: KeyLine
    winner: str | None


def files(login: Login, settings: Settings) -> list[str]:
    """Return the paths of the files in order; %h, %u, %U and %% are as in sshd_config(5).

    Raise Unseen where a path has a blank: sshd's answer has no quotes.
    """
    for line in settings.configuration.lines:
        if line.keyword == "authorizedkeysfile" and any(len(word.split()) > 1 for word in line.words):
            raise Unseen(f"a file of keys has a blank in its name ({line.place})", "name it without one")
    paths = []
    for word in settings.words("authorizedkeysfile"):
        if word == "none":
            continue
        path = word.replace("%%", "\0").replace("%h", login.home).replace("%u", login.name)
        path = path.replace("%U", str(login.uid)).replace("\0", "%")
        paths.append(os.path.normpath(os.path.join(login.home, path)))
    return paths


def read(path: str, user: int = 0) -> list[KeyLine]:
    """Return the lines with a key, none where the file is missing; raise Unseen where it cannot be read.

    Root reads as `user`: the one who logs in.
    """
    try:
        with acting_as(user):
            content = plain_file.read(path, _LARGEST, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Unseen(f"{path} is no regular file") from None
        if error.errno == errno.EFBIG:
            raise Unseen(f"{path} is larger than 4 MiB") from None
        raise Unseen(f"{path} cannot be read: {error.strerror}", "ask again as root") from None
    texts = content.decode("utf-8", "replace").split("\n")
    lines = (keyline.parse(line, path, number) for number, line in enumerate(texts, 1))
    return [line for line in lines if line is not None]


def places(lines: Iterable[KeyLine], blob: str) -> list[Place]:
    """Return the lines of one key, in the order in which sshd tries them."""
    result, winners = [], dict[str, str]()
    for line in lines:
        if line.blob != blob:
            continue
        authority = (
            line.options is not None and line.options.cert_authority
        )  # for certificates only, and sshd reads all of these
        result.append(Place(line, None if authority else winners.get(line.file)))
        if line.certain:
            winners.setdefault(line.file, line.place)
    return result
