"""A window as the gate holds it: who may use it, what is said then, and how it ends where nobody does."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import programs
import pytest

from borgctl.borg import relay
from borgctl.borg.command import WindowGrant
from borgctl.errors import BorgctlError
from borgctl.gate.output import Output
from borgctl.gate.transport import stdio
from borgctl.gate.window import Window
from borgctl.state import run_locks, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.values import RepositoryPath

PATH = RepositoryPath("/srv/borg/web1")


class Room:
    """A window's surroundings: a base, a run's directory, pipes to a server, an output that is read at the end."""

    def __init__(self, directory):
        directory.chmod(0o700)
        self.base = StateDir.open(str(directory / "base"))
        self.directory = f"{self.base.path}/runs/abc"
        os.mkdir(self.directory, 0o700)
        self.server = (*os.pipe(), *os.pipe())
        self.told, write_end = os.pipe()
        self.open = [self.base.fd, *self.server, self.told, write_end]
        self.output = Output(write_end, "abc")
        self.output.json = True
        self.records = []

    def window(self, seconds=30.0, record=None):
        connection = stdio(self.server[0], self.server[3])
        opening = WindowGrant("policy.yaml", PATH, "stdio", seconds)
        agree = lambda kind, shown: True  # noqa: E731
        return Window(opening, self.base, self.directory, connection, self.output, agree, record or self.records.append)

    def states(self):
        self.output.flush()
        lines = os.read(self.told, 65536).splitlines()
        return [event["state"] for event in map(json.loads, lines) if event["event"] == "window"]

    def hang_up(self):
        """Be a server that goes."""
        self.open.remove(self.server[1])
        os.close(self.server[1])

    def close(self):
        for fd in self.open:
            os.close(fd)


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path)
    yield room
    room.close()


def beside(act):
    """Run `act` in a thread, which is joined and whose result is `.result` afterwards."""
    thread = threading.Thread(target=lambda: setattr(thread, "result", act()), daemon=True)
    thread.start()
    return thread


def met(room):
    """Return a connection to the window, as soon as there is one."""
    end = time.monotonic() + 20
    while not (found := list(window_protocol.windows(room.base.fd))) and time.monotonic() < end:
        time.sleep(0.01)
    connection = found[0][1]
    connection.settimeout(20)
    return connection


def told(room, status):
    """WindowRequest the window and say that borg ended so."""
    with met(room) as connection:
        window_protocol.send(connection, WindowRequest(("borg",)).message)
        window_protocol.receive(connection)
        window_protocol.send(connection, {"status": status})
        window_protocol.receive(connection)


def claimed(room, *what):
    """Send each message on a connection of its own, as soon as there is a window; return the answers."""
    answers = []
    for message in what:
        with met(room) as connection:
            connection.send(message) if isinstance(message, bytes) else window_protocol.send(connection, message)
            answers.append(window_protocol.receive(connection))
            if answers[-1] and "run" in answers[-1]:
                window_protocol.send(connection, {"status": 0})
                while window_protocol.receive(connection) is not None:
                    pass
    return answers


def test_a_claim_is_recorded_before_it_is_granted_and_its_end_is_the_windows(room):
    thread = beside(lambda: claimed(room, WindowRequest(("borg", "list"), 1000).message))
    ending = room.window().run()
    thread.join(20)
    assert thread.result == [{"run": "abc", "repository": "/srv/borg/web1"}]
    assert room.records == [{"argv": ["borg", "list"], "login": 1000, "uid": os.geteuid(), "pid": os.getpid()}]
    assert (ending.outcome, ending.origin, ending.code) == ("ok", "borg", 0)
    assert room.states() == ["open", "used"]
    assert os.listdir(room.directory) == [] or os.listdir(room.directory) == ["socket"]


def test_what_is_no_claim_and_a_claim_for_another_repository_leave_the_window_open(room):
    other = WindowRequest(("borg",), repository="/srv/other").message
    good = WindowRequest(("borg",), repository=PATH.text).message
    thread = beside(lambda: claimed(room, b"nonsense", {"argv": 1}, other, good))
    assert room.window().run().outcome == "ok"
    thread.join(20)
    assert thread.result[:2] == [None, None]
    assert thread.result[2] == {"other": PATH.text}
    assert "run" in thread.result[3]
    assert len(room.records) == 1


def test_a_repository_that_a_run_uses_is_an_answer(room):
    def act():
        with run_locks.lock_repository(room.base, PATH):
            first = claimed(room, WindowRequest(("borg",)).message)
        return first + claimed(room, WindowRequest(("borg",)).message)

    thread = beside(act)
    assert room.window().run().outcome == "ok"
    thread.join(20)
    assert thread.result[0]["refused"] == "repository-busy"
    assert "run" in thread.result[1]
    assert len(room.records) == 1


def test_without_a_record_nothing_is_granted(room):
    def record(_):
        raise BorgctlError("log-unusable", "no room")

    thread = beside(lambda: claimed(room, WindowRequest(("borg",)).message))
    with pytest.raises(BorgctlError) as caught:
        room.window(record=record).run()
    thread.join(20)
    assert caught.value.reason.code == "log-unusable"
    assert thread.result == [{"refused": "log-unusable", "detail": "no room"}]
    with run_locks.lock_repository(room.base, PATH):  # and it is free again
        assert room.states() == ["open"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_is_turned_away_even_where_the_directory_lets_them_in(room):
    for path in (room.directory, f"{room.base.path}/runs", room.base.path, os.path.dirname(room.base.path)):
        os.chmod(path, 0o755)
    above = os.path.dirname(room.base.path)
    while (above := os.path.dirname(above)) not in ("/", "/tmp"):
        os.chmod(above, os.stat(above).st_mode | 0o011)

    def act():
        end = time.monotonic() + 20
        while not os.path.exists(f"{room.directory}/{window_protocol.SOCKET}") and time.monotonic() < end:
            time.sleep(0.01)
        os.chmod(f"{room.directory}/{window_protocol.SOCKET}", 0o777)
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setuid(65534)
            found = list(window_protocol.windows(room.base.fd))
            answer = window_protocol.send(found[0][1], WindowRequest(("borg",)).message) and window_protocol.receive(
                found[0][1]
            )
            os._exit(0 if found and not answer else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:  # else nobody may be there any more who takes the signal
            os.kill(os.getpid(), signal.SIGTERM)
        return status

    thread = beside(act)
    ending = room.window().run()
    thread.join(20)
    assert thread.result == 0
    assert room.records == []
    assert ending.reason == "stopped"


ADMIN = """
import os, subprocess, sys, time
from borgctl.state import window_protocol
from borgctl.borg import relay
base, end = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY), time.monotonic() + 20
while not (found := list(window_protocol.windows(base))) and time.monotonic() < end:
    time.sleep(0.01)
