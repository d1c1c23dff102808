"""A child becomes another user with one capability, and cannot go back."""

import contextlib
import os
import pwd

import programs
import pytest

from borgctl.errors import BadValue
from borgctl.sandbox.privileges import Account, account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

BECOME = """
import os, sys
from borgctl.sandbox.privileges import Account, become, limit
os.setgroups([0, 4, 1000])
limit()
become(Account(64123, 64124))
os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
"""


def test_a_name_and_a_number_mean_an_account():
    someone = next(entry for entry in pwd.getpwall() if entry.pw_uid)
    assert account(someone.pw_name) == account(str(someone.pw_uid)) == Account(someone.pw_uid, someone.pw_gid)
    assert account("64123") == Account(64123, 64123)


@pytest.mark.parametrize("text", ["root", "0", "00", "no-such-user", "9999999999", ""])
def test_root_and_nobody_in_particular_are_none(text):
    with pytest.raises(BadValue):
        account(text)


@needs_root
def test_a_child_is_another_user_with_one_capability_and_cannot_get_more():
    done = programs.python(BECOME, "cat /proc/self/status")
    told = dict(line.split(":\t", 1) for line in done.stdout.decode().splitlines())
    assert told["Uid"].split() == ["64123"] * 4 and told["Gid"].split() == ["64124"] * 4
    assert told["Groups"].split() == [] and told["NoNewPrivs"] == "1"
    assert {told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000004"}


@needs_root
def test_a_child_has_a_second_one_only_if_its_caller_wants_it():
    done = programs.python(BECOME.replace("64124))", "64124), noatime=True)"), "cat /proc/self/status")
    told = dict(line.split(":\t", 1) for line in done.stdout.decode().splitlines())
    assert {told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"000000000000000c"}


@needs_root
@pytest.mark.parametrize(
    "act",
    [
        "chmod 777 {path}",
        "chown 64123 {path}",
        "echo x >>{path}",
        "rm -f {path}",
        "touch {path}",
        "kill -0 1",
        "kill -0 $PPID",
        "chroot / true",
        "mount -t tmpfs x {folder}",
        "touch {folder}/new",
        "setpriv --reuid=0 true",
        "su -c true",
    ],
)
def test_a_child_may_do_nothing_that_root_may(tmp_path, act):
    path = tmp_path / "of-root"
    path.write_text("secret")
    path.chmod(0o600)
    done = programs.python(BECOME, act.format(path=path, folder=tmp_path), env={"PATH": os.environ["PATH"]})
    assert done.returncode != 0 and (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)


@needs_root
def test_a_child_reads_every_file(tmp_path):
    path = tmp_path / "of-root"
    path.write_text("content")
    path.chmod(0)
    tmp_path.chmod(0o700)
    assert programs.python(BECOME, f"cat {path} && ls {tmp_path}").stdout == b"contentof-root\n"


def test_a_child_has_no_core_and_few_files():
    code = """
import os, resource
from borgctl.sandbox.privileges import limit
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # or it might have none anyway
print(hard, flush=True)
limit()
os.execv("/bin/sh", ["sh", "-c", "ulimit -c; ulimit -Hc; ulimit -n"])
"""
    possible, soft, hard, files = programs.python(code).stdout.split()
    assert possible != b"0", "this machine allows no core dump at all, so that nothing is shown"
    assert (soft, hard) == (b"0", b"0") and int(files) <= 1024


@needs_root
def test_a_child_has_few_processes_for_all_that_its_user_runs():
    user = 1_000_000 + os.getpid()  # nobody else's, also where other tests run on this machine
    code = BECOME.replace("64123, 64124", f"{user}, 64124")
    many = "echo $$; grep processes /proc/self/limits; for i in $(seq 1100); do sleep 30 >&- 2>&- & done"
    done = programs.python(code, many, timeout=60, start_new_session=True)
    programs.python(f"import os\nos.setuid({user})\nos.kill(-1, 9)")
    group, *told = done.stdout.split()
    with contextlib.suppress(ChildProcessError):  # orphans are ours where we adopt them: no thousand zombies
        while os.waitpid(-int(group), 0):
            pass
    assert told[2:4] == [b"1024", b"1024"] and b"Cannot fork" in done.stderr


def test_memory_is_denied_beyond_the_limit():
    code = "from borgctl.sandbox.privileges import limit_memory\nlimit_memory(300 << 20)\nbytearray(100 << 20)\n"
    done = programs.python(f"{code}bytearray(300 << 20)")
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == b"MemoryError"


def test_a_child_leaves_its_parents_keyring():
    """Keys of one are not in the other, and the parent keeps its own."""
    code = """
import ctypes, os
from borgctl.sandbox.privileges import leave_keyring
libc = ctypes.CDLL(None)
number = {"x86_64": 250}.get(os.uname().machine, 219)
mine = libc.syscall(number, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
pid = os.fork()
if pid == 0:
    leave_keyring()
theirs = libc.syscall(number, 0, -3, 0)  # KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING
if pid == 0:
    os._exit(10 if theirs in (mine, -1) else 11)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), theirs == mine)
"""
    assert programs.python(code).stdout == b"11 True\n"


def test_nobody_becomes_another_without_being_root():
    first = "from borgctl.sandbox import privileges\nimport os\nif os.geteuid() == 0: os.setuid(64125)\n"
    done = programs.python(first + BECOME.replace("os.setgroups([0, 4, 1000])", ""), "true")
    assert done.returncode == 1 and b"PermissionError" in done.stderr
