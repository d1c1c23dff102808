"""A child process inherits nothing, and ends reliably."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess

import programs
import pytest

from borgctl.process import spawn as process_spawn
from borgctl.process.spawn import spawn

pytestmark = pytest.mark.usefixtures("nothing_left")

DUMP = (
    "import json,os,signal,sys;"
    "links={n: f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')};"
    "fds={n: os.readlink(link) for n, link in links.items() if os.path.exists(link)};"
    "print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'fds': fds, 'cwd': os.getcwd(),"
    "'session': os.getsid(0) == os.getpid()}))"
)


def dumped(fds=None, env=None, before_exec=lambda: None):
    """Spawn a program that prints what it was given; return that."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    argv = ["/usr/bin/python3", "-I", "-S", "-c", DUMP, "a b", "$(id)"]
    child = spawn(argv, env or {}, {1: write_end, **(fds or {})}, before_exec)
    os.close(write_end)
    try:
        told = json.loads(programs.read_all(read_end))
    finally:
        os.close(read_end)
    assert child.reap() == 0
    return told


def test_a_child_gets_its_words_its_environment_and_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    told = dumped(env={"A": "b"})
    assert told["argv"] == ["a b", "$(id)"]
    assert set(told["env"]) - {"LC_CTYPE"} == {"A"}
    assert told["cwd"] == "/" and told["session"]


def test_a_child_gets_the_descriptors_that_it_is_given_and_no_others():
    leaks = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(5)]
    inheritable = fcntl.fcntl(leaks[0], fcntl.F_DUPFD, 300)  # a free number: others may have the small ones
    try:
        told = dumped({3: leaks[0]})
    finally:
        for fd in (*leaks, inheritable):
            os.close(fd)
    assert told["fds"].pop("3") == "/etc/passwd"
    assert told["fds"].pop("0") == told["fds"].pop("2") == "/dev/null"
    assert told["fds"].pop("1").startswith("pipe:")
    assert all(name.startswith("/proc/") for name in told["fds"].values())  # the look itself


def test_descriptors_may_trade_places():
    passwd, group = os.open("/etc/passwd", os.O_RDONLY), os.open("/etc/group", os.O_RDONLY)
    try:
        told = dumped({passwd: group, group: passwd})
    finally:
        os.close(passwd)
        os.close(group)
    assert told["fds"][str(passwd)] == "/etc/group" and told["fds"][str(group)] == "/etc/passwd"


def test_a_child_has_default_signals():
    code = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, 64):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
from borgctl.process.spawn import spawn
spawn(["/bin/cat", "/proc/self/status"], {}, {1: 1}).reap()
"""
    told = dict(line.split(":\t", 1) for line in programs.python(code).stdout.decode().splitlines())
    c_librarys_own = 0b11 << 31  # 32 and 33, which no program can set and whoever started us may have ignored
    assert [int(told[mask], 16) & ~c_librarys_own for mask in ("SigIgn", "SigBlk", "SigCgt")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("argv", "number"),
    [
        (["/no/such/program"], errno.ENOENT),
        (["/etc/passwd"], errno.EACCES),
        (["/"], errno.EACCES),
        (["/bin/sh", "x" * 200_000], errno.E2BIG),
    ],
)
def test_an_exec_that_fails_is_told_with_its_number(argv, number):
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        spawn(argv, {}, {})
    assert (caught.value.errno, caught.value.filename) == (number, argv[0])


def test_what_goes_wrong_before_exec_is_told():
    def refuse():
        raise PermissionError(errno.EPERM, "no")

    with pytest.raises(process_spawn.SetupError, match=os.strerror(errno.EPERM)) as caught:
        spawn(["/bin/true"], {}, {}, refuse)
    assert caught.value.errno == errno.EPERM


def test_what_happens_before_exec_finds_nothing_of_ours_open():
    leak = os.open("/etc/passwd", os.O_RDONLY)
    inheritable = fcntl.fcntl(leak, fcntl.F_DUPFD, 300)
    try:
        with pytest.raises(process_spawn.SetupError, match=os.strerror(errno.EBADF)):
            spawn(["/bin/true"], {}, {}, lambda: os.fstat(inheritable))
    finally:
        os.close(inheritable)
        os.close(leak)


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_a_word_that_cannot_be_passed_is_an_error_and_not_a_child_that_failed_by_itself(word):
    with pytest.raises((OSError, ValueError)):
        spawn(["/bin/echo", word], {}, {}).reap()


def test_a_child_that_was_killed_tells_the_signal():
    child = spawn(["/bin/sleep", "60"], {}, {})
    child.signal(signal.SIGTERM)
    assert child.reap() == -signal.SIGTERM


def test_a_signal_for_a_child_that_has_ended_is_no_error():
    child = spawn(["/bin/true"], {}, {})
    programs.wait_for(lambda: not programs.alive(child.pid))
    child.signal(signal.SIGTERM)
    assert child.reap() == 0


@pytest.mark.parametrize("becoming", [False, True])
def test_a_child_is_told_when_its_parent_is_killed(becoming):
    if becoming and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    code = """
