"""Small programs for tests, run as processes of their own: Python without a site, so that they start at once."""

import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code, *arguments, timeout=30, **options):
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


def wait_for(predicate, seconds=10.0):
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


def read_all(fd, seconds=10.0):
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
