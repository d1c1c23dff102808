"""Windows for tests: the launcher's half in the background, and the client's commands beside it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import machines
from machines import run, wait_for

HURRIED = Path(__file__).with_name("hurried.py")


@contextlib.contextmanager
def opened(pair, seconds=600, target="web1", allow=None):
    """Hold a window open in the background; what the launcher says is in `.said` when it has ended."""
    more = ("--allow", allow) if allow else ()
    log = pair.server.directory / "window.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            pair.server.borgpull("window", target, "--for", f"{seconds}s", *more),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    process.said = log.read_text
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def borgctl(*words, **options):
    return run([machines.program("borgctl"), *words], timeout=options.pop("timeout", 100), **options)


def borg(client, *words, **options):
    """Run one command of the admin's through whatever window is open."""
    return borgctl("window", "--policy", client.policy_file, "--wait", "60", "--", "borg", *words, **options)


def started(client, *words, **options):
    """Start such a command, by a program that ends borg in less time, and return it once it is recorded."""
    before = len(client.records("window"))
    argv = [
        sys.executable,
        HURRIED,
        "borgctl",
        "window",
        "--policy",
        str(client.policy_file),
        "--wait",
        "60",
        "--",
        "borg",
    ]
    process = subprocess.Popen([*argv, *map(str, words)], stdin=subprocess.DEVNULL, start_new_session=True, **options)
    wait_for(lambda: len(client.records("window")) > before, 60, "the command to be recorded")
    return process


def archives(client):
    result = borg(client, "list", "--short")
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def assert_nothing_is_left(pair):
    """Fail unless all that a window made is gone: sessions, relays, private directories, sockets, locks."""
    wait_for(lambda: not pair.sshd.sessions(), 60, f"sessions to end: {pair.sshd.sessions()}")
    wait_for(lambda: os.listdir(pair.client.base / "runs") == [], 10, "private directories to go")
    assert not [p for p in machines.processes() if str(pair.client.base) in p.command and "relay" in p.command]
    assert_no_socket_is_left(pair)
    assert not [path for path in pair.server.repository.iterdir() if path.name.startswith("lock")]


def assert_no_socket_is_left(pair):
    """Fail unless each name that a gate was told is gone, and the next gate removes one that none was told.

    sshd makes the name, and removes none: where a launcher ends while a session comes up, that session's gate may
    not have begun.
    """
    left = {path.name for path in pair.client.socket_directory.iterdir()}
    asked = " ".join(record.get("request") or "" for record in pair.client.records())
    assert not [name for name in left if name in asked]
    if left:
        pair.borgpull("test", "web1")
        assert list(pair.client.socket_directory.iterdir()) == []