import sys, time
from borgctl.process import spawn
from borgctl.sandbox import privileges
become = lambda: privileges.become(privileges.Account(64128, 64128)) if sys.argv[1] == "True" else None
words = "trap 'echo told; exit 1' TERM; echo ready; while :; do sleep 0.05; done"
spawn.spawn(["/bin/sh", "-c", words], {"PATH": "/usr/bin:/bin"}, {1: 1}, become)
time.sleep(60)
"""
    read_end, write_end = os.pipe()
    with programs.ended(programs.started(code, becoming, stdout=write_end)) as parent:
        os.close(write_end)
        assert os.read(read_end, 6) == b"ready\n"
        parent.kill()
        assert programs.read_all(read_end, 30) == b"told\n"
    os.close(read_end)


def test_a_child_ends_with_the_gate_that_was_killed():
    """The kernel ends the child: a gate that was killed can write no record of what goes on."""
    code = "from borgctl.process.spawn import spawn\nprint(spawn(['/bin/sleep', '600'], {}, {}).pid, flush=True)\n"
    code += "import time\ntime.sleep(60)"
    with programs.ended(programs.started(code, stdout=subprocess.PIPE)) as gate:
        child = int(gate.stdout.readline())
        assert programs.alive(child)
        gate.kill()
        try:
            programs.wait_for(lambda: not programs.alive(child))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_the_whole_group_is_killed():
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = spawn(["/bin/sh", "-c", "sleep 60 & sleep 60"], {}, {1: write_end})
    os.close(write_end)
    process_spawn.kill_group(child)
    assert programs.read_all(read_end) == b""  # the end of file says that both are gone
    os.close(read_end)
    assert child.reap() == -signal.SIGKILL


def test_spawning_works_with_descriptors_0_to_2_closed():
    code = """
import os
for fd in (0, 1, 2):
    os.close(fd)
read_end, write_end = os.pipe()
from borgctl.process.spawn import spawn
assert spawn(["/bin/echo", "x"], {}, {1: write_end}).reap() == 0
os._exit(0 if os.read(read_end, 10) == b"x\\n" else 1)
"""
    assert programs.python(code).returncode == 0


def test_a_limit_on_descriptors_is_an_error_and_no_crash():
    code = """
import resource
from borgctl.process.spawn import spawn
resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
try:
    spawn(["/bin/true"], {}, {}).reap()
except OSError:
    pass
"""
    done = programs.python(code)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_child_that_the_kernel_does_not_tie_to_us_is_not_started(monkeypatch):
    """It would go on without a record where we are killed."""

    def refused(number=0):
        raise OSError(errno.EPERM, "prctl")

    monkeypatch.setattr(process_spawn.parent_death, "request_signal", refused)
    with pytest.raises(process_spawn.SetupError, match="not permitted"):
        spawn(["/bin/true"], {}, {})
