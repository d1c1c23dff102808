"""What the admin's borg is started with, and how it is ended; borg is a stand-in that writes down what it gets."""

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import programs
import pytest
import stage
from terminals import shown_on

from borgctl.cli.window.window_session import WindowSession
from borgctl.reasons import REASONS
from borgctl.state import pins, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

PATH = RepositoryPath("/srv/borg/web1")
POLICY = """\
version: 1
repositories: {{/srv/borg/web1: {{encryption: required}}}}
passphrase: {{file: {directory}/passphrase}}
jobs: {{default: {{paths: [/etc]}}}}
borg: {directory}/borg
base: {directory}/base
window: 30m
sandbox: off
"""
TELLING = """\
#!/bin/sh
[ "$1" = --version ] && exec echo borg 1.4.5
for word in "$@"; do printf '%s\\n' "$word"; done > {directory}/argv
env > {directory}/env
cat "/proc/self/fd/$BORG_PASSPHRASE_FD" > {directory}/secret 2>/dev/null
cat > {directory}/stdin
exit 7
"""
LASTING = """\
#!/bin/sh
[ "$1" = --version ] && exec echo borg 1.4.5
trap 'echo INT >> {directory}/heard; exit 130' INT
echo ready > {directory}/ready
while :; do sleep 0.05; done
"""


@pytest.fixture
def ends():
    ours, gates = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, gates:
        ours.settimeout(20)
        gates.settimeout(20)
        yield ours, gates


@pytest.fixture
def session(tmp_path, ends):
    tmp_path.chmod(0o700)
    policy = stage.written(tmp_path, POLICY.format(directory=tmp_path))
    base = StateDir.open(policy.base)
    directory = f"{policy.base}/runs/abc"
    os.makedirs(f"{directory}/tmp")
    yield WindowSession(policy, base, PATH, directory, ends[0])
    os.close(base.fd)


def stand_in(directory, text):
    program = directory / "borg"
    program.write_text(text.format(directory=directory))
    program.chmod(0o700)


def answered(gates, message):
    """Be the gate: take the status, send the last message and close; return the status."""
    status = window_protocol.receive(gates)
    window_protocol.send(gates, message)
    gates.close()
    return status


def test_borg_gets_the_gates_environment_the_repository_and_the_passphrase_once(session, ends, tmp_path, monkeypatch):
    stand_in(tmp_path, TELLING)
    monkeypatch.setenv("BORG_REPO", "/somewhere/else")
    monkeypatch.setenv("LD_PRELOAD_LIKE", "x")
    monkeypatch.setenv("TERM", "dumb")
    told = []
    gate = threading.Thread(target=lambda: told.append(answered(ends[1], {"kept": True})))
    gate.start()
    assert session.borg(["list", "::a b"], b"the secret", given=b"from us") == 7
    gate.join(20)
    assert told == [{"status": 7}]
    assert session.key_pinned
    assert (tmp_path / "argv").read_text() == "list\n::a b\n"
    assert (tmp_path / "secret").read_text() == "the secret"
    assert (tmp_path / "stdin").read_text() == "from us"
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert env["BORG_REPO"] == "ssh://borgctl/srv/borg/web1"
    assert env["BORG_BASE_DIR"] == f"{session.policy.base}/borg"
    assert env["BORG_RELOCATED_REPO_ACCESS_IS_OK"] == "no" == env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"]
    assert env["TERM"] == "dumb"
    assert env["BORG_RSH"].endswith(session.directory)
    assert "the secret" not in json.dumps(env) and "LD_PRELOAD_LIKE" not in env
    assert not any(name.startswith("BORG_PASSPHRASE") and name != "BORG_PASSPHRASE_FD" for name in env)


