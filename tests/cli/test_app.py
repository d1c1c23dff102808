"""What the client's program does before and after any of its commands."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """\
import subprocess, sys
from borgctl.cli import app
app.app = lambda: sys.exit(subprocess.run(["/bin/sh", "-c", "sleep 0.2; exit 7"]).returncode)
app.main()
"""


def test_a_borg_that_fails_is_noticed_where_the_starter_ignored_the_ends_of_children():
    """Else a new passphrase that borg has refused would take the place of the old one."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM])
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert process.wait(60) == 7


def test_a_closed_output_is_no_unforeseen_error():
    code = "import sys; from borgctl.cli import app; sys.argv = ['borgctl', '--version']; app.main()"
    argv = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", code]
    done = subprocess.run(argv, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


COMMANDS = [("--version",), ("--help",), ("explain", "--help"), ("fly",)]


def run(words, **streams):
    """Run borgctl with buffers, as at an admin's prompt."""
    code = "import sys; from borgctl.cli import app; sys.argv = ['borgctl', *sys.argv[1:]]; app.main()"
    return subprocess.run([sys.executable, "-c", code, *words], env={}, check=False, **streams)


@pytest.mark.parametrize("words", COMMANDS[:3])
def test_output_that_does_not_fit_on_the_disk_is_an_error(words):
    with open("/dev/full", "wb") as full:
        done = run(words, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"borgctl: stdout: No space left on device\n")


@pytest.mark.parametrize("words", COMMANDS[:3])
def test_output_that_nobody_reads_is_neither_good_nor_a_warning(words):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(words, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (2, b"")


def test_an_error_that_cannot_be_told_is_still_one():
    with open("/dev/full", "wb") as full:
        assert run(COMMANDS[3], stdout=subprocess.PIPE, stderr=full).returncode == 2
