"""Who a child becomes: another user, one capability, no way back."""

import os
import pwd

import programs
import pytest

from borgctl.credentials import Account, account
from borgctl.errors import BadValue

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

BECOME = """
import os, sys
from borgctl.credentials import Account, become, limit
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
    words = "['sh', '-c', 'ulimit -c; ulimit -n']"
    before = "import os, resource\nhard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
    before += "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"  # a service's may be 0 already
    words = words.replace("ulimit -c;", "ulimit -c; ulimit -Hc;")
    code = f"{before}from borgctl.credentials import limit\nlimit()\nos.execv('/bin/sh', {words})"
    core, hardest, files = programs.python(code).stdout.split()
    assert (core, hardest) == (b"0", b"0") and int(files) <= 1024


def test_nobody_becomes_another_without_being_root():
    first = "from borgctl import credentials\nimport os\nif os.geteuid() == 0: os.setuid(64125)\n"
    done = programs.python(first + BECOME.replace("os.setgroups([0, 4, 1000])", ""), "true")
    assert done.returncode == 1 and b"PermissionError" in done.stderr
