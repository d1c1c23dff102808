"""How borg's protocol reaches the server: the forced command's own fds, or one forwarded socket, pinned.

A socket's name is the server's choice and other users can see it, so it is held by a descriptor, checked, its name
removed, and then connected once, through that descriptor. This module does not know borg.
"""

import contextlib
import errno
import os
import socket
import stat

from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy.decide import require_directly_in
from borgctl.process import peer_credentials, process_tree
from borgctl.values import SocketPath

_SSHD = ("sshd", "sshd-session")  # the latter since OpenSSH 9.8


@dataclass(frozen=True, slots=True)
class Connection:
    """Two descriptors: from the server and to it. `hangup`: end of file on the first means that the server is gone."""

    source: int
    sink: int
    hangup: bool


def stdio(source: int, sink: int) -> Connection:
    """Return the forced command's former fds 0 and 1 as connection."""
    return Connection(source, sink, hangup=True)


def pin(path: SocketPath, directory: str) -> int:
    """Pin a forwarded socket and remove its name; return an O_PATH descriptor of it.

    Raise BorgctlError unless it is a socket of ours with mode 0600 or less and one link, directly in `directory`, which
    nobody else can write and no symlink leads to. A name that is not such a socket is left as it is.
    """
    require_directly_in(path, directory)
    owners = _owners()
    try:
        with secure_path.directory(directory, owners, follow=False) as pinned_directory:
            _sweep(pinned_directory, owners)
            fd = os.open(
                os.path.basename(path.text), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=pinned_directory.fd
            )
            try:
                _check(os.fstat(fd), path.text, owners)
                _remove(pinned_directory.fd, os.path.basename(path.text), os.fstat(fd))
            except BaseException:
                os.close(fd)
                raise
            return fd
    except InsecurePath as error:
        raise BorgctlError("socket-refused", str(error)) from None
    except OSError as error:
        raise BorgctlError("socket-refused", f"{path.text!r}: {error.strerror}") from None


def _owners() -> frozenset[int]:
    """Return who may own socket and directory: root, we, and the users of our ancestors (sshd's, under sudo)."""
    above = process_tree.ancestors(os.getpid())
    found = {0, os.geteuid()}
    for pid in above:
        with contextlib.suppress(OSError):
            found.add(os.stat(f"/proc/{pid}").st_uid)
    return frozenset(found)


def _check(status: os.stat_result, path: str, owners: frozenset[int]) -> None:
    if not stat.S_ISSOCK(status.st_mode):
        raise InsecurePath(f"{path!r} is not a socket")
    if status.st_uid not in owners:
        raise InsecurePath(f"{path!r} is owned by uid {status.st_uid}")
    if status.st_mode & 0o077:
        raise InsecurePath(f"{path!r} has mode {stat.S_IMODE(status.st_mode):04o}: expected StreamLocalBindMask 0177")
    if status.st_nlink != 1:
        raise InsecurePath(f"{path!r} has {status.st_nlink} links")


def _remove(directory: int, name: str, meant: os.stat_result) -> None:
    """Remove a name only if it is still the object that was looked at; raise InsecurePath where it is another.

    No call removes a name by what it names, so it is first moved to one that nobody can foresee, and looked at there.
    """
    aside = f".{os.urandom(16).hex()}"
    os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
    now = os.stat(aside, dir_fd=directory, follow_symlinks=False)
    if (now.st_dev, now.st_ino) == (meant.st_dev, meant.st_ino):
        os.unlink(aside, dir_fd=directory)
        return
    with contextlib.suppress(OSError):  # put back what is not ours, unless its place is taken already
        if stat.S_ISDIR(now.st_mode):
            os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.link(aside, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            os.unlink(aside, dir_fd=directory)
    raise InsecurePath(f"{name!r} was replaced while we looked at it")


def _sweep(pinned_directory: SecurePath, owners: frozenset[int]) -> None:
    """Remove the sockets of dead connections: sshd never does, and such a name would be taken for ever."""
    fd = pinned_directory.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = os.listdir(fd)  # before the look at what is alive: what comes later is not in it
        with open("/proc/net/unix", "rb") as file:
            alive = {row.rpartition(b"/")[2] for row in file.read().split(b"\n")}
        for name in names:
            with contextlib.suppress(FileNotFoundError, InsecurePath):  # another gate swept it
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                ours = stat.S_ISSOCK(status.st_mode) and status.st_uid in owners
                if ours and os.fsencode(name) not in alive and _refuses(fd, name):
                    _remove(fd, name, status)
    finally:
        os.close(fd)


def _refuses(directory: int, name: str) -> bool:
    """Tell whether nobody listens: a socket may be alive under another name than the one it was bound to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(f"/proc/self/fd/{directory}/{name}") == errno.ECONNREFUSED


def connect(pinned: int) -> Connection:
    """Connect once to a pinned socket; raise BorgctlError unless one of our ancestors, sshd, listens there."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(f"/proc/self/fd/{pinned}")
        pid = peer_credentials.read(client).pid
    except OSError as error:
        client.close()
        raise BorgctlError("transport-failed", f"the announced socket: {error.strerror}") from None
    finally:
        os.close(pinned)
    if pid not in process_tree.ancestors(os.getpid()) or _name(pid) not in _SSHD:
        client.close()
        raise BorgctlError("socket-refused", f"the announced socket is served by process {pid}, not by our own sshd")
    fd = client.detach()
    return Connection(fd, fd, hangup=False)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
