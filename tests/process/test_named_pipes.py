"""A program that waits at a pipe is found, with the pipe's name; one that waits elsewhere, or not at all, is not."""

import os
import subprocess
import sys
import time

import pytest

from borgctl.process.named_pipes import PipeWatch


@pytest.fixture
def started():
    """Start Pythons that run a line; kill them at the end."""
    running = []

    def start(code, **options):
        running.append(subprocess.Popen([sys.executable, "-I", "-c", code], **options))
        return running[-1].pid

    yield start
    for one in running:
        if one.stdin:
            one.stdin.close()
        one.kill()
        one.wait()


def found(pid, seconds=10.0):
    """Return the pipe that is found within `seconds`."""
    watch, end = PipeWatch(lambda: [0, pid], 0.0), time.monotonic() + seconds
    while time.monotonic() < end:
        if path := watch.check():
            return path
        watch._checked = 0.0
        time.sleep(0.01)
    return None


@pytest.mark.parametrize(
    "code", ["open('{}')", "import os; os.open('fifo', os.O_RDONLY, dir_fd=os.open('{top}', 0))", "open('{}', 'w')"]
)
def test_the_pipe_is_named_however_it_is_opened(started, tmp_path, code):
    fifo = tmp_path / f"{'a b' * 40}é" / "fifo"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    assert found(started(code.format(fifo, top=fifo.parent))) == str(fifo)


def test_what_waits_for_data_or_for_time_does_not_wait_for_a_writer(started, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    code = f"print(flush=True); open('{tmp_path}/fifo').read()"
    for one in (code, "import time; print(flush=True); time.sleep(60)", "print(flush=True); input()"):
        pipe, write = os.pipe()
        pid = started(one, stdin=subprocess.PIPE, stdout=write)
        assert os.read(pipe, 1)
        assert found(pid, 0.2) is None
        os.close(pipe)
        os.close(write)
    os.close(writer)


def test_only_a_wait_that_goes_on_counts(started, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    pid = started(f"open('{tmp_path}/fifo')")
    assert found(pid) is not None
    watch = PipeWatch(lambda: [pid], 3600.0)
    assert watch.check() is None and watch._path is not None
    watch._since -= 3601
    assert watch.check() is None  # not so soon again
    watch._checked -= 2
    assert watch.check() == f"{tmp_path}/fifo"
