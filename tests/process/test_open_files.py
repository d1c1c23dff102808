"""The file that a program reads is found; its own files do not count."""

import os
import signal
import subprocess
import sys

import pytest
from programs import alive, ended, wait_for

from borgctl.process import open_files

READS = """
import os, sys, time
for path in sys.argv[1:]:
    kind, _, path = path.partition("=")
    os.open(path, {"r": os.O_RDONLY, "w": os.O_RDWR, "d": os.O_RDONLY | os.O_DIRECTORY}[kind] | os.O_NONBLOCK)
print("ready", flush=True)
time.sleep(60)
"""


def at(tmp_path, *opened, ignored=()):
    words = [sys.executable, "-I", "-S", "-c", READS, *opened]
    with ended(subprocess.Popen(words, stdout=subprocess.PIPE)) as process:
        assert process.stdout.readline() == b"ready\n"
        return open_files.reading([process.pid], ignored)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "data/below").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    for name in ("data/file", "data/below/other", "own/cache"):
        (tmp_path / name).touch()
    return tmp_path


def test_the_file_that_is_read_is_told_and_not_what_is_written_or_the_programs_own(tree):
    opened = (f"r={tree}/data/file", f"w={tree}/data/below/other", f"d={tree}/data/below", f"r={tree}/own/cache")
    assert at(tree, *opened, "r=/dev/null", ignored=(f"{tree}/own",)) == f"{tree}/data/file"


def test_where_no_file_is_open_the_deepest_directory_is_told(tree):
    os.mkfifo(tree / "data/below/fifo")
    opened = (f"d={tree}/data/below", f"d={tree}/data", f"d={tree}/own/../own")
    assert at(tree, *opened) == f"{tree}/data/below"
    assert at(tree, *opened, f"r={tree}/data/below/fifo") == f"{tree}/data/below/fifo"


def test_a_name_of_any_bytes_is_told_and_one_that_is_gone(tree):
    name = os.fsdecode(b"a\nb\xff\x1b")
    (tree / "data" / name).touch()
    assert at(tree, f"r={tree}/data/{name}") == f"{tree}/data/{name}"
    assert open_files.reading([2**22 + 1], ()) is None
    assert open_files.reading([], ()) is None


def test_a_process_that_has_ended_tells_nothing(tree):
    with ended(subprocess.Popen(["/bin/sleep", "60"])) as process:
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: not alive(process.pid))
        assert open_files.reading([process.pid], ()) is None
