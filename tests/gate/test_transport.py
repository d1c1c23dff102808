"""A forwarded socket, pinned and connected once."""

import os
import socket
import stat
import subprocess
from pathlib import Path

import programs
import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.gate import transport
from borgctl.gate.transport import Connection
from borgctl.values import SocketPath

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")


@pytest.fixture
def room(tmp_path_factory):
    """A directory of ours, with a short name (unix(7): 107 bytes), private."""
    directory = tmp_path_factory.mktemp("r")
    directory.chmod(0o700)
    return directory


@pytest.fixture
def announced(room):
    """A listening socket of ours, as sshd leaves one."""
    listener = listening(room / "s")
    yield listener
    listener.close()


def listening(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(1)
    return listener


def dead(path):
    listening(path).close()
    assert stat.S_ISSOCK(path.lstat().st_mode)


def pinned(path, directory=None):
    return transport.pin(SocketPath(str(path)), str(directory or path.parent))


def refused(path, directory=None):
    before = len(stage.descriptors())
    with pytest.raises(BorgctlError) as caught:
        os.close(pinned(path, directory))
    assert len(stage.descriptors()) == before
    assert caught.value.reason.code == "socket-refused"
    return caught.value.detail


def test_a_socket_of_ours_is_pinned_and_its_name_is_gone(room, announced):
    fd = pinned(room / "s")
    try:
        assert stat.S_ISSOCK(os.fstat(fd).st_mode)
        assert os.listdir(room) == []
    finally:
        os.close(fd)


SESSION = """
import ctypes, os, socket, sys
from borgctl.gate import transport
from borgctl.errors import BorgctlError
from borgctl.values import SocketPath
path, name = sys.argv[1], sys.argv[2]
ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
os.umask(0o177)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(1)
if os.fork() == 0:
    try:
        connection = transport.connect(transport.pin(SocketPath(path), os.path.dirname(path)))
    except BorgctlError as error:
        print(error.reason.code, error.detail, os.listdir(os.path.dirname(path)), flush=True)
        os._exit(0)
    assert connection.source == connection.sink and not connection.hangup
    os.write(connection.sink, b"from the gate")
    print(os.read(connection.source, 100), os.listdir(os.path.dirname(path)), flush=True)
    os._exit(0)
client, _ = listener.accept()
if data := client.recv(100):
    client.sendall(b"back: " + data)
os.wait()
"""


def test_it_is_connected_though_its_name_is_gone(room):
    told = programs.python(SESSION, room / "s", "sshd").stdout
    assert told == b"b'back: from the gate' []\n"


def test_an_ancestor_that_is_no_sshd_does_not_serve_it(room):
    told = programs.python(SESSION, room / "s", "python3").stdout
    assert told.startswith(b"socket-refused ") and told.endswith(b" []\n")


STRANGER = """
import ctypes, os, socket, sys
ctypes.CDLL(None).prctl(15, b"sshd", 0, 0, 0)  # PR_SET_NAME
os.umask(0o177)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen(1)
    print("listening", flush=True)
    sys.stdin.read()
"""


def test_a_socket_of_an_sshd_that_is_not_above_us_is_refused(room):
    with programs.ended(programs.started(STRANGER, room / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as other:
        assert other.stdout.readline() == b"listening\n"
        with pytest.raises(BorgctlError, match=f"served by process {other.pid}, not by our own sshd"):
            transport.connect(pinned(room / "s"))


def test_a_file_in_its_place_is_left_alone(room):
    (room / "s").write_text("precious")
    assert "not a socket" in refused(room / "s")
    assert (room / "s").read_text() == "precious"


def test_a_fifo_a_directory_or_a_device_is_left_alone(room):
    os.mkfifo(room / "fifo", 0o600)
    (room / "dir").mkdir()
    for name in ("fifo", "dir"):
        assert "not a socket" in refused(room / name)
        assert (room / name).exists()


def test_a_symlink_to_a_socket_is_left_alone(room, announced):
    (room / "link").symlink_to("s")
    assert "not a socket" in refused(room / "link")
    assert sorted(os.listdir(room)) == ["link", "s"]


def test_a_missing_name_is_refused(room):
    assert "No such file" in refused(room / "none")


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o640, 0o601, 0o777])
def test_a_socket_that_others_may_use_is_refused_and_stays(room, announced, mode):
    (room / "s").chmod(mode)
    assert "StreamLocalBindMask" in refused(room / "s")
    assert (room / "s").exists()


def test_a_socket_with_a_second_link_is_refused(room, announced):
    os.link(room / "s", room / "t")
    assert "2 links" in refused(room / "s")
    assert sorted(os.listdir(room)) == ["s", "t"]


@only_root
def test_a_socket_of_another_user_is_refused(room, announced):
    os.chown(room / "s", OTHER, OTHER)
    assert f"uid {OTHER}" in refused(room / "s")
    assert (room / "s").exists()


@pytest.mark.parametrize("path", ["/run/docker.sock", "/s", "{room}/below/s", "{room}x/s"])
def test_a_socket_elsewhere_is_refused(room, path):
    assert "not directly in" in refused(Path(path.format(room=room)), room)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_refused(room, announced, mode):
    room.chmod(mode)
    assert "other users may replace" in refused(room / "s") or "others may use" in refused(room / "s")
    assert (room / "s").exists()


def test_a_directory_behind_a_symlink_is_refused(room, announced):
    link = room.parent / "link"
    link.symlink_to(room)
    assert "symlink" in refused(link / "s")


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_a_name_that_changed_hands_is_not_removed(room, announced, monkeypatch, kind):
    original, swapped = os.rename, []

    def replaced(source, target, **options):
        if source == "s" and not swapped:
            swapped.append(source)
            original(room / "s", room / "old")
            match kind:
                case "file":
                    (room / "s").write_text("precious")
                case "directory":
                    (room / "s").mkdir()
                case "symlink":
                    (room / "s").symlink_to("/etc/passwd")
        return original(source, target, **options)

    monkeypatch.setattr(transport.os, "rename", replaced)
    assert "replaced" in refused(room / "s")
    assert sorted(os.listdir(room)) == ["old", "s"]
    found = (room / "s").is_symlink(), (room / "s").is_dir(), (room / "s").is_file() and (room / "s").read_text()
    assert found[0 if kind == "symlink" else 1 if kind == "directory" else 2]


def test_dead_sockets_are_swept_and_live_ones_are_not(room, announced):
    dead(room / "dead")
    (room / "file").write_text("precious")
    (room / "dir").mkdir()
    (room / "link").symlink_to("dead")
    with listening(room / "other") as other:
        os.close(pinned(room / "s"))
        assert sorted(os.listdir(room)) == ["dir", "file", "link", "other"]
        client = socket.socket(socket.AF_UNIX)
        with client:
            client.connect(str(room / "other"))
        other.accept()[0].close()


def test_a_live_socket_with_another_name_is_not_swept(room, announced, monkeypatch):
    monkeypatch.chdir(room)
    with listening(room / "a") as one, socket.socket(socket.AF_UNIX) as two:
        os.rename(room / "a", room / "b")
        two.bind("relative")
        two.listen(1)
        os.close(pinned(room / "s"))
        assert sorted(os.listdir(room)) == ["b", "relative"]
        one.close()


@only_root
def test_a_dead_socket_of_another_user_is_not_swept(room, announced):
    dead(room / "dead")
    os.chown(room / "dead", OTHER, OTHER)
    os.close(pinned(room / "s"))
    assert os.listdir(room) == ["dead"]


def test_a_dead_socket_cannot_be_connected_and_leaves_no_name(room):
    dead(room / "s")
    before = len(stage.descriptors())
    with pytest.raises(BorgctlError) as caught:
        transport.connect(pinned(room / "s"))
    assert caught.value.reason.code in ("transport-failed", "socket-refused")
    assert os.listdir(room) == []
    assert len(stage.descriptors()) == before


def test_a_socket_that_is_not_served_by_an_ancestor_is_refused(room, announced):
    before = len(stage.descriptors())
    with pytest.raises(BorgctlError, match="not by our own sshd"):
        transport.connect(pinned(room / "s"))
    assert len(stage.descriptors()) == before


def test_stdio_is_the_two_descriptors():
    assert transport.stdio(7, 8) == Connection(7, 8, hangup=True)