def test_a_repository_that_was_moved_is_accepted_as_in_a_run(session, ends, tmp_path):
    stand_in(tmp_path, TELLING)
    pins.set_pin(session.base, "moved", PATH, "/srv/borg/old")
    threading.Thread(target=lambda: answered(ends[1], {})).start()
    session.borg(["list"], None, given=b"")
    assert "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes" in (tmp_path / "env").read_text()
    assert not session.key_pinned


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--info mount ::a /mnt", "--info mount --foreground ::a /mnt"),
        ("--lock-wait 5 mount ::a /mnt", "--lock-wait 5 mount --foreground ::a /mnt"),
        ("extract ::a mount", "extract ::a mount"),
    ],
)
def test_a_mount_stays_in_the_foreground(session, ends, tmp_path, words, expected):
    stand_in(tmp_path, TELLING)
    threading.Thread(target=lambda: answered(ends[1], {})).start()
    session.borg(words.split(), None, given=b"")
    assert (tmp_path / "argv").read_text().split() == expected.split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_roots_borg_uses_no_cache_of_another_users_and_follows_no_link_of_theirs(session, ends, tmp_path):
    from borgctl.errors import BorgctlError

    stand_in(tmp_path, TELLING)
    os.chown(session.base.borg, 64101, 64101)
    threading.Thread(target=lambda: answered(ends[1], {})).start()
    session.borg(["list"], None, given=b"")
    assert f"BORG_CACHE_DIR={session.directory}/tmp/cache" in (tmp_path / "env").read_text()
    os.symlink("/etc", f"{session.base.borg}/trap")
    with pytest.raises(BorgctlError, match="symlink"):
        session.borg(["list"], None, given=b"")


def acting(tmp_path, act):
    """Do something as soon as borg runs."""

    def wait():
        while not (tmp_path / "ready").exists():
            if threading.main_thread().is_alive() is False:
                return
            time.sleep(0.01)
        act()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("by", ["gate", "gone", "signal", "another thread's signal"])
def test_borg_is_told_to_end_by_the_gate_by_its_going_and_by_a_signal(session, ends, tmp_path, by, capsys):
    stand_in(tmp_path, LASTING)
    acts = {
        "gate": lambda: window_protocol.send(ends[1], {"end": "window-expired"}),
        "gone": ends[1].close,
        "signal": lambda: os.kill(os.getpid(), signal.SIGTERM),
        # what shows borg's words on a terminal is a thread
        "another thread's signal": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM),
    }
    acting(tmp_path, acts[by])
    assert session.borg(["list"], None) == 130
    assert (tmp_path / "heard").read_text() == "INT\n"
    said = {"gate": "window-expired", "gone": "disconnected"}.get(by, "stopped")
    assert said in capsys.readouterr().err
    assert session.ended == said


