"""A child in its own namespaces gets signals and ends as without them, and nothing that it started outlives it."""

import errno
import json
import os
import select
import signal
from pathlib import Path

import programs
import pytest
import stage

from borgctl.process import namespaces
from borgctl.process import spawn as process_spawn
from borgctl.process.capture import capture
from borgctl.process.spawn import spawn

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may have namespaces")
SHELL = {"PATH": "/usr/bin:/bin"}


def shell(code, **fds):
    """Start a shell in its own namespaces; `out` is a descriptor of ours."""
    return spawn(["/bin/sh", "-c", code], SHELL, {1: fds["out"]} if fds else {}, kinds=namespaces.ALL)


def said(code):
    """Return the output of a shell in its own namespaces, and its exit status."""
    status, output = capture(["/bin/sh", "-c", code], SHELL, most=10_000, seconds=30, kinds=namespaces.ALL)
    return output.decode(), status


def test_a_child_has_namespaces_of_its_own_and_its_parent_has_none():
    before = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "ipc", "net", "mnt", "pid_for_children")]
    output, status = said("for name in pid ipc net mnt; do readlink /proc/self/ns/$name; done")
    own = output.split()
    assert status == 0 and [mine == theirs for mine, theirs in zip(own, before, strict=False)] == [False] * 3 + [True]
    assert [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "ipc", "net", "mnt", "pid_for_children")] == before


@pytest.mark.parametrize("code", ["exit 0", "exit 7", "exit 130", "kill -TERM $$", "kill -KILL $$", "kill -SEGV $$"])
def test_it_ends_as_it_would_without(code):
    plain = spawn(["/bin/sh", "-c", code], SHELL, {})
    assert shell(code).reap() == plain.reap()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_reaches_it(number):
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = shell("echo ready; exec sleep 60", out=write_end)
    os.close(write_end)
    assert os.read(read_end, 6) == b"ready\n"
    child.signal(number)
    assert select.select([child.end], [], [], 10)[0]
    assert child.reap() == -number
    os.close(read_end)


def test_it_may_handle_a_signal_itself():
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = shell("trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done", out=write_end)
    os.close(write_end)
    assert os.read(read_end, 6) == b"ready\n"
    child.signal(signal.SIGINT)
    assert child.reap() == 9
    os.close(read_end)


def test_init_is_alive_until_the_end_is_asked_for_so_that_others_may_finish():
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = shell("(sleep 0.3; echo later) & exit 3", out=write_end)
    os.close(write_end)
    assert select.select([child.end], [], [], 10)[0]
    assert os.read(read_end, 6) == b"later\n"
    assert child.reap() == 3
    os.close(read_end)


DAEMON = """
import os, sys, time
for _ in range(20):  # each forks the next and goes
    if os.fork():
        os._exit(0)
    os.setsid()
print(os.readlink("/proc/self"), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["reap", "kill"])
def test_a_chain_of_processes_that_goes_on_forking_ends_with_it(how):
    """Whoever looks for processes and kills them always comes too late for this one."""
    code = "import os\nif os.fork() == 0:\n os.setsid()\n while True:\n  if os.fork(): os._exit(0)\nos.write(1, b'x')"
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    argv = ["/usr/bin/python3", "-I", "-S", "-c", code + "\nimport time\ntime.sleep(0.2)"]
    child = spawn(argv, {}, {1: write_end}, kinds=namespaces.ALL)
    os.close(write_end)
    assert os.read(read_end, 1) == b"x"
    if how == "kill":
        process_spawn.kill_group(child)
    assert child.reap() == (0 if how == "reap" else -signal.SIGKILL)
    assert programs.read_all(read_end) == b""  # the end of file says that nobody is left, now and not later
    os.close(read_end)


def test_a_daemon_ends_with_it():
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = spawn(["/usr/bin/python3", "-I", "-S", "-c", DAEMON], {}, {1: write_end}, kinds=namespaces.ALL)
    os.close(write_end)
    pid = int(os.read(read_end, 20))
    assert programs.alive(pid)
    assert child.reap() == 0
    assert not programs.alive(pid)
    os.close(read_end)


GATE = """
import os, signal, sys, time
from borgctl.process import namespaces, spawn
namespaces._GRACE = 0.5
child = spawn.spawn(["/bin/sh", "-c", sys.argv[1]], {"PATH": "/usr/bin:/bin"}, {1: 1}, kinds=namespaces.ALL)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("trap 'echo told; exit 1' TERM; echo ready; while :; do sleep 0.05; done", b"told\n"),
        ("trap '' TERM; echo ready; while :; do sleep 0.05; done", b""),
        ("setsid sleep 60 & trap 'exit 1' TERM; echo ready; while :; do sleep 0.05; done", b""),
    ],
)
def test_where_the_gate_is_killed_it_is_told_and_all_of_it_ends(code, words):
    read_end, write_end = os.pipe()
    with programs.ended(programs.started(GATE, code, stdout=write_end)) as gate:
        os.close(write_end)
        assert os.read(read_end, 6) == b"ready\n"
        gate.kill()
        assert programs.read_all(read_end, 30) == words  # the end of file says that nobody is left
    os.close(read_end)


