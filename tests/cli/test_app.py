"""What the client's program does before and after any of its commands."""

import signal
import subprocess
import sys

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
