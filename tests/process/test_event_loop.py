"""The event loop, with real pipes, processes and signals."""

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from borgctl.process.event_loop import EventLoop, Signals, Termination

LATE = 60.0  # seconds after which a test has failed


@pytest.fixture
def loop():
    return EventLoop()


@pytest.fixture
def pipe():
    """Return a function that makes a pipe; close afterwards what is still open."""
    made = []

    def make():
        made.extend(os.pipe())
        return made[-2:]

    yield make
    for fd in made:
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture
def process():
    """Return a function that starts a process, and returns it with its pidfd."""
    made = []

    def start(code, **options):
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], **options)
        made.append((child, os.pidfd_open(child.pid)))
        return made[-1]

    yield start
    for child, pidfd in made:
        child.kill()
        child.wait()
        os.close(pidfd)
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()


def turns(loop, done):
    """Turn a loop until a condition is true."""
    end = time.monotonic() + LATE
    while not done():
        assert time.monotonic() < end
        loop.turn(end)


def waits(loop):
    """Turn a loop for a moment; tell whether it waited, and did not spin."""
    number, end = 0, time.monotonic() + 0.2
    while time.monotonic() < end:
        loop.turn(end)
        number += 1
    return number <= 2


def to_us(number):
    """Send a signal to this thread: a test's process may have others, which block nothing."""
    signal.pthread_kill(threading.get_ident(), number)


# ---- descriptors


def test_what_is_readable_is_read_and_an_end_is_told_once(loop, pipe):
    source, sink = pipe()
    pieces = []
    loop.watch(source, lambda: pieces.append(loop.read(source)))
    os.write(sink, b"one")
    loop.turn()
    os.write(sink, b"two")
    os.close(sink)
    turns(loop, lambda: not loop.watches(source))
    assert pieces == [b"one", b"two", b""]
    assert waits(loop)


