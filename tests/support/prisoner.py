"""A program in borg's place that tries what a borg that was taken over might try; prints what succeeded, as JSON.

Its script says `#!PYTHON -I` and this file's text; PLACE/facts.json says where things are. It is never run as borg but
by the gate.
"""
# ruff: noqa: SIM115 - one line a try

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import subprocess
import sys
import time

if "--version" in sys.argv:
    print("borg 1.4.5")
    sys.exit()
FACTS = json.load(open("FACTS"))
OWN, OTHER, FOLDER = FACTS["offered"], FACTS["other"], FACTS["folder"]
libc = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "call")


def traced():
    called(libc.ptrace(0x4206, os.getppid(), 0, 0))  # PTRACE_SEIZE


def mounted():
    called(libc.mount(b"none", FOLDER.encode(), b"tmpfs", 0, None))
    libc.umount2(FOLDER.encode(), 2)


def connected():
    with socket.socket() as client:
        client.connect(("127.0.0.1", FACTS["port"]))


def listened():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def dialled():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(FACTS["socket"])


def abstract():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + FACTS["abstract"])


def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", 9))


def netlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as one:
        one.bind((0, 0))


MACHINE = 0 if os.uname().machine == "x86_64" else 1


def system_call(numbers, *arguments):
    called(result := libc.syscall(numbers[MACHINE], *arguments))
    return result


def read_a_key():
    """Root's kernel keyring: whoever started the gate may have keys there (a disk's, a file system's)."""
    found = system_call((250, 219), 10, -3, b"user", FACTS["key"].encode(), 0)  # KEYCTL_SEARCH the session keyring
    system_call((250, 219), 11, found, ctypes.create_string_buffer(100), ctypes.c_size_t(100))  # KEYCTL_READ


def outlive():
    """Be a chain in which each process starts the next and goes, so that nobody can kill it by its number.

    It writes as long as it lives, and ends by itself after half a minute.
    """
    fd = os.open(os.environ["BORG_BASE_DIR"] + "/chain", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, b"begun", 0)
    end = time.monotonic() + 30
    if os.fork() == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.close(number)
        while time.monotonic() < end and os.fork() == 0:
            os.pwrite(fd, b"%d" % time.monotonic_ns(), 0)
        os._exit(0)


def memory_file():
    fd = os.memfd_create("x")
    os.write(fd, open(sys.executable, "rb").read())
    subprocess.run([f"/proc/self/fd/{fd}", "-c", ""], check=True, pass_fds=[fd])


def watched():
    called(libc.inotify_add_watch(libc.inotify_init1(0), os.path.dirname(OTHER).encode(), 0xFFF))


def see_processes():
    """Signal 0 tells who is there, also of processes that are not ours to signal."""
    for pid in FACTS["pids"]:
        with contextlib.suppress(PermissionError):
            os.kill(pid, 0)


def unshared():
    """In a user namespace of its own a process is root, of nothing outside: also of no mount under Landlock."""
    if (child := os.fork()) == 0:
        with contextlib.suppress(OSError):
            called(libc.unshare(0x10000000 | 0x00020000))  # CLONE_NEWUSER, CLONE_NEWNS
            mounted()
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise OSError


def changed_mode():
    os.chmod(OWN, 0o4777)
    if os.stat(OWN).st_mode & 0o7777 != 0o4777:
        raise OSError


TRIES = {
    "read": lambda: open(OWN).read(),  # has to work
    "chmod": changed_mode,
    "chown": lambda: os.chown(OWN, os.getuid(), -1),
    "setxattr": lambda: os.setxattr(OWN, "user.x", b"x"),
    "utime": lambda: os.utime(OWN, (1, 1)),
    "truncate": lambda: os.truncate(OWN, 0),
    "write": lambda: open(OWN, "a").close(),
    "lock": lambda: fcntl.flock(os.open(OWN, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB),
    "lock records": lambda: fcntl.lockf(os.open(OWN, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB),
    "unlink": lambda: os.unlink(OWN),
    "rename": lambda: os.rename(OWN, OWN + "x"),
    "create": lambda: open(FOLDER + "/new", "w").close(),
    "mkdir": lambda: os.mkdir(FOLDER + "/below"),
    "symlink": lambda: os.symlink("x", FOLDER + "/link"),
    "hard link": lambda: os.link(OWN, os.environ["TMPDIR"] + "/hard"),
    "read elsewhere": lambda: open(OTHER).close(),
    "list elsewhere": lambda: os.listdir(os.path.dirname(OTHER)),
    "read the passphrase": lambda: open(FACTS["passphrase"]).close(),
    "read the policy": lambda: open(FACTS["policy"]).close(),
    "write the log": lambda: open(FACTS["log"], "a").close(),
    "read our parent": lambda: open(f"/proc/{os.getppid()}/environ").close(),
    "write our parent": lambda: open(f"/proc/{os.getppid()}/mem", "r+b").close(),
    "kill": lambda: os.kill(os.getppid(), 0),
    "ptrace": traced,
    "mount": mounted,
    "namespace": unshared,
    "tcp": connected,
    "tcp listen": listened,
    "root's socket": dialled,
    "abstract socket": abstract,
    "udp": datagram,
    "netlink": netlink,
    "key": read_a_key,
    "new key": lambda: system_call((248, 217), b"user", b"borgctl-left", b"x", ctypes.c_size_t(1), -4),
    "shared memory": lambda: system_call((29, 194), 0x626F7267, ctypes.c_size_t(4096), 0o1666),
    "semaphore": lambda: system_call((64, 190), 0x626F7267, 1, 0o1666),
    "messages": lambda: system_call((68, 186), 0x626F7267, 0o1666),
    "memory file": memory_file,
    "watch elsewhere": watched,
    "see processes": see_processes,
    "much memory": lambda: bytearray(FACTS["memory"]),
    "setuid": lambda: os.setuid(0),
    "shell": lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True),
    "copy and run": lambda: (
        open(os.environ["TMPDIR"] + "/x", "wb").write(open(sys.executable, "rb").read()),
        os.chmod(os.environ["TMPDIR"] + "/x", 0o700),
        subprocess.run([os.environ["TMPDIR"] + "/x", "-c", ""], check=True),
    ),
    # and what has to work, too
    "temporary": lambda: open(os.environ["TMPDIR"] + "/x", "w").close(),
    "base": lambda: open(os.environ["BORG_BASE_DIR"] + "/x", "w").close(),
    "python": lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True),
}
succeeded = []
for name, act in TRIES.items():
    with contextlib.suppress(OSError, MemoryError, subprocess.SubprocessError):
        act()
        succeeded.append(name)
if FACTS["chain"]:
    outlive()
print(json.dumps({"succeeded": succeeded, "uid": os.getuid(), "groups": os.getgroups()}))
