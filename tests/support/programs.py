"""Small programs for tests, run as processes of their own: Python without a site, so that they start at once."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
IDENTITY = bytes(range(32))
# borg's first words, as far as a relay looks at them: to `negotiate` and to `open`, which names the repository's id
NEGOTIATED = b"\x94\x01\x01\xc0\x80"
OPENED = b"\x82\xa1i\x02\xa1r\xc4\x20"
ASKS = (
    b"\x94\x01\x01\xa9negotiate\x91\x81\xaeclient_version\x93\x01\x04\x05",
    b"\x83\xa1i\x02\xa1m\xa4open\xa1a\x80",
    b"\x83\xa1i\x03\xa1m\xa3get\xa1a\x81\xa2id\xda\x00\x20" + bytes(32),
)


def serve(source, sink, identity=IDENTITY):
    """Be a borg server for its first words; return whatever else the client says until it ends."""
    rest = b""
    for ask, answer in zip(ASKS, (NEGOTIATED, OPENED + identity, b""), strict=True):
        data = rest
        while len(data) < len(ask) and (piece := os.read(source, 65536)):
            data += piece
        if not data.startswith(ask):
            return data
        rest = data[len(ask) :]
        try:
            os.write(sink, answer)
        except OSError:
            return rest
    while piece := os.read(source, 65536):
        rest += piece
    return rest


# A borg's side of the same, by the relay that BORG_RSH names; then argv[1] as a shell's words
SPEAK = f"""
import os, shlex, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
relay = shlex.split(os.environ["BORG_RSH"]) + ["borgctl", "borg", "serve"]
to_relay, from_relay = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(to_relay[0], 0)
    os.dup2(from_relay[1], 1)
    os.execv(relay[0], relay)
os.close(to_relay[0])
os.close(from_relay[1])
for ask in {ASKS!r}:
    os.write(to_relay[1], ask)
    if ask != {ASKS[2]!r} and not os.read(from_relay[0], 65536):
        sys.exit(80)
os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
"""


# Code that makes the kernel answer Landlock's system calls with an error, as an old one does (seccomp(2)): refuse(38)
WITHOUT_LANDLOCK = """
import ctypes, struct
def refuse(number):
    def op(code, jt, jf, k):
        return struct.pack("=HBBI", code, jt, jf, k)
    program = b"".join((
        op(0x20, 0, 0, 0),               # load the system call's number
        op(0x35, 0, 2, 444),             # 444 to 446 are Landlock's on every architecture
        op(0x25, 1, 0, 446),
        op(0x06, 0, 0, 0x00050000 | number),
        op(0x06, 0, 0, 0x7FFF0000),
    ))
    buffer = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)
    described = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, described, 0, 0) == 0, ctypes.get_errno()
"""


def python(code, *arguments, timeout=120, **options):
    """Run Python code that may import borgctl; return the finished process with bytes."""
    lines = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    argv = [sys.executable, "-c", lines, *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL, "capture_output": True} | options
    return subprocess.run(argv, check=False, timeout=timeout, **options)


def started(code, *arguments, **options):
    """Start Python code that may import borgctl."""
    lines = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    return subprocess.Popen([sys.executable, "-c", lines, *map(str, arguments)], **options)


def script(path, text):
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def wait_for(predicate, seconds=60.0):
    """Return the first true value of `predicate`."""
    end = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return value


def alive(pid):
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read_all(fd, seconds=60.0):
    """Read until the end of file, or fail."""
    data, end = b"", time.monotonic() + seconds
    while True:
        ready = select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]
        assert ready, f"no end of file within {seconds} s; so far {data[-200:]!r}"
        piece = os.read(fd, 1 << 20)
        if not piece:
            return data
        data += piece


@contextlib.contextmanager
def bounded(seconds):
    """Fail where the block has not ended by then, also in a system call; the test's own limit goes on afterwards."""

    def late(_number, _frame):
        raise AssertionError(f"still waiting after {seconds} s")

    before, left = signal.signal(signal.SIGALRM, late), signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(left)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def ended(process):
    """Kill and reap a process at the end of the block, whatever happened."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
