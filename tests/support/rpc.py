"""A raw client of `borg serve`: messages packed as borg packs them, or as an attacker would, and serve with them.

call(3, "get", id=…) is what borg sends; pack((1, 3, "destroy", ())) what it does not. `Serve` is a real `borg serve` as
the launcher starts it, alone or behind the guard, with both ends of the talk in our hands.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import msgpack

GUARD = [sys.executable, "-I", "-m", "borgctl.pull.repository.rpc_guard"]
MANIFEST = bytes(32)
PATIENCE = 60.0  # seconds; nothing here takes as long
PLENTY = ("--quota", str(1 << 40), "--puts", "1000000", "--commits", "1000")


def pack(value):
    """Pack as borg does: the old raw types."""
    return msgpack.packb(value, use_bin_type=False)


def call(number, method, /, **arguments):
    """Return a message in borg's form."""
    return pack({b"i": number, b"m": method, b"a": arguments})


def negotiate(version=(1, 4, 5, -1)):
    """Return the first message."""
    return pack((1, 1, "negotiate", [{b"client_version": version}]))


def opening(path, **changed):
    """Return the second message; by default that of `borg create`."""
    arguments = {
        "path": str(path),
        "create": False,
        "lock_wait": 1,
        "lock": True,
        "exclusive": True,
        "append_only": False,
        "make_parent_dirs": False,
    }
    return call(2, "open", **(arguments | changed))


def put(number, id_, data, **more):
    """Return a put; the manifest's has wait=True."""
    return call(number, "put", id=id_, data=data, **more)


def commit(number, **changed):
    """Return a commit as borg sends it."""
    arguments = {"save_space": False, "compact": False, "threshold": 0.1, "cleanup_commits": False}
    return call(number, "commit", **(arguments | changed))


class Serve:
    """A `borg serve` of the given borg on one repository; with `session`, behind the guard of that kind of session."""

    def __init__(self, borg, repository, session=None, words=PLENTY, quota="1G"):
        self.repository, self.events, self.guard = Path(repository), None, None
        argv = [borg, "serve", "--append-only", "--restrict-to-path", repository]
        argv += ["--restrict-to-repository", repository, "--storage-quota", quota, "--umask=0077"]
        base = str(self.repository.parent / "base")
        env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": base, "HOME": base, "LANG": "C.UTF-8"}
        self.said = b""
        self.client, other = socket.socketpair()
        with other, contextlib.ExitStack() as ends:
            source = other.fileno()
            if session:
                source, writer = os.pipe()
                ends.callback(os.close, source)
                ends.callback(os.close, writer)
                asked = ["--repository", str(repository), "--session", session, *words]
                streams = {"stdin": other, "stdout": writer, "stderr": subprocess.PIPE}
                self.guard = subprocess.Popen([*GUARD, *asked], **streams)
            streams = {"stdin": source, "stdout": other, "stderr": subprocess.DEVNULL}
            self.serve = subprocess.Popen(list(map(str, argv)), env=env, **streams)
        self.unpacker = msgpack.Unpacker(raw=True, use_list=False, strict_map_key=False, max_buffer_size=1 << 28)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        for process in filter(None, (self.guard, self.serve)):
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.guard:
            self.guard.stderr.close()

    def say(self, *messages):
        """Send messages; a guard that has gone hears nothing."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.client.sendall(b"".join(messages))

    def answer(self):
        """Return the next answer, None at the end."""
        while True:
            for answer in self.unpacker:
                if not isinstance(answer, int):  # at its end serve writes a line of text, where nothing was opened
                    return answer
            ready, _, _ = select.select([self.client], [], [], PATIENCE)
            assert ready, "serve says nothing"
            try:
                data = self.client.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.unpacker.feed(data)

    def ask(self, message):
        """Send a message and return its answer: the result, or the name of the exception."""
        self.say(message)
        answer = self.answer()
        if isinstance(answer, tuple):
            return answer[2] or answer[3]
        return answer and answer.get(b"exception_class", answer.get(b"r"))

    def end(self):
        """End the stream and wait for all; return the guard's exit status and events (None without a guard)."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)
        while self.answer() is not None:
            pass
        self.serve.wait(PATIENCE)
        if not self.guard:
            return None
        lines = self.guard.stderr.read().decode().splitlines()
        return self.guard.wait(PATIENCE), [json.loads(line) for line in lines]
