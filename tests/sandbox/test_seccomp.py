"""System calls that borg does not need are refused, and those that it needs work."""

import contextlib
import errno
import json
import os
import re
import socket
import struct
import subprocess
import sys

import programs
import pytest

from borgctl.sandbox import seccomp

PRISONER = """
import ctypes, json, os, socket, subprocess, sys
port, held, results = int(sys.argv[1]), sys.argv[2] == "held", {}
if held:
    from borgctl.sandbox import seccomp
    seccomp.forbid()

libc = ctypes.CDLL(None, use_errno=True)

def called(name, *arguments):
    from borgctl.sandbox import seccomp
    column = 0 if os.uname().machine == "x86_64" else 1
    if libc.syscall(seccomp.REFUSED[name][column], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def forked(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise OSError

def cloned():
    pid = libc.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError
    os.waitpid(pid, 0)

def ran_a_file_of_memory():
    fd = os.memfd_create("x")
    with open("/bin/true", "rb") as file:
        os.write(fd, file.read())
    if os.spawnv(os.P_WAIT, f"/proc/self/fd/{fd}", ["x"]) != 0:
        raise OSError

def shared():
    segment = libc.shmget(0, 4096, 0)
    if segment < 0:
        raise OSError
    libc.shmctl(segment, 0, None)  # IPC_RMID

def threaded():
    import threading
    one = threading.Thread(target=int)
    one.start()
    one.join()

def connected(*kind):
    with socket.socket(*kind) as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", port))

def fast():
    with socket.socket() as one:
        one.settimeout(5)
        one.sendto(b"", 0x20000000, ("127.0.0.1", port))  # MSG_FASTOPEN

def listened():
    with socket.socket() as one:
        one.listen()

def ring():
    fd = ctypes.CDLL(None, use_errno=True).syscall(425, 1, (ctypes.c_char * 120)())
    if fd < 0:
        raise OSError(ctypes.get_errno())
    os.close(fd)

TRIES = {
    "tcp": connected,
    "mptcp": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, 262),
    "nonblocking": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK).close(),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET).close(),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close(),
    "fast open": fast,
    "listen": listened,
    "ring": ring,
    "unix": lambda: socket.socketpair()[0].close(),
    "unix stream": lambda: socket.socket(socket.AF_UNIX).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).close(),
    "lookup": lambda: (socket.gethostbyname("localhost"), socket.getfqdn()),
    "process": lambda: subprocess.run(["/bin/true"], check=True),
    "thread": threaded,
    "keyring": lambda: called("keyctl", 0, -3, 1),
    "add key": lambda: called("add_key", b"user", b"borgctl-test", b"x", ctypes.c_size_t(1), -1),
    "memory file": ran_a_file_of_memory,
    "inotify": lambda: os.close(libc.inotify_init1(0)) if libc.inotify_init1(0) >= 0 else 1 / 0,
    "shared memory": shared,
    "ptrace": lambda: forked(lambda: called("ptrace", 0, 0, 0, 0)),
    "user namespace": lambda: forked(lambda: called("unshare", 0x10000000)),
    "user namespace by clone": cloned,
    "handle": lambda: called("name_to_handle_at", -100, b"/", (ctypes.c_uint32 * 34)(128), (ctypes.c_int * 1)(), 0),
}
for name, act in TRIES.items():
    try:
        act()
        results[name] = True
    except (OSError, ZeroDivisionError, subprocess.SubprocessError):
        results[name] = False
print(json.dumps(results))
"""
NEEDED = {"unix", "unix stream", "lookup", "process", "thread"}


