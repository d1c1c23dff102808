"""What the client's own admin and a gate that holds a window open say to each other, on this machine only.

The gate listens on a socket in its run's private directory (0700). Each message is one packet with one JSON object:

    admin: {"argv": ["borg", "list"], "login": 1000, "repository": null, "renew": false}
    gate:  {"run": "3f2a…", "repository": "/srv/borg/web1"}     or {"refused": CODE, "detail": …} or {"other": …}
    gate:  {"end": CODE}                                        the command has to end, and why
    admin: {"status": 0}                                        how borg ended
    gate:  {"kept": true}                                       a renewed key is known now; the window is closed

This module knows no borg and no policy. The kernel's word on the peer (SO_PEERCRED) decides who may use the window,
never what a message says.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from borgctl.data_class import dataclass
from borgctl.process import peer_credentials

SOCKET = "window"
_LARGEST = 64 * 1024
_MOST_TEXT = 8000  # characters of a request's argv: what is longer would not fit into a record


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """What the admin wants: `argv` for the record, `login` the login uid (None: not known; told, and never trusted).

    `repository` is the one that it has to be, None for any. `renew`: the key in the repository is a new one of the
    admin's own, to be known from now on if the passphrase opens it.
    """

    argv: tuple[str, ...]
    login: int | None = None
    repository: str | None = None
    renew: bool = False

    @classmethod
    def read(cls, message: dict[str, Any]) -> "WindowRequest | None":
        """Return the claim in a message, None where it is none."""
        match message:
            case {
                "argv": [*words],
                "login": int() | None as login,
                "repository": str() | None as repository,
                "renew": bool(renew),
            }:
                return cls(tuple(word for word in words if isinstance(word, str)), login, repository, renew)
            case _:
                return None

    @property
    def message(self) -> dict[str, Any]:
        """Return it as it is sent: an argv that is too long for a record ends with how many words are left out."""
        kept: list[str] = []
        room = _MOST_TEXT
        for word in self.argv:
            room -= len(json.dumps(word)) + 2
            if room < 0:
                kept.append(f"… ({len(self.argv) - len(kept)} more words)")
                break
            kept.append(word)
        return {"argv": kept, "login": self.login, "repository": self.repository, "renew": self.renew}


def listen(directory: str) -> socket.socket:
    """Listen in a private directory, however long its path is."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(f"/proc/self/fd/{fd}/{SOCKET}")
        listener.listen(8)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(fd)
    return listener


def windows(base: int) -> Iterator[tuple[str, socket.socket]]:
    """Connect to each window that is open below a base directory, one after the other; yield its run and connection.

    Only where root or our own user listens: borg's user, who may be another, is no gate. The caller closes what it is
    given.
    """
    runs = os.open("runs", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)
    try:
        for run in sorted(os.listdir(runs)):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.connect(f"/proc/self/fd/{runs}/{run}/{SOCKET}")
            except OSError:  # no window, or one that is closed or in use
                connection.close()
                continue
            if peer_credentials.read(connection).uid not in (0, os.geteuid()):
                connection.close()
                continue
            yield run, connection
    finally:
        os.close(runs)


def send(connection: socket.socket, message: dict[str, Any]) -> bool:
    """Send one message; return whether the other side is still there."""
    try:
        connection.sendall(json.dumps(message).encode("ascii"))
    except OSError:
        return False
    return True


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Return the next message, None at the end, after a timeout and for what is no message."""
    try:
        message = json.loads(connection.recv(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def login_uid() -> int | None:
    """Return who logged in where this process comes from (proc(5) loginuid), None where nobody is known to have."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            number = int(file.read(20))
    except (OSError, ValueError):
        return None
    return None if number == 0xFFFFFFFF else number


def words(argv: Sequence[str]) -> tuple[str, ...]:
    """Return an argv whose every word can be written as text."""
    return tuple(word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for word in argv)
