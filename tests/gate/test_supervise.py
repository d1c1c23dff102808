"""Output, limits, the peer's presence, and a sure end: of one run's processes, each test with a process of its own; and
where a gate only waits."""

import contextlib
import os
import signal
import time

import programs
import pytest

from borgctl.gate import supervise
from borgctl.gate.output import Output
from borgctl.gate.supervise import Watch

# argv: seconds, ending ('borg' or 'hook'), shell code, the descriptor whose end means that the server is gone
WATCH = """
import os, signal, sys, time
from borgctl.process import process_tree, spawn
from borgctl.gate import supervise
from borgctl.gate.output import Lines, Output
from borgctl.gate.child_streams import Stream
from borgctl.gate.supervise import Watch
seconds, ending, code = float(sys.argv[1]), sys.argv[2], sys.argv[3]
fast = ((0.0, signal.SIGINT), (0.3, signal.SIGTERM), (0.3, signal.SIGKILL))
steps = {"borg": fast, "hook": ((0.0, signal.SIGTERM), (0.3, signal.SIGKILL))}[ending]
supervise._GRACE = 0.2
output = Output(2, "r")
watch = Watch(output, seconds, int(sys.argv[4])).__enter__()
process_tree.adopt_orphans()
read_end, write_end = os.pipe2(os.O_CLOEXEC)
child = spawn.spawn(["/bin/sh", "-c", code], {"PATH": "/usr/bin:/bin"}, {1: write_end, 2: write_end})
os.close(write_end)
print("started", child.pid, flush=True)
lines = Lines(output, "borg", "stdout", None)
status = watch.run(child, [Stream(read_end, lines)], steps)
process_tree.kill_descendants()
output.flush()
print(status, watch.stopped, lines.taken, flush=True)
"""


class Watched:
    """A watch at work, and what it said at its end."""

    def __init__(self, seconds, ending, code, hangup=-1, **options):
        if hangup >= 0:
            options["pass_fds"] = (hangup,)
        options = {"stdout": programs.subprocess.PIPE, "stderr": programs.subprocess.PIPE} | options
        self.process = programs.started(
            WATCH, seconds, ending, code, hangup, stdin=programs.subprocess.DEVNULL, **options
        )
        self.child = int(self.process.stdout.readline().split()[1])

    def end(self):
        status, stopped, taken = self.process.stdout.readline().split()
        self.process.wait(60)
        return int(status), stopped.decode(), int(taken)


