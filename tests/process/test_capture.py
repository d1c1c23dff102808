"""A small program's output is returned, within limits of size and time, and nothing of it stays."""

import contextlib
import errno
import os

import programs
import pytest

from borgctl.process.capture import capture

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_small_program_is_captured():
    assert capture(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], {}, most=100, seconds=10) == (3, b"out\n")


def test_its_environment_and_its_input_are_empty():
    assert capture(["/usr/bin/env"], {"A": "b"}, most=100, seconds=10) == (0, b"A=b\n")
    assert capture(["/bin/cat"], {}, most=100, seconds=10) == (0, b"")


def test_too_much_output_ends_it():
    for flood in (
        ["/usr/bin/head", "-c", "1001", "/dev/zero"],
        ["/bin/sh", "-c", "head -c 100000 /dev/zero; sleep 600"],
    ):
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            capture(flood, {}, most=1000, seconds=60)


@pytest.mark.parametrize("code", ["LONG", "trap '' TERM INT; LONG", "exec 1>&-; LONG", "(LONG) & exit 0"])
def test_too_long_a_time_ends_it(tmp_path, code):
    late = tmp_path / "late"
    with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
        capture(["/bin/sh", "-c", code.replace("LONG", f"sleep 60 && : > {late}")], {}, most=1000, seconds=0.3)
    assert not late.exists()  # nobody has waited until it ended by itself


@pytest.mark.parametrize(("code", "failed"), [("sleep 61.5 & exit 0", True), ("sleep 61.5 >/dev/null & exit 0", False)])
def test_what_a_small_program_leaves_behind_ends_with_it(code, failed):
    with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)) if failed else contextlib.nullcontext():
        capture(["/bin/sh", "-c", code], {}, most=1000, seconds=0.5)
    programs.wait_for(lambda: b"sleep\x0061.5\x00" not in commands())


def commands():
    """Return all command lines of this machine's processes."""
    found = b""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                found += file.read() + b"\n"
    return found


def test_what_cannot_be_started_is_an_error():
    with pytest.raises(FileNotFoundError):
        capture(["/no/such/program"], {}, most=10, seconds=1)
