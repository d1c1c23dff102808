"""What is printed while a loop turns: whole, in order, and never waited for."""

import fcntl
import io
import math
import os
import sys
from collections.abc import Iterator

import pytest

from borgctl.process.event_loop import EventLoop
from borgctl.pull.process.outputs import Queue, Stream, queued
from borgctl.pull.process.signals import Stop

SMALL = 4096  # bytes of a pipe


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a small pipe; the test may close the first."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALL)
    yield reader, writer
    os.close(writer)


def stream(writer: int, loop: EventLoop, most: int = 1 << 20) -> Stream:
    return Stream(io.TextIOWrapper(io.FileIO(writer, "w", closefd=False)), Queue(writer, loop), most)


def numbered(count: int) -> list[str]:
    return [f"line {number} {'x' * (number % 97)}" for number in range(count)]


def test_a_slow_reader_gets_every_line_complete_and_in_order(pipe) -> None:
    reader, writer = pipe
    loop, lines, seen = EventLoop(), numbered(2000), bytearray()
    file = stream(writer, loop)
    for line in lines:
        print(line, file=file)
    loop.watch(reader, lambda: seen.extend(os.read(reader, 100)))
    while seen.count(b"\n") < len(lines):
        loop.turn()
    assert seen.decode().splitlines() == lines and not loop.watches(writer)
    os.close(reader)


def test_what_finds_no_room_is_lost_line_by_line_and_counted(pipe) -> None:
    reader, writer = pipe
    file = stream(writer, EventLoop(), most=1000)
    os.set_blocking(reader, False)
    for line in numbered(500):
        print(line, file=file, flush=True)
    there = os.read(reader, 1 << 16).decode()
    lost = file.loss()
    assert there and "".join(f"{line}\n" for line in numbered(500)).startswith(there)
    assert lost == f"lost lines, as nobody read them: {500 - there.count(chr(10))}" and file.loss() is None
    os.close(reader)


def test_an_error_is_raised_once_at_the_next_line_at_the_latest(pipe) -> None:
    reader, writer = pipe
    loop = EventLoop()
    file = stream(writer, loop)
    print("x" * 10_000, file=file)
    os.close(reader)
    loop.turn()
    with pytest.raises(BrokenPipeError):
        print("y", file=file)
    with pytest.raises(BrokenPipeError):
        print("y", file=file)
    assert not loop.watches(writer)


def test_where_both_lead_to_one_file_its_lines_stay_whole(pipe, monkeypatch) -> None:
    reader, writer = pipe
    other = os.dup(writer)
    for name, fd in (("stdout", writer), ("stderr", other)):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.FileIO(fd, "w", closefd=False)))
    loop, seen = EventLoop(), bytearray()
    with Stop() as stop, queued(loop, stop) as outputs:
        for number in range(100):
            print("out " + "x" * number * 5)
            print("err " + "y" * number * 5, file=sys.stderr, flush=True)
        loop.watch(reader, lambda: seen.extend(os.read(reader, 1000)))
        while seen.count(b"\n") < 200:
            loop.turn()
        assert outputs.finish() == {}
    expected = [
        f"{name} {letter * number * 5}" for number in range(100) for name, letter in (("out", "x"), ("err", "y"))
    ]
    assert seen.decode().splitlines() == expected
    os.close(reader)
    os.close(other)


def test_after_the_deadline_nobody_is_waited_for(pipe, monkeypatch) -> None:
    reader, writer = pipe
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(writer, "w", closefd=False)))
    monkeypatch.setattr("borgctl.pull.process.outputs._HURRIED", 0.05)
    with Stop() as stop, queued(EventLoop(), stop) as outputs:
        print("x" * 10_000)
        assert outputs.finish(-math.inf) == {"stdout": "lost lines, as nobody read them: 1"}
    os.close(reader)


def test_an_object_without_a_descriptor_is_left_as_it_is(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", file := io.StringIO())
    with Stop() as stop, queued(EventLoop(), stop):
        print("said")
    assert file.getvalue() == "said\n"


def test_a_full_disk_is_an_error_at_once() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left on device"):
        print("x", file=stream(full, EventLoop()))
    os.close(full)


def test_where_both_lead_to_one_file_whoever_lost_something_learns_of_the_error(pipe) -> None:
    reader, writer = pipe
    loop = EventLoop()
    queue = Queue(writer, loop)
    out, err, silent = (Stream(io.TextIOWrapper(io.FileIO(writer, "w", closefd=False)), queue, 1 << 20) for _ in "123")
    print("x" * 10_000, file=out)
    os.close(reader)
    loop.turn()
    with pytest.raises(BrokenPipeError):
        print("y", file=err)
    assert (out.loss(), err.loss(), silent.loss()) == ("Broken pipe", None, None)
