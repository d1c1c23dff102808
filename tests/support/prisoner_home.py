"""Where the prisoner lives: its program, what it may and may not touch, and who listens for it."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import threading
from pathlib import Path

import machines
import yaml

import borgctl

SOURCE = Path(__file__).with_name("prisoner.py")


def furnish(client, scratch, *, chain=False):
    """Make the program and its facts; return them with its path as `program`. A `chain` tries to outlive it."""
    (client.source / "etc/offered").write_text("offered")
    folder = scratch / "folder"
    folder.mkdir(mode=0o755)
    (folder / "other").write_text("secret")
    facts = {
        "offered": str(client.source / "etc/offered"),
        "other": str(folder / "other"),
        "folder": str(folder),
        "passphrase": str(client.passphrase_file),
        "policy": str(client.policy_file),
        "log": str(client.audit_file),
        "socket": str(scratch / "roots.sock"),
        "abstract": f"borgctl-prisoner-{os.urandom(4).hex()}",
        "program": str(scratch / "prisoner"),
        "key": f"borgctl-prisoner-{os.urandom(4).hex()}",
        "pids": [os.getpid(), os.getppid()],
        "memory": 400 << 20,
        "chain": chain,
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        facts["port"] = probe.getsockname()[1]
    where = client.source / "facts.json"
    where.write_text(json.dumps(facts))
    text = SOURCE.read_text().replace('"FACTS"', repr(str(where)))
    Path(facts["program"]).write_text(f"#!/usr/bin/python3 -I\n{text}")
    Path(facts["program"]).chmod(0o755)
    return facts


@contextlib.contextmanager
def listening(facts):
    """Listen where the prisoner dials; count what came in."""
    done = {"dialled": 0}
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX)
        ]
        sockets[0].bind(("127.0.0.1", facts["port"]))
        old = os.umask(0o177)
        try:
            sockets[1].bind(facts["socket"])
        finally:
            os.umask(old)
        sockets[2].bind("\0" + facts["abstract"])
        threads = []
        for one in sockets:
            one.listen()
            threads.append(threading.Thread(target=_count, args=(one, done), daemon=True))
            threads[-1].start()
        yield done
        for one in sockets:
            one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


def _count(listener, done):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.close()
            done["dialled"] += 1


@contextlib.contextmanager
def key(facts):
    """Have a key in a session keyring of our own, which the gate inherits; processes of other tests keep theirs."""
    libc, machine = ctypes.CDLL(None), os.uname().machine == "x86_64"
    libc.syscall(250 if machine else 219, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
    number = libc.syscall(248 if machine else 217, b"user", facts["key"].encode(), b"x", ctypes.c_size_t(1), -3)
    assert number > 0
    libc.syscall(250 if machine else 219, 5, number, 0x3F3F3F3F)  # KEYCTL_SETPERM: only its place keeps it
    yield
    libc.syscall(250 if machine else 219, 21, number)  # KEYCTL_INVALIDATE


def objects():
    """Return kind and number of the prisoner's System V objects on this machine."""
    found = []
    for kind in ("shm", "sem", "msg"):
        lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
        found += [(kind, line.split()[1]) for line in lines if int(line.split()[0]) == 0x626F7267]
    return found


@contextlib.contextmanager
def without_objects():
    """Remove those at the end."""
    try:
        yield
    finally:
        for kind, number in objects():
            machines.run(["ipcrm", {"shm": "-m", "sem": "-s", "msg": "-q"}[kind], number])


def told(result):
    """Return what the prisoner printed, through the gate."""
    lines = [line for line in result.stderr.splitlines() if '"succeeded"' in line]
    assert lines, result.stderr
    return json.loads(lines[-1].partition(": ")[2])


def listing(top):
    """Return what could be changed in a tree by somebody who may."""
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_size) for path in Path(top).rglob("*"))


def interpreter(directory):
    """Make an installation of the gate alone, with the system's Python, that every user can run."""
    assert machines.run(["/usr/bin/python3", "-m", "venv", "--without-pip", directory]).returncode == 0
    (packages,) = directory.glob("lib/python3.*/site-packages")
    for module in (borgctl, yaml):
        shutil.copytree(Path(module.__file__).parent, packages / module.__name__, ignore=shutil.ignore_patterns("*.so"))
    return directory / "bin/python3"