def test_one_read_is_bounded_and_leaves_the_others_their_turn(loop, pipe):
    (flood, flooding), (quiet, saying) = pipe(), pipe()
    os.set_blocking(flooding, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(flooding, bytes(4096))
    os.write(saying, b"a word")
    read = []
    for fd in (flood, quiet):
        loop.watch(fd, lambda fd=fd: read.append((fd, len(loop.read(fd)))))
    loop.turn()
    assert read == [(flood, 65536), (quiet, 6)]


def test_acts_come_in_the_order_in_which_they_were_first_watched(loop, pipe):
    pipes, order = [pipe() for _ in range(5)], []
    pipes.sort(reverse=True)
    for index, (source, _) in enumerate(pipes):
        loop.once(source, lambda index=index: order.append(index))
    loop.once(pipes[0][0], lambda: order.append("again"))  # keeps its place
    for _, sink in reversed(pipes):
        os.write(sink, b"x")
    loop.turn()
    assert order == ["again", 1, 2, 3, 4]


def test_what_an_earlier_act_of_the_same_turn_forgets_does_not_happen(loop, pipe):
    (first, one), (second, two) = pipe(), pipe()
    loop.watch(first, lambda: loop.forget(first, second))
    loop.watch(second, pytest.fail)
    for sink in (one, two):
        os.write(sink, b"x")
    loop.turn()
    assert not loop.watches(first) and not loop.watches(second)


def test_a_number_that_became_another_file_in_the_same_turn_is_not_acted_on(loop, pipe):
    """Where a call closes a descriptor and opens one, the kernel reuses the number."""
    (first, one), (second, two), (other, _) = pipe(), pipe(), pipe()
    acted = []

    def replace():
        loop.forget(first, second)
        os.dup2(other, second)
        loop.watch(second, lambda: acted.append("a file that nobody has written to"))

    loop.watch(first, replace)
    loop.watch(second, pytest.fail)
    for sink in (one, two):
        os.write(sink, b"x")
    loop.turn()
    assert waits(loop) and acted == []


def test_a_reader_that_goes_is_told_though_nothing_is_written(loop, pipe):
    source, sink = pipe()
    gone = []
    loop.watch(sink, pytest.fail, 0, gone=lambda: gone.append(True))
    assert waits(loop)
    os.close(source)
    loop.turn()
    assert gone == [True] and not loop.watches(sink)
    assert waits(loop)


def test_a_writer_that_goes_is_told_though_nothing_is_read(loop, pipe):
    source, sink = pipe()
    gone = []
    loop.once(source, lambda: gone.append(True), 0)
    os.write(sink, b"what nobody reads")
    assert waits(loop) and gone == []
    os.close(sink)
    loop.turn()
    assert gone == [True]


def test_a_descriptor_that_was_closed_is_told_once_and_spins_nothing(loop, pipe):
    source, sink = pipe()
    gone = []
    loop.watch(source, lambda: gone.append("readable"))
    loop.watch(sink, pytest.fail, select.POLLOUT, gone=lambda: gone.append("gone"))
    os.close(source)
    os.close(sink)
    assert waits(loop)
    assert gone == ["readable", "gone"]
    loop.forget(source, sink)


def test_what_is_watched_anew_has_the_new_events_and_the_new_act(loop, pipe):
    _, sink = pipe()
    acts = []
    loop.watch(sink, pytest.fail, 0)
    loop.watch(sink, lambda: acts.append("writable"), select.POLLOUT)
    loop.turn()
    loop.watch(sink, pytest.fail, 0)
    assert waits(loop)
    assert acts == ["writable"]


# ---- the clock


def test_timers_happen_once_in_the_order_of_their_moments(loop):
    order = []
    loop.after(0.02, lambda: order.append(2))
    loop.after(0.01, lambda: order.append(1))
    loop.after(math.inf, pytest.fail)
    cancelled = loop.after(0.015, pytest.fail)
    loop.cancel(cancelled, None)
    loop.cancel(cancelled)
    turns(loop, lambda: len(order) == 2)
    assert order == [1, 2]
    assert waits(loop)


def test_a_loop_waits_for_the_next_moment_and_does_not_spin(loop):
    happened = []
    loop.after(0.3, lambda: happened.append(True))
    number = 0
    while not happened:
        loop.turn()
        number += 1
    assert number <= 2


def test_a_timer_that_an_earlier_one_of_the_same_turn_cancels_does_not_happen(loop):
    second = loop.after(0.001, pytest.fail)
    loop.after(0.0, lambda: loop.cancel(second))
    time.sleep(0.01)
    loop.turn()
    loop.turn(time.monotonic())


def test_a_timer_that_a_timer_sets_waits_for_the_next_turn(loop):
    acts = []
    loop.after(0, lambda: loop.after(0, lambda: acts.append(True)))
    loop.turn()
    assert acts == []
    loop.turn()
    assert acts == [True]


def test_what_has_come_counts_before_the_clock(loop, pipe):
    """Where an end and a limit are noticed together, the end counts."""
    source, sink = pipe()
    limit = loop.after(0, pytest.fail)
    os.write(sink, b"x")
    loop.once(source, lambda: loop.cancel(limit))
    loop.turn()
    loop.turn(time.monotonic())


def test_a_flood_does_not_keep_the_clock_from_being_looked_at(loop, process):
    child, _ = process("while True: print('y' * 1000)", stdout=subprocess.PIPE)
    fd, over = child.stdout.fileno(), []
    loop.watch(fd, lambda: loop.read(fd))
    loop.after(0.2, lambda: over.append(True))
    turns(loop, lambda: over)


def test_two_loops_know_nothing_of_each_other(pipe):
    first, second = EventLoop(), EventLoop()
    source, sink = pipe()
    os.write(sink, b"x")
    first.watch(source, pytest.fail)
    first.after(0, pytest.fail)
    assert waits(second) and not second.watches(source)


# ---- processes


def test_the_end_of_a_process_is_told_once(loop, process):
    child, pidfd = process("import sys; sys.exit(7)")
    ended = []
    loop.once(pidfd, lambda: ended.append(child.wait()))
    turns(loop, lambda: ended)
    assert ended == [7]
    assert waits(loop)


DEAF = (
    "import signal, sys, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint(flush=True)\ntime.sleep(600)"
)


def test_a_process_that_ignores_signals_gets_the_last(loop, process):
    child, pidfd = process(DEAF, stdout=subprocess.PIPE)
    child.stdout.readline()
    sent = []

    def send(number):
        sent.append(number)
        child.send_signal(number)

    steps = ((0, signal.SIGINT), (0.05, signal.SIGTERM), (0.05, signal.SIGKILL))
    termination = Termination(loop, send, steps, lambda: sent.append("first"))
    loop.once(pidfd, termination.cancel)
    termination.begin()
    termination.begin()
    turns(loop, lambda: not loop.watches(pidfd))
    assert sent == ["first", signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    assert child.wait() == -signal.SIGKILL


def test_a_signal_that_is_late_leaves_the_next_its_whole_time(loop):
    """Stopping us (SIGSTOP) for longer than all steps together takes no time from the process."""
    sent = []
    termination = Termination(loop, sent.append, ((0, 2), (0.01, 15), (30, 9)))
    termination.begin()
    loop.turn()
    time.sleep(0.1)
    for _ in range(3):
        loop.turn(time.monotonic() + 0.05)
    assert sent == [2, 15]


def test_a_process_that_has_ended_is_sent_nothing(loop):
    termination = Termination(loop, pytest.fail, ((0, signal.SIGKILL),))
    termination.begin()
    termination.cancel()
    loop.turn(time.monotonic() + 0.05)
    never = Termination(loop, pytest.fail, ((0, signal.SIGKILL),))
    never.cancel()
    never.begin()
    loop.turn(time.monotonic() + 0.05)


def test_many_processes_in_one_loop_each_with_its_own_limit(loop, process):
    """A hanging session delays no other."""
    ended, terminations = {}, []
    for index in range(8):
        child, pidfd = process(DEAF if index == 3 else "", stdout=subprocess.PIPE)
        fd = child.stdout.fileno()
        loop.watch(fd, lambda fd=fd: loop.read(fd))
        loop.once(pidfd, lambda index=index, child=child: ended.setdefault(index, child.wait()))
        if index == 3:
            steps = ((0.3, signal.SIGTERM), (0.3, signal.SIGKILL))
            terminations.append(Termination(loop, child.send_signal, steps))
    for termination in terminations:
        loop.after(0, termination.begin)
    turns(loop, lambda: len(ended) == 8)
    assert list(ended)[-1] == 3
    assert ended == {index: -9 if index == 3 else 0 for index in range(8)}


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_is_noted_and_ends_nothing_and_what_was_there_before_comes_back(loop, number):
    before = signal.getsignal(number)
    with Signals(signal.SIGTERM, signal.SIGHUP, signal.SIGINT) as signals:
        got = []
        loop.watch(signals.fd, lambda: got.extend(signals.take()))
        to_us(number)
        turns(loop, lambda: got)
        assert got == signals.received == [number]
        assert waits(loop)
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_another_thread_gets_wakes_the_loop(loop):
    with Signals(signal.SIGTERM) as signals:
        loop.once(signals.fd, lambda: None)
        threading.Timer(0.2, to_us, (signal.SIGTERM,)).start()
        turns(loop, lambda: not loop.watches(signals.fd))
        assert signals.take() == [signal.SIGTERM]


def test_a_signal_that_was_blocked_before_is_heard_and_blocked_again_afterwards():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    try:
        to_us(signal.SIGTERM)
        with Signals(signal.SIGTERM) as signals:
            assert signals.take() == [signal.SIGTERM]
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize(("keep", "expected"), [([signal.SIGHUP], []), ([signal.SIGTERM], [signal.SIGHUP])])
def test_an_ignored_signal_stays_ignored_where_that_is_asked_for(keep, expected):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals(signal.SIGHUP, signal.SIGTERM, keep_ignored=keep) as signals:
            to_us(signal.SIGHUP)
            assert signals.take() == expected
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_is_somebody_elses_is_none_of_ours(loop):
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Signals(signal.SIGTERM) as signals:
            got = []
            loop.watch(signals.fd, lambda: got.append(signals.take()))
            to_us(signal.SIGUSR1)
            loop.turn()
            assert got == [[]] and signals.received == []
            assert waits(loop)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_more_signals_than_a_pipe_holds_are_no_error():
    with Signals(signal.SIGTERM) as signals:
        for _ in range(70_000):
            to_us(signal.SIGTERM)
        assert set(signals.take()) == {signal.SIGTERM}
        assert select.select([signals.fd], [], [], 0)[0] == []


def test_no_signal_comes_in_while_its_handler_is_put_back(monkeypatch):
    """Python notes it first and looks for the handler later: where that is SIG_DFL by then, it is lost."""
    blocked, replace = [], signal.signal

    def watched(number, handler):
        blocked.append(number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return replace(number, handler)

    with Signals(signal.SIGTERM, signal.SIGHUP) as signals:
        monkeypatch.setattr(signal, "signal", watched)
        to_us(signal.SIGTERM)
    assert blocked == [True, True]
    assert signals.received == [signal.SIGTERM]
    assert not {signal.SIGTERM, signal.SIGHUP} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_signal_amid_a_turn_does_not_break_it(loop, pipe):
    """Nor one that has a handler of its own: poll(2) goes on waiting (EINTR)."""
    source, sink = pipe()
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        read = []
        loop.watch(source, lambda: read.append(loop.read(source)))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        threading.Timer(0.2, lambda: os.write(sink, b"x")).start()
        loop.turn()
        assert read == [b"x"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
