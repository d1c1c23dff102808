"""Ancestors and descendants are found as proc(5) has them, and no descendant outlives us."""

import os
import shutil
import subprocess

import programs
import pytest

from borgctl.process import process_tree

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_our_ancestors_begin_with_our_parent_and_end_with_init():
    above = process_tree.ancestors(os.getpid())
    assert above[0] == os.getppid()
    assert len(above) == len(set(above)) and os.getpid() not in above


@pytest.mark.parametrize("pid", [0, 2**22 + 1, 999999999])
def test_a_process_that_is_not_there_has_no_ancestors(pid):
    assert process_tree.ancestors(pid) == []


def test_a_name_with_brackets_and_blanks_fools_nobody(tmp_path):
    """proc(5): the second field of stat is the program's own choice."""
    path = tmp_path / ") S 1 1 ("
    shutil.copy("/bin/sleep", path)
    with programs.ended(subprocess.Popen([path, "60"])) as process:
        assert process_tree.ancestors(process.pid)[0] == os.getpid()


FAMILY = """
import os, subprocess, sys, time
from borgctl.process import process_tree
process_tree.adopt_orphans()
child = subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], stdout=subprocess.DEVNULL)
child.wait()
time.sleep(0.2)
def below():
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and os.getpid() in process_tree.ancestors(int(p))]
before = len(below())
process_tree.kill_descendants()
print(before, len(below()))
"""


@pytest.mark.parametrize(
    "code",
    [
        "(LONG) & (LONG) &",
        "(trap '' TERM HUP INT; LONG) & exit 0",
        "setsid sh -c 'LONG' & exit 0",
        "setsid sh -c '(LONG) & setsid sh -c \"LONG\" & wait' & exit 0",
    ],
)
def test_nothing_that_descends_from_us_outlives_us(tmp_path, code):
    late = tmp_path / "late"
    before, after = programs.python(FAMILY, code.replace("LONG", f"sleep 60 && : > {late}")).stdout.split()
    assert int(before) > 0 and after == b"0"
    assert not late.exists()  # nobody has waited until they ended by themselves


def test_what_descends_from_one_child_is_not_what_descends_from_another():
    """What a hook leaves running is not borg's."""
    code = """
from borgctl.process import process_tree, spawn
one, other = (spawn.spawn(["/bin/sh", "-c", "sleep 60 & wait"], {}, {}) for _ in range(2))
while len(process_tree.descendants()) < 4:
    pass
below = process_tree.descendants()
print(one.pid in below, other.pid in below, len(process_tree.descendants(one.pid)))
print(set(process_tree.descendants(one.pid)) & set(process_tree.descendants(other.pid)))
process_tree.adopt_orphans()
process_tree.kill_descendants()
"""
    assert programs.python(code).stdout == b"True True 1\nset()\n"


def test_where_nothing_descends_from_us_nothing_is_looked_for():
    """An unprivileged user may have thousands of processes: the end of a run must not depend on them."""
    code = """
from borgctl.process import process_tree
process_tree.os.listdir = lambda path: print(f"looked into {path}")
process_tree.kill_descendants()
"""
    assert programs.python(code).stdout == b""