def test_where_the_gate_is_killed_nothing_is_left_of_what_it_held():
    read_end, write_end = os.pipe()
    with programs.ended(programs.started(GATE, "echo ready; exec sleep 30", stdout=write_end)) as gate:
        os.close(write_end)
        assert os.read(read_end, 6) == b"ready\n"
        gate.kill()
        assert programs.read_all(read_end, 10) == b""
    os.close(read_end)


def test_objects_of_system_v_go_with_it():
    before = [Path(f"/proc/sysvipc/{name}").read_text() for name in ("shm", "sem", "msg")]
    output, status = said("ipcmk -M 4096 && ipcmk -S 1 && ipcmk -Q && wc -l </proc/sysvipc/shm")
    assert status == 0 and output.split()[-1] == "2"
    assert [Path(f"/proc/sysvipc/{name}").read_text() for name in ("shm", "sem", "msg")] == before


def test_it_has_no_network():
    code = (
        "import json, socket; found = [name for _, name in socket.if_nameindex()];"
        "one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); result = one.connect_ex(('127.0.0.1', 9));"
        "print(json.dumps([found, result]))"
    )
    output, status = said(f'python3 -I -c "{code}"')
    assert (json.loads(output)[1], status) == (errno.ENETUNREACH, 0)
    assert "lo" in json.loads(output)[0] and len(json.loads(output)[0]) <= 4  # those that the kernel makes for each


def test_it_keeps_no_descriptor_of_its_childs():
    """Else the end of borg's output, or of the passphrase, would never arrive."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    with programs.bounded(
        20
    ):  # where init keeps the pipe that tells of execve's failure, the spawn itself waits for it
        child = shell("exec sleep 60 >&-", out=write_end)
    os.close(write_end)
    assert programs.read_all(read_end) == b""
    links = [os.readlink(f"/proc/{child.pid}/fd/{name}") for name in os.listdir(f"/proc/{child.pid}/fd")]
    assert len(links) == 1 and links[0].startswith("pipe:")
    child.signal(signal.SIGKILL)
    child.reap()
    os.close(read_end)


def test_an_exec_that_fails_is_told_and_leaves_nothing():
    before = stage.descriptors(), offspring()
    with pytest.raises(FileNotFoundError):
        spawn(["/no/such/program"], {}, {}, kinds=namespaces.ALL)

    def refuse():
        raise PermissionError(errno.EPERM, "no")

    with pytest.raises(process_spawn.SetupError):
        spawn(["/bin/true"], {}, {}, refuse, namespaces.ALL)
    assert (stage.descriptors(), offspring()) == before


def offspring() -> set[str]:
    """Our children, those of other tests as well."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_what_may_not_be_had_is_told_and_nothing_is_run(tmp_path):
    """An ordinary user's process, as one in a container without CAP_SYS_ADMIN."""
    code = f"""
import os
from borgctl.process import namespaces, spawn
os.setuid(64126)
print(namespaces.possible(namespaces.ALL))
try:
    spawn.spawn(["/bin/touch", "{tmp_path}/ran"], {{}}, {{}}, kinds=namespaces.ALL)
except spawn.SetupError as error:
    print(error.strerror, sorted(os.listdir("/proc/self/fd")) == ["0", "1", "2", "3"])
"""
    tmp_path.chmod(0o777)
    assert programs.python(code).stdout.decode().splitlines() == ["False", f"{os.strerror(errno.EPERM)} True"]
    assert not (tmp_path / "ran").exists()


def test_they_are_possible_for_root():
    assert namespaces.possible(namespaces.ALL)


LOST = """
import ctypes
from borgctl.process import namespaces, spawn
class Libc:
    unshare, prctl = ctypes.CDLL(None, use_errno=True).unshare, ctypes.CDLL(None).prctl
    setns = staticmethod(lambda *_: -1)
namespaces._libc = Libc
try:
    spawn.spawn(["/bin/sleep", "60"], {}, {1: 1}, kinds=namespaces.ALL)
except spawn.SetupError:
    print("unprepared")
"""


def test_a_process_that_cannot_go_back_to_its_own_namespace_leaves_no_child():
    """Its next child would start in a dead namespace."""
    assert programs.python(LOST).stdout == b"unprepared\n"  # and the pipe is closed: nobody holds it
