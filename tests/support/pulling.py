"""A pull without the launcher: borg serve and ssh joined by hand, as the published scripts do it."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

import machines

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "BORG_EXIT_CODES": "modern"}


def serve_argv(borg, repository, base):
    env = {**ENV, "BORG_BASE_DIR": str(base)}
    return [borg, "serve", "--append-only", "--restrict-to-path", str(repository)], env


@dataclass(frozen=True)
class Result:
    returncode: int
    stderr: str


_named: set[int] = set()  # the last second in which a pull may have named its archive


def _in_a_new_second():
    """Wait until an archive's name, in which the time has seconds, cannot be that of the pull before."""
    while int(time.time()) in _named:
        time.sleep(0.02)


def over_stdio(ssh_argv, request, borg, repository, base, timeout=120):
    """Join `borg serve` with ssh by two pipes; return ssh's (that is the gate's) exit status and stderr."""
    _in_a_new_second()
    argv, env = serve_argv(borg, repository, base)
    to_serve, from_ssh = os.pipe()
    to_ssh, from_serve = os.pipe()
    serve = subprocess.Popen(argv, stdin=to_serve, stdout=from_serve, stderr=subprocess.DEVNULL, env=env)
    words = [*ssh_argv] if request is None else [*ssh_argv, request]
    ssh = subprocess.Popen(words, stdin=to_ssh, stdout=from_ssh, stderr=subprocess.PIPE)
    for fd in (to_serve, from_ssh, to_ssh, from_serve):
        os.close(fd)
    try:
        _, err = ssh.communicate(timeout=timeout)
        serve.wait(30)
    finally:
        for process in (ssh, serve):
            process.kill()
            process.wait()
        ssh.stderr.close()
    if request != "run init":
        _named.clear()
        _named.add(int(time.time()))
    return Result(ssh.returncode, err.decode(errors="backslashreplace"))


@contextlib.contextmanager
def served_socket(path, borg, repository, base):
    """Listen on a unix socket and give each connection a `borg serve`, as socat did in the published scripts."""
    argv, env = serve_argv(borg, repository, base)
    serves = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        serves.append(
                            subprocess.Popen(
                                argv, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL, env=env
                            )
                        )

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield serves
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for serve in serves:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    serve.wait(10)
                serve.kill()
                serve.wait()


class Initialized:
    """A client, a server with an empty repository that is known to both, and the key of the pulls."""

    def __init__(self, directory, sshd, borg):
        self._sshd = sshd
        self.server = machines.Server(directory / "server")
        self.client = machines.Client(directory / "client", self.server.repository, borg=borg.path)
        self.key = machines.keypair(directory)
        self.join()
        made = over_stdio(sshd.ssh_argv(self.key), "run init", borg.path, self.server.repository, self.server.state)
        assert last_line(made)["outcome"] == "ok", made.stderr

    def join(self):
        """Make the sshd know the key."""
        self._sshd.authorize(machines.key_line(self.key, self.client.command(self.key)))


def last_line(result):
    """Return the gate's last line as an object."""
    import json

    return json.loads(result.stderr.strip().splitlines()[-1])
