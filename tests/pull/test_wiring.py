"""Who is given serve: our own ssh, by the kernel's word, and nobody else."""

import os
import socket

from borgctl.pull import wiring


def test_a_connection_of_another_process_is_turned_away(world) -> None:
    path, started = f"{world.root}/serve.sock", []

    def serve(stdin: int, stdout: int) -> str:
        started.append(os.fstat(stdin).st_ino == os.fstat(stdout).st_ino)
        return "serve"

    with wiring.listen(path) as listener:
        for pid, given in ((os.getppid(), None), (os.getpid(), "serve")):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                assert wiring.accept(listener, pid, serve) == given
                assert client.recv(1) == b""  # turned away, or serve has ended at once
    assert started == [True]
