"""What the rules allow works, and nothing else does, with every ABI."""

import errno
import os
import shutil
import socket

import programs
import pytest

from borgctl.sandbox import landlock

# Lays rules on itself and tries one thing; prints the number of the error, or 0.
HELD = """
import os, socket, sys
from borgctl.sandbox import landlock
version, act, place = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rules = landlock.Ruleset(version)
for what in ("list", "read", "write", "execute"):
    rules.allow(f"{place}/{what}", what)
rules.allow(f"{place}/not-there", "read")
rules.allow("/usr/lib", "read"); rules.allow("/lib64", "execute"); rules.allow("/usr/lib", "execute")
elsewhere = socket.socketpair()
rules.restrict()
os.chdir(place)
try:
    exec(act)
    print(0)
except OSError as error:
    print(error.errno)
"""
ALLOWED = (
    "open('read/file').read()",
    "os.listdir('read/below')",
    "os.listdir('list/below')",
    "open('write/new', 'w').write('x')",
    "open('write/file', 'w').write('x')",
    "os.truncate('write/file', 0)",
    "os.mkdir('write/folder'); os.rename('write/folder', 'write/other'); os.rmdir('write/other')",
    "os.unlink('write/file')",
    "os.stat('none/file')",
    "os.readlink('none/link')",
    "os.waitstatus_to_exitcode(os.spawnv(os.P_WAIT, 'execute/true', ['true'])) and os.kill(0, 99)",
)
FORBIDDEN = (
    "open('none/file')",
    "os.listdir('none')",
    "os.listdir('/')",
    "open('list/file')",
    "open('read/file', 'a')",
    "open('read/new', 'w')",
    "os.unlink('read/file')",
    "os.mkdir('read/folder')",
    "os.symlink('x', 'write/link')",
    "os.link('read/file', 'write/hard')",
    "os.mkfifo('write/pipe')",
    "socket.socket(socket.AF_UNIX).bind('write/socket')",
    "os.execv('read/true', ['true'])",
    "os.execv('write/true', ['true'])",
    "os.execv('/usr/bin/true', ['true'])",
)
SINCE = (
    (3, "os.truncate('none/file', 0)"),
    (4, "socket.create_server(('127.0.0.1', 0))"),
    (4, "socket.socket().connect(('127.0.0.1', 1))"),
    (6, "os.kill(os.getppid(), 0)"),
    (6, "socket.socket(socket.AF_UNIX).connect('\\0borgctl-test-' + sys.argv[4])"),
)


@pytest.fixture
def place(tmp_path):
    for name in ("list", "read", "write", "execute", "none"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
        shutil.copy("/bin/true", tmp_path / name / "true")
    (tmp_path / "none/link").symlink_to("file")
    return tmp_path


def tried(version, act, place, *more):
    done = programs.python(HELD, version, act, place, *more)
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout.split()[-1])


ABI = landlock.abi()
VERSIONS = range(1, ABI + 1)


def test_this_kernel_has_landlock():
    """The tests below, and every pull with a sandbox, need it: Linux 5.13 or later, not turned off."""
    assert 1 <= ABI <= landlock.NEWEST


@pytest.mark.parametrize("version", sorted({1, ABI}))
@pytest.mark.parametrize("act", ALLOWED)
def test_what_is_allowed_works(place, act, version):
    assert tried(version, act, place) == 0


@pytest.mark.parametrize("version", sorted({1, ABI}))
@pytest.mark.parametrize("act", FORBIDDEN)
def test_what_is_not_allowed_is_forbidden(place, act, version):
    assert tried(version, act, place) in (errno.EACCES, errno.EXDEV, errno.EPERM)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_abi_forbids_what_came_with_it_and_tells_what_it_lacks(place, version):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0borgctl-test-{os.getpid()}")
        listener.listen(1)
        for since, act in SINCE:
            number = tried(version, act, place, os.getpid())
            forbidden = number in (errno.EACCES, errno.EPERM)
            assert forbidden == (version >= since), (version, act, number)
    lacking = landlock.lacking(version)
    assert (len(lacking) == 0) == (version >= 6)
    assert ("TCP" in lacking) == (version < 4) and ("truncate" in lacking) == (version < 3)


@pytest.mark.parametrize(("path", "number"), [("none/file", errno.EACCES), ("/dev/zero", errno.EACCES)])
def test_a_device_is_a_block_device_or_there_is_no_rule(place, path, number):
    held = HELD.replace("elsewhere =", f"rules.allow(os.path.join(place, {path!r}), 'device'); elsewhere =")
    done = programs.python(held, ABI, f"open({path!r})", place)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout.split()[-1]) == number


def test_a_move_between_directories_works_where_the_abi_can_allow_it(place):
    act = "os.rename('write/file', 'write/below/file')"
    assert tried(1, act, place) == errno.EXDEV
    assert ABI < 2 or tried(ABI, act, place) == 0


def test_rules_hold_what_is_started_too(place):
    act = "os.execv('execute/cat', ['cat', 'read/file', 'none/file'])"
    shutil.copy("/bin/cat", place / "execute/cat")
    done = programs.python(HELD, ABI, act, place)
    assert (done.returncode, done.stdout) == (1, b"x") and b"none/file: Permission denied" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_that_refuses_has_none(number):
    done = programs.python(
        f"{programs.WITHOUT_LANDLOCK}\nrefuse({number})\nfrom borgctl.sandbox import landlock\nprint(landlock.abi())"
    )
    assert done.stdout == b"0\n", done.stderr.decode()


def test_a_rule_that_cannot_be_laid_is_an_error():
    code = f"""{programs.WITHOUT_LANDLOCK}
from borgctl.sandbox import landlock
rules = landlock.Ruleset(1)
refuse(38)
try:
    rules.restrict()
except OSError as error:
    print(error.errno)
"""
    assert programs.python(code).stdout == b"38\n"
