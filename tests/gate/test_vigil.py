"""What a gate that only waits looks out for."""

import os
import signal
import time

import pytest

from borgctl.gate.output import Output
from borgctl.gate.vigil import Vigil


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for fd in (read_end, write_end):
        try:
            os.close(fd)
        except OSError:
            continue


@pytest.fixture
def output(pipe):
    return Output(pipe[1], "run")


def until(vigil, *fds):
    end = time.monotonic() + 20
    while vigil.reason is None and time.monotonic() < end:
        vigil.wait(*fds)
    return vigil.reason


def test_its_time_is_over(output):
    with Vigil(output, 0.2) as vigil:
        assert until(vigil) == "window-expired"
        begun = time.monotonic()
        vigil.wait()
        assert time.monotonic() - begun > 0.3  # it does not spin afterwards


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_what_was_there_before_comes_back(output, number):
    before = signal.getsignal(number)
    with Vigil(output, 60) as vigil:
        os.kill(os.getpid(), number)
        assert until(vigil) == "stopped"
    assert signal.getsignal(number) is before


def test_a_reader_that_has_gone_ends_it(pipe, output):
    with Vigil(output, 60) as vigil:
        os.close(pipe[0])
        assert until(vigil) == "disconnected"


def test_a_server_that_has_gone_ends_it_where_that_can_be_told(output):
    theirs, ours = os.pipe()
    os.close(ours)
    try:
        with Vigil(output, 60, theirs) as vigil:
            assert until(vigil) == "disconnected"
        with Vigil(output, 0.3) as vigil:
            assert until(vigil) == "window-expired"
    finally:
        os.close(theirs)


def test_the_first_reason_stays_the_reason(pipe, output):
    with Vigil(output, 0.05) as vigil:
        assert until(vigil) == "window-expired"
        os.close(pipe[0])
        vigil.wait()
        assert vigil.reason == "window-expired"


def test_what_waits_is_written_and_what_is_readable_is_told(pipe, output):
    theirs, ours = os.pipe()
    output.say("hello")
    os.write(ours, b"x")
    try:
        with Vigil(output, 60) as vigil:
            ready = set()
            while output.waiting or theirs not in ready:
                ready |= vigil.wait(theirs, -1)
        assert os.read(pipe[0], 100) == b"borgctl: hello\n"
    finally:
        os.close(theirs)
        os.close(ours)
