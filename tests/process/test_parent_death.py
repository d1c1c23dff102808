"""A child ends with its parent, and does not start where that is impossible."""

import os
import select
import signal
import subprocess
import sys

import pytest

from borgctl.process import parent_death

PARENT = """
import os, subprocess, sys, time
from borgctl.process import parent_death
parent = os.getpid()
with subprocess.Popen(["sleep", "600"], preexec_fn=lambda: parent_death.end_with(parent, int(sys.argv[1]))) as child:
    print(child.pid, flush=True)
"""


def status_of_a_child(act) -> int:
    """Return the exit status of a child that runs this and goes on."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(int(number))], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        assert select.select([pidfd], [], [], 60)[0]
        os.close(pidfd)


def test_a_child_whose_parent_has_died_does_not_begin() -> None:
    ours = os.getpid()
    assert status_of_a_child(lambda: parent_death.end_with(ours)) == 0
    assert status_of_a_child(lambda: parent_death.end_with(ours + 1)) == 127


def test_a_child_that_the_kernel_does_not_tie_does_not_begin() -> None:
    ours = os.getpid()
    assert status_of_a_child(lambda: parent_death.end_with(ours, 4711)) == 127  # no such signal
    with pytest.raises(OSError, match="PDEATHSIG"):
        parent_death.request_signal(4711)