connection = found[0][1]
window_protocol.send(connection, window_protocol.WindowRequest(("borg",)).message)
assert "run" in window_protocol.receive(connection)
print("claimed", flush=True)
sys.stdin.readline()
print(subprocess.run([sys.executable, "-I", "-S", "-c", sys.argv[2]], capture_output=True).stdout, flush=True)
window_protocol.send(connection, {"status": 0})
"""
DIAL = "import os, socket; os.chdir({!r}); relay = socket.socket(socket.AF_UNIX); relay.connect('socket'); "
DIAL += "relay.settimeout(10); os.write(1, b'said ' + relay.recv(1))"


def test_a_relay_of_another_process_than_the_recorded_one_is_not_let_in(room):
    """Not even one of the same user's: what the connection is for is what the record says."""

    def act():
        dial = DIAL.format(room.directory)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with programs.ended(programs.started(ADMIN, room.base.path, dial, **pipes)) as admin:
            assert admin.stdout.readline() == b"claimed\n"
            ours = subprocess.run([sys.executable, "-I", "-S", "-c", dial], capture_output=True, check=True).stdout
            admin.stdin.write(b"\n")
            admin.stdin.flush()
            theirs = admin.stdout.readline()
            admin.wait(20)
        return ours, theirs

    thread = beside(act)
    assert room.window().run().origin == "borg"
    thread.join(20)
    room.open.remove(room.server[3])  # the listener has closed it: the relay has its own
    assert thread.result == (b"said ", b"b'said \\x00'\n")


def test_a_window_that_nobody_uses_ends_well_at_its_time(room):
    ending = room.window(0.2).run()
    assert (ending.outcome, ending.origin, ending.code, ending.reason) == ("ok", "gate", 0, None)
    assert room.states() == ["open"]


def test_a_server_that_goes_ends_it(room):
    room.hang_up()
    assert room.window().run().outcome == "disconnected"


def test_a_signal_ends_it(room):
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    assert room.window().run().reason == "stopped"


def test_an_admin_who_goes_without_a_word_has_not_succeeded(room):
    def act():
        with met(room) as connection:
            window_protocol.send(connection, WindowRequest(("borg",)).message)
            window_protocol.receive(connection)

    beside(act)
    ending = room.window().run()
    assert (ending.outcome, ending.origin, ending.reason) == ("failed", "gate", "stopped")


@pytest.mark.parametrize("status", [0, 1, 2, 100, 107, 126, 255, -9, -2])
def test_borgs_status_is_the_windows(room, status):
    beside(lambda: told(room, status))
    ending = room.window().run()
    expected = "ok" if status == 0 else "warning" if status == 1 or 100 <= status < 126 else "failed"
    assert (ending.outcome, ending.origin) == (expected, "borg")
    assert 0 <= ending.code <= 255
    assert ending.signal == (-status if status < 0 else None)


@pytest.mark.parametrize("status", ["0", None, 10**30, -1000, [], {}])
def test_a_status_that_is_none_is_no_success(room, status):
    beside(lambda: told(room, status))
    assert room.window().run().reason == "stopped"


@pytest.mark.parametrize(
    ("words", "may"), [(("with-lock", "::", "true"), True), (("create", "::with-lock"), False), (("delete",), False)]
)
def test_only_a_borg_that_has_no_key_to_load_may_write_without_it(room, words, may):
    window = room.window()
    window.agree = lambda kind, shown: False
    admin = WindowRequest(("borg", *words))
    assert window._agree(admin, relay.WRITES, b"") is may
    assert window._agree(admin, relay.REPOSITORY, bytes(32)) is False
