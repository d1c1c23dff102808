"""A fixture of the process tests: a test leaves no process and no descriptor behind."""

import os

import programs
import pytest
import stage

from borgctl.process.process_tree import ancestors


def ours():
    """Return our living descendants; other tests' fixtures may have some that live as long as the session."""
    below = {int(name) for name in os.listdir("/proc") if name.isdigit() and os.getpid() in ancestors(int(name))}
    return {pid for pid in below if programs.alive(pid)}  # where another test made us a subreaper, orphans are ours


@pytest.fixture
def nothing_left():
    before, known = stage.descriptors(), ours()
    yield
    assert stage.descriptors() <= before
    programs.wait_for(lambda: ours() <= known)  # what was killed takes a moment to go