def tried(how):
    """Return what the confined process managed to do."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        argv = [sys.executable, "-c", PRISONER, str(listener.getsockname()[1]), how]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return {name for name, succeeded in json.loads(done.stdout).items() if succeeded}


def test_no_way_out_is_left_and_what_borg_needs_works():
    free = tried("free")
    tries = {"tcp", "udp", "netlink", "nonblocking", "listen", "keyring", "add key", "memory file", "inotify"}
    tries |= {"shared memory", "ptrace", "user namespace by clone", "handle"}
    assert free >= NEEDED | tries  # or the next line would prove nothing
    assert tried("held") == NEEDED


def test_a_machine_whose_numbers_are_not_known_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(seccomp, "_MACHINES", {})
    assert not seccomp.available()
    code = "from borgctl.sandbox import seccomp; seccomp._MACHINES = {}; seccomp.forbid()"
    code += "; import socket; socket.socket().close()"
    assert programs.python(code).returncode == 0


# ---- the filter itself, as the kernel reads it, also for machines that this one is not

ALLOWED, DENIED, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
MACHINES = [(0xC000003E, 0), (0xC00000B7, 1), (0xC00000F3, 1)]  # x86-64, ARM64, RISC-V
I386, READ, SOCKET, CLONE, CLONE3 = 0x40000003, (0, 63), (41, 198), (56, 220), (435, 435)
SOCKETPAIR, FCNTL, IOCTL, CHMOD, FCHMODAT = (53, 199), (72, 25), (16, 29), (90, 53), (268, 53)
DONE = 0x00050000  # errno 0: as if it had been done


def verdict(steps, architecture, number, first=0, second=0):
    """Run a filter on struct seccomp_data: number, architecture, instruction pointer, six arguments."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, first, second, 0, 0, 0, 0)
    accumulator = place = 0
    for _ in range(len(steps)):
        code, true, false, operand = steps[place]
        place += 1
        match code:
            case 0x20:  # ld [k]
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x06:  # ret k
                return operand
            case 0x15 | 0x35 | 0x45:  # jeq, jge, jset
                holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
                place += true if holds[code] else false
            case _:
                raise AssertionError(code)
    raise AssertionError("no end")


