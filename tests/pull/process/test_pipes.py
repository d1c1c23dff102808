"""What the client sends reaches the guard only; a socket accepts only our own ssh, by SO_PEERCRED."""

import os
import socket
from functools import partial

import pytest

from borgctl.pull.process import pipes
from borgctl.pull.process.pipes import Starts
from borgctl.pull.targets.errors import PullError


class Ends:
    """Stands for a child: the inodes of the stdin and stdout that it was started with; a pipe's ends have one."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdin, self.stdout = (os.fstat(fd).st_ino for fd in (stdin, stdout))

    def close(self) -> None:
        """Nothing runs."""


@pytest.mark.parametrize("transport", ["stdio", "socket"])
def test_on_every_transport_the_client_speaks_to_the_guard_and_the_guard_to_serve(world, transport) -> None:
    if transport == "stdio":  # and local
        (guard, serve), peer = pipes.cross(Starts(Ends, Ends), Ends)
        assert peer.stdin == serve.stdout, "what serve says goes to the client"
    else:
        path = f"{world.root}/serve.sock"
        with pipes.listen(path) as listener, socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            ours = pipes.accept(listener, os.getpid(), Starts(Ends, Ends))
        assert ours is not None
        guard, serve = ours
        assert guard.stdin == serve.stdout, "the one connection"
    assert serve.stdin == guard.stdout != guard.stdin, "serve reads what the guard writes"


def test_the_client_is_called_first_and_let_go_where_one_of_ours_does_not_start(world) -> None:
    started: list[str] = []

    class Named(Ends):
        def __init__(self, name: str, stdin: int, stdout: int) -> None:
            super().__init__(stdin, stdout)
            self.name = name
            started.append(name)

        def close(self) -> None:
            started.append(f"{self.name} closed")

    def broken(stdin: int, stdout: int) -> Ends:
        raise PullError("cannot start guard")

    serve, peer = partial(Named, "serve"), partial(Named, "ssh")
    with pytest.raises(PullError):
        pipes.cross(Starts(broken, serve), peer)
    assert started == ["ssh", "serve", "serve closed", "ssh closed"]


def test_a_connection_of_another_process_is_turned_away(world) -> None:
    path, started = f"{world.root}/serve.sock", []

    def start(stdin: int, stdout: int) -> Ends:
        started.append((stdin, stdout))
        return Ends(stdin, stdout)

    with pipes.listen(path) as listener:
        for pid in (os.getppid(), os.getpid()):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                ours = pipes.accept(listener, pid, Starts(start, start))
                assert (ours is None) == (pid != os.getpid()) and client.recv(1) == b""
    assert len(started) == 2
