"""The sandbox: how it is prepared, what it records, and that it fails closed."""

import errno
import json
import os
import sys

import programs
import pytest

from borgctl.borg import relay
from borgctl.errors import BorgctlError
from borgctl.process import namespaces, spawn
from borgctl.process.capture import capture
from borgctl.sandbox import landlock, plan, seccomp
from borgctl.sandbox.plan import Sandbox, prepare
from borgctl.sandbox.privileges import Account

ROOT = os.geteuid() == 0
USER = "64123"
BORG = "/bin/true"  # an ELF file


def test_off_is_off():
    assert prepare("off", "no-such-user", BORG) is None
    assert plan.owner(None) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize("mode", ["require", "prefer"])
def test_what_this_machine_has_is_taken(mode):
    held = prepare(mode, USER, BORG)
    assert held == Sandbox(landlock.abi(), *((Account(64123, 64123), namespaces.ALL) if ROOT else (None, 0)))
    own = {"landlock": landlock.abi(), "namespaces": ["pid", "ipc", "net"] if ROOT else [], "lacks": []}
    assert held.record == own | {"user": 64123 if ROOT else os.geteuid()}


def test_without_landlock_it_can_be_preferred_and_not_be_required(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    assert prepare("prefer", USER, BORG).record["landlock"] == 0 and prepare("prefer", USER, BORG).record["lacks"]
    with pytest.raises(BorgctlError, match="no Landlock") as caught:
        prepare("require", USER, BORG)
    assert caught.value.reason.code == "sandbox-unavailable"


@pytest.mark.skipif(not ROOT, reason="an ordinary user's borg runs as that user")
def test_root_needs_another_user(monkeypatch):
    with pytest.raises(BorgctlError, match="no user 'no-such-user' on this machine: make one with 'useradd"):
        prepare("require", "no-such-user", BORG)
    assert prepare("prefer", "no-such-user", BORG).account is None


@pytest.mark.skipif(not ROOT, reason="only root has namespaces for borg")
def test_where_namespaces_are_not_permitted_they_can_be_preferred_and_not_be_required(monkeypatch):
    """As in a container without CAP_SYS_ADMIN."""
    monkeypatch.setattr(namespaces, "possible", lambda kinds: False)
    held = prepare("prefer", USER, BORG)
    assert held.namespaces == 0 and held.record["namespaces"] == [] and "namespaces" in held.record["lacks"]
    with pytest.raises(
        BorgctlError, match="no namespaces: give the container CAP_SYS_ADMIN, or use 'prefer'"
    ) as caught:
        prepare("require", USER, BORG)
    assert caught.value.reason.code == "sandbox-unavailable"


@pytest.mark.parametrize("abi", range(1, landlock.NEWEST))
def test_what_an_abi_lacks_is_told(abi):
    assert Sandbox(abi, None, namespaces.ALL).record["lacks"] == list(landlock.lacking(abi))


def test_a_machine_whose_system_calls_are_not_known_lacks_their_filter(monkeypatch):
    monkeypatch.setattr(seccomp, "available", lambda: False)
    assert "system calls" in Sandbox(landlock.NEWEST, None, namespaces.ALL).record["lacks"]


def test_the_rules_name_what_is_read_written_listed_and_executed(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    rules = Sandbox(7, None).rules(
        sys.executable, relay.__file__, writes=["/w"], reads=["/r", f"{tmp_path}/link"], lists=["/l"]
    )
    assert {("write", "/w"), ("write", "/dev/null"), ("read", "/r"), ("list", "/l")} <= set(rules)
    assert {path for what, path in rules if what == "write"} == {"/w", "/dev/null"}
    assert ("read", relay.__file__) in rules and ("read", f"{tmp_path}/link") not in rules
    executed = [path for what, path in rules if what == "execute"]
    assert os.path.realpath(sys.executable) in executed and len(executed) == len(set(executed)) <= 4
    secret = ("/etc", "/etc/shadow", "/root", "/home", "/", "/var", "/proc", "/usr", "/run")
    assert not [path for what, path in rules if path in secret]


def test_a_device_has_a_rule_of_its_own_and_a_link_is_read_only_where_it_may_lead_to_one(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    paths = ["/dev/sda", "/srv", f"{tmp_path}/link"]
    rules = Sandbox(7, None).rules(sys.executable, relay.__file__, writes=[], reads=paths, devices=paths)
    assert [path for what, path in rules if what == "device"] == ["/dev/sda", f"{tmp_path}/link"]
    assert [path for what, path in rules if what == "read" and path in paths] == ["/srv"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("#!/bin/bash", "name borg itself with 'borg:', and its variables with 'environment: {set: …}'"),
        ("#!/usr/bin/env python3", "write the path of one, like #!/usr/bin/python3"),
        ("#!/usr/bin/env -S python3 -I", "write the path of one, like #!/usr/bin/python3"),
    ],
)
def test_a_wrapper_that_cannot_be_confined_is_preferred_without_that_part_and_not_required(tmp_path, first, said):
    (tmp_path / "borg").write_text(f"{first}\n")
    borg = f"{tmp_path}/borg"
    with pytest.raises(BorgctlError) as caught:
        prepare("require", USER, borg)
    assert caught.value.reason.code == "sandbox-unavailable" and said in caught.value.detail
    held, whole = prepare("prefer", USER, borg), prepare("prefer", USER, BORG)
    assert (held.abi, held.account, held.namespaces) == (0, whole.account, whole.namespaces)
    assert held.record["lacks"][0] == "files" and held.record["missing"] == [caught.value.detail]
    assert held.rules(borg, relay.__file__, writes=["/w"]) == () and "missing" not in whole.record
    assert prepare("off", USER, borg) is None and prepare("require", USER, f"{tmp_path}/none").abi == whole.abi


def test_a_borg_that_cannot_be_told_has_no_rules(tmp_path):
    (tmp_path / "borg").write_text("#!/bin/sh\n")
    for program, code in ((f"{tmp_path}/borg", "sandbox-unavailable"), (f"{tmp_path}/none", "borg-missing")):
        with pytest.raises(BorgctlError) as caught:
            Sandbox(7, None).rules(program, relay.__file__, writes=[])
        assert caught.value.reason.code == code


@pytest.mark.parametrize("abi", [0, *range(1, landlock.abi() + 1)])
def test_a_child_is_held_by_every_abi(tmp_path, abi):
    """`prefer` on an old kernel: all parts that it has."""
    (tmp_path / "secret").write_text("x")
    tmp_path.chmod(0o755)
    held = Sandbox(abi, Account(64123, 64123) if ROOT else None)
    script = f"cat {tmp_path}/secret; echo x >{tmp_path}/new"
    rules = (
        *(("execute", f"/usr/{name}") for name in ("bin", "lib", "lib64")),
        ("execute", "/lib64"),
        ("read", "/usr"),
    )
    status, output = capture(
        ["/bin/sh", "-c", script],
        {"PATH": "/usr/bin:/bin"},
        most=100,
        seconds=20,
        before_exec=lambda: held.apply(rules),
    )
    forbidden = bool(abi)
    assert output == (b"" if forbidden else b"x")
    assert (tmp_path / "new").exists() == (not forbidden and not ROOT)
    assert (status != 0) == (forbidden or ROOT)


@pytest.mark.skipif(not landlock.abi(), reason="without Landlock nothing is laid")
def test_a_child_can_make_no_socket_for_a_connection():
    """Landlock lets a process make it, and does not know some kinds and uses of it."""
    code = "import socket\ntry:\n    socket.socket()\nexcept OSError as error:\n    print(error.errno)"
    python = os.path.realpath(sys.executable)
    held = Sandbox(landlock.abi(), None)
    rules = (*held.rules(python, relay.__file__, writes=[]), ("execute", python))
    argv, env = [python, "-I", "-S", "-c", code], {"PATH": "/usr/bin:/bin"}
    told = [
        capture(argv, env, most=100, seconds=20, before_exec=before)
        for before in (lambda: None, lambda: held.apply(rules))
    ]
    assert told == [(0, b""), (0, b"%d\n" % errno.EACCES)]


OF_OTHERS = """
import fcntl, json, os, struct, sys
file, sticky, written = (sys.argv[1] + name for name in ("/file", "/sticky/file", "/written"))
def ioctl(request, value):
    fd = os.open(file, os.O_RDONLY)
    try:
        return fcntl.ioctl(fd, request, value)
    finally:
        os.close(fd)
def change_mode(call, *words):
    call(*words)
    if os.stat(file).st_mode & 0o777 != 0o777:
        raise OSError
def by_descriptor(call, *words):
    fd = os.open(file, os.O_RDONLY)
    try:
        call(fd, *words)
    finally:
        os.close(fd)
flags = lambda: struct.unpack("i", ioctl(0x80086601, bytes(8))[:4])[0]
TRIES = {
    "noatime": lambda: os.close(os.open(file, os.O_RDONLY | os.O_NOATIME)),
    "flags": flags,
    "chmod": lambda: change_mode(os.chmod, file, 0o777),
    "fchmod": lambda: by_descriptor(os.fchmod, 0o777),
    "fchmodat": lambda: change_mode(lambda: os.chmod("file", 0o777, dir_fd=os.open(sys.argv[1], os.O_PATH))),
    "utime": lambda: os.utime(file, (1, 1)),
    "futime": lambda: by_descriptor(os.utime, (1, 1)),
    "setxattr": lambda: os.setxattr(file, "user.x", b"x"),
    "acl": lambda: os.setxattr(file, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, 6, 0xFFFFFFFF) for tag in (1, 4, 0x20))),
    "removexattr": lambda: os.removexattr(file, "user.old"),
    "set flags": lambda: ioctl(0x40086602, struct.pack("q", 0x80)),
    "project": lambda: ioctl(0x401C5820, bytes(28)),
    "watch": lambda: by_descriptor(lambda _: fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), 1026, 0x80000000)),
    "hint": lambda: by_descriptor(lambda fd: fcntl.fcntl(fd, 1036, struct.pack("Q", 2))),
    "lock": lambda: by_descriptor(lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    "lock records": lambda: by_descriptor(lambda fd: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)),
    "lock for good": lambda: by_descriptor(lambda fd: fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", 0, 0, 0, 0, 0))),
    "unlink": lambda: os.unlink(sticky),
    "rename": lambda: os.rename(sticky, sticky + "x"),
    "link": lambda: os.link(file, written + "/link"),
}
succeeded = []
for name, act in TRIES.items():
    try:
        act()
        succeeded.append(name)
    except OSError:
        pass
print(json.dumps(succeeded))
"""


@pytest.mark.skipif(
    not ROOT or not landlock.abi(), reason="only root's borg has the capability, and only with Landlock"
)
@pytest.mark.parametrize("confined", [True, False])
def test_a_child_reads_without_a_trace_and_changes_no_file_of_others(tmp_path, confined):
    """O_NOATIME needs CAP_FOWNER, which permits each of these, as the run without the sandbox shows."""
    tmp_path.chmod(0o755)
    for name, mode in (("sticky", 0o1777), ("written", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    for file in (tmp_path / "file", tmp_path / "sticky/file"):
        file.write_text("x")
        file.chmod(0o640)
    os.setxattr(tmp_path / "file", "user.old", b"x")
    before = (tmp_path / "file").stat()
    python = os.path.realpath(sys.executable)
    held = Sandbox(landlock.abi(), Account(64123, 64123))
    rules = held.rules(python, relay.__file__, writes=[str(tmp_path / "written")], reads=[str(tmp_path)])
    rules = (*rules, ("execute", python))

    def free():
        plan.privileges.become(Account(64123, 64123), noatime=True)

    argv = [python, "-I", "-S", "-c", OF_OTHERS, str(tmp_path)]
    before_exec = (lambda: held.apply(rules)) if confined else free
    status, output = capture(argv, {"PATH": "/usr/bin:/bin"}, most=2000, seconds=20, before_exec=before_exec)
    assert status == 0
    did = set(json.loads(output))
    if not confined:
        assert did >= {"noatime", "flags", "chmod", "fchmod", "utime", "acl", "watch", "hint", "unlink", "link"}
        assert did >= {"lock", "lock records", "lock for good"}
        return
    assert did == {"noatime", "flags"}
    after = (tmp_path / "file").stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert os.listxattr(tmp_path / "file") == ["user.old"] and (tmp_path / "sticky/file").exists()


@pytest.mark.skipif(not ROOT, reason="an ordinary user's borg has no capability")
@pytest.mark.parametrize("lacking", ["Landlock", "filter"])
def test_where_a_part_is_missing_a_child_has_the_right_to_read_alone(monkeypatch, lacking):
    if lacking == "filter":
        monkeypatch.setattr(seccomp, "_MACHINES", {})
    held = Sandbox(0 if lacking == "Landlock" else landlock.abi(), Account(64123, 64123))
    rules = [("execute", "/usr"), ("execute", "/lib64"), ("read", "/proc")]
    argv, env = ["/usr/bin/grep", "CapEff", "/proc/self/status"], {}
    told = capture(argv, env, most=100, seconds=20, before_exec=lambda: held.apply(rules))
    assert told == (0, b"CapEff:\t0000000000000004\n")


def test_what_cannot_be_laid_is_never_run(tmp_path, monkeypatch):
    def no(*_):
        raise OSError(errno.EPERM, "no")

    steps = [(landlock, "Ruleset"), (seccomp, "forbid")]
    steps += [(plan.privileges, name) for name in ("limit", "leave_keyring", "limit_memory")]
    for kinds in (0, namespaces.ALL) if ROOT else (0,):
        for module, name in steps:
            monkeypatch.undo()
            monkeypatch.setattr(module, name, no)
            wall = plan.confinement(Sandbox(1, None, kinds), (), 1 << 30)
            with pytest.raises(spawn.SetupError):
                spawn.spawn(["/bin/touch", f"{tmp_path}/ran"], {}, {}, wall.apply, wall.kinds)
    assert not (tmp_path / "ran").exists()


def test_a_process_without_a_sandbox_has_the_limit_of_memory():
    wall = plan.confinement(None, (), 300 << 20)
    status, output = capture(
        ["/bin/sh", "-c", "ulimit -v"], {}, most=100, seconds=20, before_exec=wall.apply, kinds=wall.kinds
    )
    assert (status, output, wall.kinds) == (0, b"%d\n" % (300 << 10), 0)


KEY = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
own, add = {"x86_64": (250, 248)}.get(os.uname().machine, (219, 217))
assert libc.syscall(own, 1, None) > 0  # a session keyring for this test alone
if libc.syscall(add, b"user", b"borgctl-test", b"x", ctypes.c_size_t(1), -3) < 0:
    sys.exit("no keyring")
from borgctl.process.capture import capture
from borgctl.sandbox import landlock, plan
from borgctl.borg import relay
from borgctl.sandbox.privileges import Account
held = plan.Sandbox(0, Account(64123, 64123) if os.geteuid() == 0 else None)
before = held.apply if sys.argv[1] == "held" else lambda rules: None
print(capture(["/bin/cat", "/proc/keys"], {}, most=100000, seconds=20, before_exec=lambda: before(())))
"""


def test_a_child_that_is_held_has_no_key_of_the_keyring_above():
    """A process sees all keys of its keyring, whoever owns them."""
    free, held = (programs.python(KEY, how) for how in ("free", "held"))
    if b"no keyring" in free.stderr or b"borgctl-test" not in free.stdout:
        pytest.skip("this kernel has no keyrings, or shows none")
    assert held.returncode == 0 and b"borgctl-test" not in held.stdout