# What each family has, on x86-64, written down once more: what is not in the table is not refused.
FAMILIES = {
    "sockets of its own": {425, 426, 427},
    "keys": {248, 249, 250},
    "other processes": {101, 310, 311, 312, 440, 438},
    "programs without a file": {319, 447, 322},
    "watching files": {294, 253, 300, 301},
    "files by number": {303, 304},
    "System V objects": {29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71},
    "POSIX queues": {240, 241},
    "namespaces": {272, 308},
    "mounts": {165, 166, 155, 161, *range(428, 434), 442, 467},
    "the kernel's parts": {323, 321, 298, 103},
    "modes": {91, 452},
    "owners": {92, 93, 94, 260},
    "times": {132, 235, 261, 280},
    "extended attributes": {188, 189, 190, 197, 198, 199, 463, 466, 469},
    "what others read": {27, 327, 451},
    "locks": {73},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_of_calls_is_refused(family):
    steps = seccomp.program(0xC000003E, 0)
    assert {verdict(steps, 0xC000003E, number) for number in FAMILIES[family]} == {DENIED}


@pytest.mark.parametrize(("architecture", "column"), MACHINES)
class TestFilter:
    def test_it_allows_what_is_not_named(self, architecture, column):
        steps = seccomp.program(architecture, column)
        assert verdict(steps, architecture, READ[column]) == ALLOWED

    def test_it_refuses_each_call_that_is_named(self, architecture, column):
        steps = seccomp.program(architecture, column)
        for name, numbers in seccomp.REFUSED.items():
            assert verdict(steps, architecture, numbers[column]) == DENIED, name
        assert verdict(steps, architecture, CLONE3[column]) == UNKNOWN

    def test_it_allows_nothing_to_a_program_of_another_machines(self, architecture, column):
        steps = seccomp.program(architecture, column)
        for other in (I386, *(one for one, _ in MACHINES if one != architecture)):
            assert verdict(steps, other, READ[column]) == DENIED
            assert verdict(steps, other, 1) == DENIED

    def test_it_allows_nothing_of_the_second_table(self, architecture, column):
        steps = seccomp.program(architecture, column)
        for number in (0x40000000, 0x40000000 | READ[column], 0x40000000 | SOCKET[column], 0xFFFFFFFF):
            assert verdict(steps, architecture, number) == DENIED

    def test_of_sockets_it_allows_local_ones(self, architecture, column):
        steps = seccomp.program(architecture, column)
        allowed = [family for family in range(64) if verdict(steps, architecture, SOCKET[column], family) == ALLOWED]
        assert allowed == [socket.AF_UNIX]

    def test_nor_does_a_pair_of_other_sockets_load_a_module_of_the_kernels(self, architecture, column):
        steps = seccomp.program(architecture, column)
        allowed = [kind for kind in range(64) if verdict(steps, architecture, SOCKETPAIR[column], kind) == ALLOWED]
        assert allowed == [socket.AF_UNIX]

    def test_of_processes_it_allows_those_without_a_new_namespace(self, architecture, column):
        steps = seccomp.program(architecture, column)
        plain = (17, 0x4111, 0x3D0F00)  # fork, vfork, pthread_create
        assert [verdict(steps, architecture, CLONE[column], flags) for flags in plain] == [ALLOWED] * 3
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            assert verdict(steps, architecture, CLONE[column], flag | 17) == DENIED

    def test_a_change_of_mode_does_nothing_and_is_no_error(self, architecture, column):
        """borg's cache copies its own files with shutil.copy, which must not fail."""
        steps = seccomp.program(architecture, column)
        assert {verdict(steps, architecture, numbers[column]) for numbers in (CHMOD, FCHMODAT)} == {DONE}

    def test_of_ioctls_it_allows_those_that_change_no_file(self, architecture, column):
        steps = seccomp.program(architecture, column)
        # TCGETS, TCGETS2, TIOCGWINSZ, FIONCLEX, FIOCLEX, FIONBIO, FS_IOC_GETFLAGS
        allowed = {0x5401, 0x802C542A, 0x5413, 0x5450, 0x5451, 0x5421, 0x80086601}
        # TIOCSTI, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_SETVERSION, FS_IOC_SET_ENCRYPTION_POLICY, FICLONE
        changing = {0x5412, 0x40086602, 0x401C5820, 0x40087602, 0x800C6613, 0x40049409}
        tried = allowed | changing | set(range(0x5400, 0x5470))
        passed = {request for request in tried if verdict(steps, architecture, IOCTL[column], 0, request) == ALLOWED}
        assert passed == allowed
        assert (
            verdict(steps, architecture, IOCTL[column], 0, 1 << 32 | 0x40086602) == DENIED
        )  # the kernel reads 32 bits

    def test_of_fcntls_it_refuses_those_that_watch_lock_or_change_a_file(self, architecture, column):
        steps = seccomp.program(architecture, column)
        refused = {number for number in range(1100) if verdict(steps, architecture, FCNTL[column], 0, number) == DENIED}
        locks = {6, 7, 37, 38}  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
        assert refused == locks | {1024, 1026, 1036, 1038}  # F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT

    def test_a_call_that_is_newer_than_it_is_unknown(self, architecture, column):
        steps = seccomp.program(architecture, column)
        assert {verdict(steps, architecture, number) for number in (470, 471, 1000)} == {UNKNOWN}

    def test_no_jump_leaves_it(self, architecture, column):
        steps = seccomp.program(architecture, column)
        for place, (_, true, false, _) in enumerate(steps):
            assert 0 <= true < 256 and 0 <= false < 256 and place + 1 + max(true, false) <= len(steps)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the headers of this machine have the other numbers")
def test_the_numbers_are_the_kernels():
    for path, column in (
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0),
        ("/usr/include/asm-generic/unistd.h", 1),
    ):
        if not os.path.exists(path):
            pytest.skip("no headers")
        with open(path) as file:
            known = dict(re.findall(r"#define __NR_([a-z0-9_]+)\s+([0-9]+)", file.read()))
        given = seccomp.REFUSED | {"socket": SOCKET, "socketpair": SOCKETPAIR, "clone": CLONE, "clone3": CLONE3}
        given |= {"ioctl": IOCTL, "fcntl": FCNTL, "fchmodat": FCHMODAT}
        differing = {name for name, both in given.items() if name in known and int(known[name]) != both[column]}
        assert not differing and len(set(given) & set(known)) > 40


OTHER_NUMBERS = """
import ctypes, json, mmap, os, sys
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret: getpid(2) by the numbers of 32 bits
narrow = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
libc = ctypes.CDLL(None, use_errno=True)
def told():
    result = libc.syscall(0x40000000 | 39)  # getpid(2) by those of x32, which many kernels do not have
    return [narrow() == os.getpid(), ctypes.get_errno() if result < 0 else 0]
before = told()
if sys.argv[1] == "held":
    from borgctl.sandbox import seccomp
    libc.prctl(38, 1, 0, 0, 0)
    seccomp.forbid()
print(json.dumps([before, told()]))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other machines have one table of numbers")
def test_no_other_table_of_system_calls_leads_past_the_filter():
    """Each has other numbers for the same calls, also for those that the filter refuses."""
    free = programs.python(OTHER_NUMBERS, "free")
    if free.returncode < 0:
        pytest.skip("this kernel runs no programs of 32 bits")
    before, after = json.loads(free.stdout)
    assert before == after and before[0]
    before, after = json.loads(programs.python(OTHER_NUMBERS, "held").stdout)
    assert before[0] and after == [False, errno.EACCES]