def test_borg_is_ended_in_order_where_nobody_reads_what_we_say(session, ends, tmp_path, monkeypatch):
    """As where the admin's terminal has gone."""
    stand_in(tmp_path, LASTING)
    with open("/dev/full", "w", buffering=1, encoding="utf-8") as unread, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", unread)
        acting(tmp_path, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert session.borg(["list"], None) == 130
        with contextlib.suppress(OSError):
            unread.close()
    assert (tmp_path / "heard").read_text() == "INT\n"
    assert session.ended == "stopped"


def test_a_borg_that_is_stopped_hears_that_it_has_to_end(session, ends, tmp_path):
    stand_in(tmp_path, LASTING.replace("echo ready >", "echo $$ >").replace("while", "kill -STOP $$; while"))

    def act():
        child = int(programs.wait_for((tmp_path / "ready").read_text))  # the shell makes the file, then writes
        programs.wait_for(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        window_protocol.send(ends[1], {"end": "window-expired"})

    acting(tmp_path, act)
    assert session.borg(["list"], None) == 130
    assert (tmp_path / "heard").read_text() == "INT\n"


def test_a_hangup_that_our_starter_ignored_ends_nothing(session, ends, tmp_path):
    """As under nohup(1)."""
    stand_in(tmp_path, LASTING)

    def act():
        os.kill(os.getpid(), signal.SIGHUP)
        window_protocol.send(ends[1], {"end": "window-expired"})

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        acting(tmp_path, act)
        assert session.borg(["list"], None) == 130
    finally:
        signal.signal(signal.SIGHUP, before)
    assert session.ended == "window-expired"


def test_a_borg_that_ends_by_itself_was_not_told_to(session, ends, tmp_path, capsys):
    stand_in(tmp_path, LASTING.replace("while", "exit 3; while"))
    threading.Thread(target=lambda: answered(ends[1], {})).start()
    assert session.borg(["list"], None) == 3
    assert session.ended is None and "ending borg" not in capsys.readouterr().err


def test_a_servers_escapes_in_borgs_words_do_not_reach_the_admins_terminal(session, ends, tmp_path):
    stand_in(
        tmp_path,
        "#!/bin/sh\n[ $1 = --version ] && exec echo borg 1.4.5\nprintf '\\033[2Jout' ; printf '\\033[2Jerr' >&2\n",
    )
    threading.Thread(target=lambda: answered(ends[1], {})).start()
    (master, slave), kept = pty.openpty(), (os.dup(1), os.dup(2))
    try:
        for fd in (1, 2):
            os.dup2(slave, fd)
        session.borg(["list"], None, given=b"")
    finally:
        for fd, own in zip((1, 2), kept, strict=True):
            os.dup2(own, fd)
            os.close(own)
        os.close(slave)
    said = shown_on(master)
    assert sorted(said.split(b"\\x1b[2J")) == [b"", b"err", b"out"]


LAST_BORG = """\
#!/bin/sh
[ "$1" = --version ] && exec echo borg 1.4.5
cat > /dev/null
echo "$*" >> {directory}/borgs
"""
IN_TIME = LAST_BORG + "trap 'exit 0' INT\nkill -{number} $PPID\nwhile :; do sleep 0.05; done\n"
# our starter sleeps from before borg's end until the signal has come, so that it sees both at once
TOO_LATE = (
    LAST_BORG
    + """\
kill -STOP $PPID
( while [ "$(cut -d ' ' -f 3 /proc/$$/stat)" != Z ]; do sleep 0.01; done
  kill -{number} $PPID
  kill -CONT $PPID ) > /dev/null 2>&1 &
"""
)


def granting(listener):
    """Be a gate that grants every window, until the listener is shut down; return what borg was asked for."""
    asked = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                if (message := window_protocol.receive(connection)) is not None:
                    asked.append(message["argv"])
                    window_protocol.send(connection, {"run": "abc", "repository": PATH.text})
                    window_protocol.receive(connection)
    return asked


@pytest.mark.parametrize("number", ["TERM", "HUP", "INT"])
@pytest.mark.parametrize("borg", [IN_TIME, TOO_LATE], ids=["in time", "too late"])
@pytest.mark.parametrize("command", ["passphrase", "recovery"])
def test_after_a_signal_no_other_step_follows_whenever_it_came(session, tmp_path, command, borg, number):
    """borg succeeds all the same; in a session of its own it does not get the terminal's signals."""
    (tmp_path / "borg").write_text(borg.format(directory=tmp_path, number=number))
    (tmp_path / "borg").chmod(0o700)
    (tmp_path / "passphrase").write_text("secret\n")
    (tmp_path / "passphrase").chmod(0o600)
    pins.set_pin(session.base, "repository", PATH, "ab" * 32)
    argv = [sys.executable, "-c", "from borgctl.cli.app import main; main()", command, session.policy.file]
    with window_protocol.listen(session.directory) as listener:
        listener.setblocking(True)
        gate = ThreadPoolExecutor(1).submit(granting, listener)
        result = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )
        listener.shutdown(socket.SHUT_RDWR)
        asked = gate.result(20)
    assert len(asked) == 1, result
    assert len((tmp_path / "borgs").read_text().splitlines()) == 1
    assert result.returncode == REASONS["stopped"].status, result
    assert "a signal asked" in result.stderr and "hint: call it again" in result.stderr
    assert "SECRET" not in result.stdout  # no page
    if command == "passphrase":
        assert (tmp_path / "passphrase").read_text() == "secret\n"
        assert (tmp_path / "passphrase.new").exists()  # the next call goes on from there
