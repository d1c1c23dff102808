"""The kernel reports who is at the other end."""

import os
import socket
import subprocess
import sys

import pytest

from borgctl.process import peer_credentials

HIGHEST = 2**32 - 2  # user_namespaces(7): no higher number is a user's
ANOTHER = """
import os, socket, sys
from borgctl.process import peer_credentials
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
print(*peer_credentials.read(socket.socketpair()[0])[1:])
"""


def test_it_is_we_ourselves() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_credentials.read(ours) == (os.getpid(), os.geteuid(), os.getegid())


def test_no_other_socket_has_a_peer_that_the_kernel_knows() -> None:
    with socket.socket(socket.AF_UNIX) as alone:
        assert peer_credentials.read(alone).pid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_highest_user_is_no_negative_one() -> None:
    done = subprocess.run([sys.executable, "-c", ANOTHER, str(HIGHEST)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{HIGHEST} {HIGHEST}\n", "")