@pytest.fixture
def watched():
    made = []

    def make(*arguments, **options):
        made.append(Watched(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        with programs.ended(one.process):
            assert not programs.alive(one.child)


@pytest.mark.parametrize("ending", ["borg", "hook"])
def test_a_child_that_is_stopped_hears_the_first_signal_that_ends_it(watched, ending):
    code = "trap 'exit 9' INT TERM; kill -STOP $$; while :; do sleep 0.05; done"
    assert watched(0.3, ending, code).end()[:2] == (9, "runtime-limit")


def test_a_stopped_process_of_the_childs_group_goes_on_when_the_child_is_ended(watched):
    code = "sh -c 'kill -STOP $$; exit 3' & trap 'wait; exit 9' INT; while :; do sleep 0.05; done"
    assert watched(0.5, "borg", code).end()[:2] == (9, "runtime-limit")


def test_a_child_that_ends_is_told_as_it_ended(watched):
    one = watched(60, "borg", "echo a; echo b >&2; exit 7")
    status, stopped, taken = one.end()
    assert (status, stopped, taken) == (7, "None", 4)
    assert one.process.stderr.read() == b"borg: a\nborg: b\n"


def test_all_that_a_child_wrote_arrives(watched):
    one = watched(60, "borg", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done")
    text = one.process.stderr.read()
    assert text == b"".join(b"borg: %d\n" % number for number in range(3000))
    assert one.end()[0] == 0


def test_the_time_limit_ends_a_child(watched):
    assert watched(0.3, "borg", "exec sleep 60").end()[:2] == (-signal.SIGINT, "runtime-limit")


@pytest.mark.parametrize(
    ("ending", "code", "last"),
    [
        ("borg", "trap '' INT; exec sleep 60", signal.SIGTERM),
        ("borg", "trap '' INT TERM; exec sleep 60", signal.SIGKILL),
        ("hook", "trap '' TERM; exec sleep 60", signal.SIGKILL),
    ],
)
def test_a_child_that_ignores_one_signal_gets_the_next(watched, ending, code, last):
    assert watched(0.5, ending, code).end()[:2] == (-last, "runtime-limit")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_gate_ends_the_child_and_not_the_gate(watched, number):
    one = watched(60, "borg", "exec sleep 60")
    one.process.send_signal(number)
    assert one.end()[:2] == (-signal.SIGINT, "stopped")


def test_signals_one_after_the_other_do_not_break_the_end(watched):
    one = watched(60, "borg", "trap '' INT; echo ready; exec sleep 60")
    one.process.stderr.readline()
    for _ in range(20):
        one.process.send_signal(signal.SIGTERM)
        one.process.send_signal(signal.SIGHUP)
    assert one.end()[:2] == (-signal.SIGTERM, "stopped")


def test_a_reader_that_goes_is_a_disconnect_though_nothing_is_written(watched):
    one = watched(60, "borg", "exec sleep 60")
    one.process.stderr.close()
    assert one.end()[:2] == (-signal.SIGINT, "disconnected")


def test_a_reader_that_goes_amid_a_flood_is_a_disconnect(watched):
    one = watched(60, "borg", "exec yes")
    one.process.stderr.read(1000)
    one.process.stderr.close()
    status, stopped, _ = one.end()
    assert stopped == "disconnected" and status < 0


def test_the_end_of_the_servers_bytes_is_a_disconnect_after_a_moment(watched):
    source, sink = os.pipe()
    one = watched(20, "borg", "exec sleep 60", source)
    os.close(source)
    time.sleep(0.3)
    assert one.process.poll() is None
    os.close(sink)
    assert one.end()[:2] == (-signal.SIGINT, "disconnected")


def test_a_child_that_ends_in_that_moment_ends_by_itself(watched):
    source, sink = os.pipe()
    one = watched(20, "borg", "sleep 0.1; exit 3", source)
    os.close(source)
    os.close(sink)
    assert one.end()[:2] == (3, "None")


def test_a_reader_that_does_not_read_stops_neither_the_clock_nor_signals(watched):
    one = watched(0.5, "borg", "exec yes")
    time.sleep(0.8)
    programs.wait_for(lambda: not programs.alive(one.child))
    one.process.stderr.read()
    assert one.end()[1] == "runtime-limit"


@pytest.mark.parametrize(
    "code", ["yes & exit 0", "setsid yes & exit 0", "sleep 600 & exit 0", "setsid sleep 600 & exit 0"]
)
def test_who_else_holds_the_pipe_is_not_waited_for(watched, code):
    one = watched(60, "hook", code, stderr=programs.subprocess.DEVNULL)
    assert one.end()[:2] == (0, "None")  # who waits for them waits until the limit, or for ever


def test_nothing_outlives_the_gate(watched):
    one = watched(0.3, "borg", "setsid sh -c 'trap \"\" TERM INT HUP; sleep 60 & echo $! $$; wait' & wait")
    numbers = [int(word) for word in one.process.stderr.readline().split()[1:]]
    assert one.end()[1] == "runtime-limit"
    assert len(numbers) == 2 and not any(programs.alive(number) for number in numbers)


MOST = """
import os, sys
from borgctl.process import spawn
from borgctl.gate import child_streams
from borgctl.gate.output import Lines, Output
from borgctl.borg.termination import BORG_ENDING
from borgctl.gate.child_streams import Stream
from borgctl.gate.supervise import Watch
child_streams.MOST_RESULT = 100_000
output = Output(os.open("/dev/null", os.O_WRONLY), "r")
watch = Watch(output, 60).__enter__()
read_end, write_end = os.pipe2(os.O_CLOEXEC)
child = spawn.spawn(["/bin/sh", "-c", sys.argv[1]], {}, {1: write_end})
os.close(write_end)
watch.run(child, [Stream(read_end, Lines(output, "borg", sys.argv[2], None))], BORG_ENDING)
print(watch.stopped)
"""


@pytest.mark.parametrize(
    ("code", "stream", "stopped"),
    [
        ("yes 0123456789012345678901234567890123456789 | head -c 99999", "stdout", "None"),
        ("exec yes", "stdout", "output-limit"),
        ("yes | head -c 100001", "stdout", "output-limit"),
        ("yes 0123456789012345678901234567890123456789012345678901234567890 | head -c 400000", "stderr", "None"),
    ],
)
def test_a_result_is_never_cut_silently(code, stream, stopped):
    assert programs.python(MOST, f"PATH=/usr/bin:/bin; {code}", stream).stdout.decode().strip() == stopped


BROKEN = """
import os
from borgctl.process import process_tree, spawn
from borgctl.gate.output import Lines, Output
from borgctl.borg.termination import BORG_ENDING
from borgctl.gate.child_streams import Stream
from borgctl.gate.supervise import Watch
output = Output(os.open("/dev/null", os.O_WRONLY), "r")
def run(watch, code, **options):
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = spawn.spawn(["/bin/sh", "-c", code], {"PATH": "/usr/bin:/bin"}, {1: write_end})
    os.close(write_end)
    return watch.run(child, [Stream(read_end, Lines(output, "hook", "stdout", None))], BORG_ENDING, **options)
def look():
    raise RuntimeError
with Watch(output, 60) as watch:
    try:
        run(watch, "echo; exec sleep 60", seconds=30, look=look)
    except RuntimeError:
        process_tree.kill_descendants()
    print(len(watch._loop._watches), len(watch._loop._timers))  # the output, signals
    print(run(watch, "sleep 0.3; exit 5"), watch.stopped)
"""


def test_a_run_that_breaks_off_leaves_nothing_to_the_next():
    """Neither a descriptor that would be somebody else's by then, nor a signal that is still to come."""
    done = programs.python(BROKEN)
    assert done.stdout.split() == [b"2", b"0", b"5", b"None"], done.stderr


# ---- a gate that only waits


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for fd in (read_end, write_end):
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture
def output(pipe):
    return Output(pipe[1], "run")


def waiting(output, seconds, hangup=-1):
    return Watch(output, seconds, hangup, "window-expired")


def until(watch):
    end = time.monotonic() + 20
    while watch.stopped is None and time.monotonic() < end:
        watch.wait()
    return watch.stopped


def test_its_time_is_over(output):
    with waiting(output, 0.2) as watch:
        assert until(watch) == "window-expired"
        begun = time.monotonic()
        watch.wait()
        assert time.monotonic() - begun > 0.3  # it does not spin afterwards


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_what_was_there_before_comes_back(output, number):
    before = signal.getsignal(number)
    with waiting(output, 60) as watch:
        os.kill(os.getpid(), number)
        assert until(watch) == "stopped"
    assert signal.getsignal(number) is before


def test_a_reader_that_has_gone_ends_it(pipe, output):
    with waiting(output, 60) as watch:
        os.close(pipe[0])
        assert until(watch) == "disconnected"


def test_a_server_that_has_gone_ends_it_where_that_can_be_told(output):
    theirs, ours = os.pipe()
    os.close(ours)
    try:
        with waiting(output, 60, theirs) as watch:
            assert until(watch) == "disconnected"
        with waiting(output, 0.3) as watch:
            assert until(watch) == "window-expired"
    finally:
        os.close(theirs)


def test_after_it_has_settled_only_the_clock_counts(pipe, output, monkeypatch):
    monkeypatch.setattr(supervise, "_GRACE", 0.1)
    theirs, ours = os.pipe()
    os.close(ours)
    try:
        with waiting(output, 60, theirs) as watch:
            os.close(pipe[0])
            os.kill(os.getpid(), signal.SIGTERM)
            assert until(watch) == "stopped"
            watch.settle(0.5)  # longer than a server that has gone is waited for
            assert until(watch) == "window-expired"
    finally:
        os.close(theirs)


def test_the_first_reason_stays_the_reason(pipe, output):
    with waiting(output, 0.05) as watch:
        assert until(watch) == "window-expired"
        os.close(pipe[0])
        watch.wait()
        assert watch.stopped == "window-expired"


def test_what_somebody_has_asked_for_counts_before_the_clock(output):
    with waiting(output, 0) as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        assert until(watch) == "stopped"


def test_what_waits_is_written_and_what_is_readable_is_told(pipe, output):
    theirs, ours = os.pipe()
    output.say("hello")
    os.write(ours, b"x")
    try:
        with waiting(output, 60) as watch:
            ready = False
            while output.waiting or not ready:
                ready |= watch.wait(theirs)
            assert not watch.wait(until=time.monotonic())
        assert os.read(pipe[0], 100) == b"borgctl: hello\n"
    finally:
        os.close(theirs)
        os.close(ours)
