"""The gate's first act: where the descriptors go."""

import json

import programs
import pytest

TAKE = """
import json, os, sys
for fd in map(int, sys.argv[2:]):
    os.close(fd)
from borgctl.gate import stdio
fds = stdio.take()
def what(fd):
    try:
        return [os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(fd)]
    except OSError:
        return None
told = {"0": what(0), "1": what(1), "2": what(2), "source": what(fds.source), "sink": what(fds.sink)}
told["numbers"] = [fds.source, fds.sink]
told["umask"] = os.umask(0)
open(sys.argv[1], "w").write(json.dumps(told))
os.write(1, b"printed")
"""


def taken(tmp_path, *closed, **options):
    done = programs.python(TAKE, tmp_path / "told", *closed, **options)
    return json.loads((tmp_path / "told").read_text()), done


def test_the_protocol_moves_away_and_nothing_can_mistake_it(tmp_path):
    told, done = taken(tmp_path, stdin=programs.subprocess.PIPE)
    assert told["0"] == ["/dev/null", True]
    assert told["1"] == told["2"]
    assert told["source"][0].startswith("pipe:") and told["sink"][0].startswith("pipe:")
    assert not told["source"][1] and not told["sink"][1]
    assert min(told["numbers"]) > 2 and told["umask"] == 0o77
    assert (done.stdout, done.stderr) == (b"", b"printed")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2), (1, 2)])
def test_what_was_closed_is_dev_null_and_no_other_file_gets_its_number(tmp_path, closed):
    told, done = taken(tmp_path, *closed)
    assert done.returncode == 0
    assert told["0"][0] == "/dev/null"
    if 0 in closed:
        assert told["source"][0] == "/dev/null"
    if 1 in closed:
        assert told["sink"][0] == "/dev/null"
    if 2 in closed:
        assert told["1"][0] == told["2"][0] == "/dev/null"
    assert min(told["numbers"]) > 2
