"""The gate as a process: what it loads, and that nonsense of any kind ends in one exit line and no traceback."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import machines
import people
import programs
import pytest
import stage
from stage import SUPPORT

from borgctl.audit.chain import link
from borgctl.audit.log import Log
from borgctl.cli.log import show
from borgctl.cli.log.records import OUTCOMES, TYPES
from borgctl.cli.log.verify import verify
from borgctl.policy import sent_environment
from borgctl.pull.client.frames import LONGEST
from borgctl.values import Head
from borgctl.wire.hashchain import MOST, follows

FORBIDDEN = ("typer", "rich", "structlog", "logging", "asyncio", "subprocess", "pydantic", "click", "borgctl.cli")
FORBIDDEN += ("dataclasses", "inspect")  # borgctl.data_class: they cost more than half of a start
KEY = "SHA256:" + "a" * 43


def isolated(code):
    """Run code as `python -I` finds the package: installed, or from this checkout."""
    head = f"import sys; sys.path.insert(0, {str(programs.ROOT)!r}); "
    return subprocess.run(
        [sys.executable, "-I", "-c", head + code], capture_output=True, text=True, timeout=120, check=True
    )


def test_the_gate_stands_on_the_standard_library_and_yaml_alone():
    loaded = set(isolated("import borgctl.gate.granted, borgctl.gate.main; print(*sys.modules)").stdout.split())
    assert "borgctl.gate.main" in loaded
    assert not loaded & set(FORBIDDEN)
    assert not any(name.startswith("borgctl.pull") for name in loaded)
    before = set(isolated("print(*sys.modules)").stdout.split())
    tops = {name.partition(".")[0] for name in loaded - before}
    tops = {name for name in tops - set(sys.stdlib_module_names) if "cython" not in name}  # what _yaml is made with
    assert tops <= {"borgctl", "yaml", "_yaml"}


def test_a_refusal_waits_for_nothing_that_only_a_run_needs():
    loaded = set(isolated("import borgctl.gate.main; print(*sys.modules)").stdout.split())
    assert not loaded & {"borgctl.gate.granted", "borgctl.gate.transport", "borgctl.gate.run", "ctypes", "socket"}


def test_what_the_interpreter_keeps_of_modules_is_for_all_users(tmp_path):
    """The gate's own files are not; who comes first may be root, and installers differ in what they compile."""
    shutil.copytree(programs.ROOT / "borgctl", tmp_path / "borgctl", ignore=shutil.ignore_patterns("__pycache__"))
    main = f"""
import os, runpy, sys
os.umask(0o022)
sys.dont_write_bytecode = False
sys.path.insert(0, {str(tmp_path)!r})
sys.argv = ["gate", "--policy", {str(tmp_path / "policy.yaml")!r}]
runpy.run_module("borgctl.gate", run_name="__main__")
"""
    policy = f"""\
version: 1
repositories: {{/srv/borg/web1: {{encryption: none}}}}
jobs: {{default: {{paths: [/etc]}}}}
base: {tmp_path}/base
audit: {{file: {tmp_path}/audit.jsonl, syslog: no}}
sandbox: off
"""
    tmp_path.chmod(0o700)
    stage.written(tmp_path, policy)
    env = {"SSH_ORIGINAL_COMMAND": "hello", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-I", "-c", main], env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    kept = [path for path in tmp_path.rglob("*") if "__pycache__" in path.parts]
    assert any(path.name.startswith("granted.") for path in kept)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o044 for path in kept} == {0o044}
    assert stat.S_IMODE((tmp_path / "base").stat().st_mode) == 0o700


# ---- the gate, in a room of its own

FAKE = """\
case "$1" in
--version) echo borg 1.4.5; exit 0;;
esac
{ printf '%s\\n' "$@"; } > ROOM/argv
env > ROOM/env
ls -l /proc/self/fd > ROOM/fds
if [ -n "$BORG_PASSPHRASE_FD" ]; then cat <&"$BORG_PASSPHRASE_FD" > ROOM/secret; fi
exec PYTHON -I -S ROOM/speak.py "$(cat ROOM/body)"
"""


# An interpreter that has imported the gate and forks for each request: what costs most of a start is paid once. Each
# gate is a process of its own all the same, with pipes as sshd makes them. The server's end of fd 0 stays open.
WARM = f"""
import json, os, sys
sys.path[:0] = [{str(programs.ROOT)!r}, {str(SUPPORT)!r}]
import programs
from borgctl.gate import granted, main
for line in sys.stdin:
    asked = json.loads(line)
    pipes = [os.pipe() for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        os.dup2(pipes[0][0], 0)
        os.dup2(pipes[1][1], 1)
        os.dup2(pipes[2][1], 2)
        for pair in pipes:
            os.close(pair[0])
            os.close(pair[1])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.argv = ["gate.py", *asked["argv"]]
        main.main()
    for fd in (pipes[0][0], pipes[1][1], pipes[2][1]):
        os.close(fd)
    printed = programs.serve(pipes[1][0], pipes[0][1], bytes.fromhex(asked["identity"])).decode("latin-1")
    told = [open(pipes[2][0], "rb").read().decode("latin-1"), printed]
    os.close(pipes[1][0])
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(pipes[0][1])
    print(json.dumps([status, *told]), flush=True)
"""


@pytest.fixture(scope="module")
def warm():
    argv = [sys.executable, "-I", "-c", WARM]
    with programs.ended(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        yield process


class Room:
    """A client: policy, log, base, a borg that only looks, and how to start the gate."""

    def __init__(self, directory, warm):
        self.path = directory
        self.warm = warm
        self.identity = programs.IDENTITY  # what the server says that its repository is
        directory.chmod(0o700)
        (directory / "sockets").mkdir(mode=0o700)
        self.secret = directory / "passphrase"
        self.secret.write_text("hunter2-hunter2\n")
        self.secret.chmod(0o600)
        self.log = directory / "log/audit.jsonl"
        self.borg()
        self.policy()

    def borg(self, body="exit 0"):
        (self.path / "body").write_text(body)
        (self.path / "speak.py").write_text(programs.SPEAK)
        programs.script(self.path / "borg", FAKE.replace("ROOM", str(self.path)).replace("PYTHON", sys.executable))

    def policy(self, more="", *, jobs="default: {paths: [/etc]}"):
        self.file = self.path / "p.yaml"
        self.file.write_text(
            f"version: 1\nrepositories: {{/srv/a: {{encryption: required}}}}\npassphrase: {{file: {self.secret}}}\n"
            f"jobs:\n  {jobs}\nborg: {self.path}/borg\nbase: {self.path}/base\nsandbox: off\n"
            f"socket: {{directory: {self.path}/sockets}}\naudit: {{file: {self.log}, syslog: no}}\n{more}"
        )
        self.file.chmod(0o600)

    def argv(self, *arguments, isolated=("-I",)):
        # -I finds an installed package only; the checkout may be none
        start = (
            f"import sys, runpy; sys.path.insert(0, {str(programs.ROOT)!r}); "
            "runpy.run_module('borgctl.gate', run_name='__main__', alter_sys=True)"
        )
        return [sys.executable, *isolated, "-c", start, *map(str, arguments or ("--policy", self.file, "--key", KEY))]

    def environment(self, command, **variables):
        env = {"PATH": "/usr/bin:/bin", "SSH_CONNECTION": "192.0.2.1 5000 192.0.2.2 22", **variables}
        return env if command is None else env | {"SSH_ORIGINAL_COMMAND": command}

    def gate(self, command, *arguments, **variables):
        """Run the gate to its end, from the warm interpreter."""
        words = [str(word) for word in arguments or ("--policy", self.file, "--key", KEY)]
        asked = {"argv": words, "env": self.environment(command, **variables), "identity": self.identity.hex()}
        self.warm.stdin.write(json.dumps(asked) + "\n")
        self.warm.stdin.flush()
        status, said, printed = json.loads(self.warm.stdout.readline())
        assert "Traceback" not in said, said
        return subprocess.CompletedProcess(words, status, printed.encode("latin-1"), said.encode("latin-1"))

    def cold_gate(self, command, *arguments, isolated=("-I",), closed=(), start=None, **variables):
        """Start the gate as sshd does (or as `start` says), and run it to its end."""
        argv = start or self.argv(*arguments, isolated=isolated)
        if closed:
            shut = " ".join(f"{fd}>&-" if fd else "0<&-" for fd in closed)
            argv = ["/bin/sh", "-c", f'exec "$@" {shut}', "sh", *argv]
        env = self.environment(command, **variables)
        (source, to_gate), (from_gate, sink) = os.pipe(), os.pipe()
        process = subprocess.Popen(argv, env=env, stdin=source, stdout=sink, stderr=subprocess.PIPE)
        os.close(source)
        os.close(sink)
        with programs.ended(process):
            printed = programs.serve(from_gate, to_gate, self.identity)
            said = process.stderr.read()
            process.wait(120)
        os.close(to_gate)  # the server's end of fd 0 stays open until the gate has ended
        os.close(from_gate)
        assert b"Traceback" not in said, said.decode()
        return subprocess.CompletedProcess(argv, process.returncode, printed, said)

    def records(self):
        lines = self.log.read_text("ascii").splitlines() if self.log.exists() else []
        records = [json.loads(line) for line in lines]
        for record in records:  # all that a gate writes can be asked for
            assert record["type"] in TYPES and record.get("outcome", "ok") in OUTCOMES
        return records

    def left(self):
        """Return what must not be left behind."""
        base = self.path / "base"
        runs = os.listdir(base / "runs") if (base / "runs").exists() else []
        return runs + os.listdir(self.path / "sockets")


@pytest.fixture
def room(tmp_path_factory, warm):
    room = Room(tmp_path_factory.mktemp("g"), warm)
    yield room
    assert room.left() == []


def exit_line(done):
    """Return the last line on fd 2, which must be the only exit line."""
    lines = done.stderr.decode("ascii").splitlines()
    exits = [line for line in lines if '"event": "exit"' in line or '"event":"exit"' in line]
    assert exits == lines[-1:], lines
    value = json.loads(exits[0])
    assert value["type"] == "borgctl" and re.fullmatch(r"[0-9a-f]{16}", value["run"])
    assert value["code"] == done.returncode
    return value


# A gate that writes down each module that it looks for once borg has been started, as hello and a run both do
LATE = f"""
import os, runpy, sys
class Finder:
    def find_spec(name, *_):
        if os.path.exists("ROOM/started"):
            with open("ROOM/late", "a") as file:
                print(name, file=file)
sys.meta_path.insert(0, Finder)
sys.path.insert(0, {str(programs.ROOT)!r})
runpy.run_module("borgctl.gate", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("command", "body", "outcome"),
    [("hello", "exit 0", "ok"), ("run default", "exit 0", "ok"), ("run default", "kill -9 $$", "failed")],
)
def test_no_module_is_looked_for_once_borg_is_started(room, command, body, outcome):
    """So a package that is upgraded meanwhile does no harm."""
    room.borg(body)
    script = room.path / "borg"
    programs.script(script, script.read_text().replace("case ", f": > {room.path}/started\ncase ", 1))
    argv = [sys.executable, "-I", "-c", LATE.replace("ROOM", str(room.path)), "--policy", str(room.file)]
    assert exit_line(room.cold_gate(command, start=argv))["outcome"] == outcome
    assert (room.path / "started").exists() and not (room.path / "late").exists()


@pytest.mark.parametrize("start", ["gate", "cold_gate"])
def test_a_job_is_run_and_both_records_are_there(room, start):
    done = getattr(room, start)("run default --log=json")
    end = exit_line(done)
    assert (end["outcome"], end["origin"], end["code"]) == ("ok", "borg", 0)
    accept, last = room.records()
    assert (accept["type"], last["type"], accept["run"], last["run"]) == ("accept", "exit", end["run"], end["run"])
    assert accept["peer"] == "192.0.2.1" and accept["key"] == KEY and accept["rule"] == f"{room.file}:5"
    assert (room.path / "argv").read_text().splitlines() == accept["argv"][1:]
    assert (room.path / "secret").read_text() == "hunter2-hunter2"
    seen = (room.path / "env").read_text() + (room.path / "argv").read_text() + room.log.read_text()
    assert "hunter2" not in seen + done.stderr.decode() and done.stdout == b""


def test_borg_gets_no_descriptor_and_no_variable_of_ours(room):
    room.gate("run default", EVIL="1", BORG_PASSCOMMAND="id", LD_DEBUG_OUTPUT="/x", BORG_REPO="ssh://evil/x")
    env = dict(line.split("=", 1) for line in (room.path / "env").read_text().splitlines())
    assert not {"EVIL", "BORG_PASSCOMMAND", "BORG_REPO", "SSH_CONNECTION", "SSH_ORIGINAL_COMMAND"} & env.keys()
    numbers = {line.split()[-3] for line in (room.path / "fds").read_text().splitlines() if "->" in line}
    # stdin, two pipes, the passphrase, what `ls` itself opened and what the shell redirects
    assert numbers <= {"0", "1", "2", "3", "4", "10", "11"}


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [
        (None, 76, "empty-request"),
        ("", 76, "empty-request"),
        ("nonsense", 76, "unknown-verb"),
        ("run default; id", 76, "bad-quoting"),
        ("a" * 131_000, 76, "request-too-long"),
        ("run \x01\x1b[2J\x7f", 76, "not-printable"),
        ("run default\n", 76, "not-printable"),
        (b"run \xff\xfe".decode("utf-8", "surrogateescape"), 76, "not-printable"),
        ("run weekly", 77, "unknown-job"),
        ("run default --socket=/run/docker.sock", 77, "transport-not-offered"),
        ("window", 77, "window-closed"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_nonsense_ends_in_one_exit_line_and_one_record(room, command, status, reason):
    start = room.cold_gate if len(command or "") > 1000 else room.gate
    done = start(command)
    end = exit_line(done)
    assert (done.returncode, end["reason"], end["origin"], done.stdout) == (status, reason, "gate", b"")
    (record,) = room.records()
    assert (record["type"], record["reason"], record["run"]) == ("refuse", reason, end["run"])
    assert len(json.dumps(record)) < 5000 and not (room.path / "argv").exists()


def test_a_time_zone_of_the_peers_names_no_archive(room):
    exit_line(room.cold_gate("run default", TZ="XYZ-3:07"))
    name = room.records()[0]["argv"][-2].rpartition("default-")[2]
    minutes = (datetime.fromisoformat(name) - datetime.now()).total_seconds() / 60
    assert abs(minutes - round(minutes / 15) * 15) < 5  # every real zone's offset is a multiple of 15 minutes


def test_no_padding_keeps_what_was_asked_for_out_of_the_record(room):
    room.policy("commands: {create: {paths: [/etc], options: [comment, exclude]}}\n")
    pad = " ".join(f"--exclude={'x' * 900}{number}" for number in range(14))
    long = "/".join(["x" * 100] * 20)
    for request in (f"borg create {pad} ::a /etc/shadow", f"borg create ::a /etc/{long}/shadow"):
        done = room.gate(request)
        assert (done.returncode, exit_line(done)["reason"]) == (76, "request-too-long")
    assert not (room.path / "argv").exists()
    pad = " ".join(f"--exclude={'x' * 900}{number}" for number in range(8))
    assert room.gate(f"borg create {pad} ::a /etc/shadow").returncode == 0
    accept = room.records()[-2]
    assert "cut" not in accept and accept["argv"][-1] == "/etc/shadow"
    assert not [word for word in accept["argv"] if "\u2026" in word]


def test_a_refusal_tells_the_peer_the_reason_and_not_the_detail(room):
    done = room.gate("run secretive-name")
    assert b"secretive" not in done.stderr and str(room.path).encode() not in done.stderr
    assert "secretive-name" in room.records()[0]["detail"]


def test_a_peer_on_this_host_is_told_the_detail(room):
    env = {"PATH": "/usr/bin:/bin", "SSH_ORIGINAL_COMMAND": "run default"}
    done = subprocess.run(room.argv(), env=env, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 77 and str(room.file).encode() in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--policy",), "usage"),
        (("--policy", "/none", "--key", "SHA256:short"), "usage"),
        (("--help",), "usage"),
        (("--policy", "/none/p.yaml"), "policy-unreadable"),
        (("--policy", "/dev/null"), "policy-unsafe"),
        (("--policy", ""), "policy-unsafe"),
    ],
)
def test_a_bad_command_line_of_ours_is_78(room, arguments, reason):
    done = room.gate("run default", *arguments)
    assert (done.returncode, exit_line(done)["reason"]) == (78, reason)


def test_without_isolation_nothing_starts(room):
    done = room.cold_gate("run default", isolated=())
    assert (done.returncode, exit_line(done)["reason"]) == (78, "not-isolated")


def test_a_policy_that_others_may_write_is_78(room):
    room.file.chmod(0o620)
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (78, "policy-unsafe")


@pytest.mark.skipif(stage.ROOT, reason="root reads everything")
def test_a_policy_that_cannot_be_read_is_78(room):
    room.file.chmod(0)
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (78, "policy-unreadable")


def test_an_invalid_policy_is_78_and_recorded_in_the_log_that_it_names(room):
    room.log.parent.mkdir(mode=0o700)
    room.policy("bogus: 1\n")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (78, "policy-invalid")
    assert "bogus" in room.records()[0]["detail"]


def test_a_sandbox_for_a_borg_that_cannot_be_told_is_78(room):
    text = room.file.read_text()
    room.file.write_text(text.replace("sandbox: off\n", "user: 64123\n"))
    done = room.gate("run default")  # its borg is a shell's script: what else would that need?
    assert (done.returncode, exit_line(done)["reason"]) == (78, "sandbox-unavailable")


def test_no_record_no_run(room):
    room.log.parent.mkdir(mode=0o700)
    room.log.symlink_to("/dev/null")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (69, "log-unusable")
    assert not (room.path / "argv").exists()


@pytest.mark.parametrize(
    ("closed", "command", "status"),
    [
        ((0,), "hello", 0),
        ((1,), "hello", 0),
        ((0, 1, 2), "hello", 0),
        ((2,), "nonsense", 76),
        ((0, 1, 2), "nonsense", 76),
    ],
)
def test_closed_descriptors_end_in_an_exit_status_and_a_record(room, closed, command, status):
    done = room.cold_gate(command, closed=closed)
    if 2 not in closed:
        exit_line(done)
    assert done.returncode == status and done.stdout == b""
    assert room.records()[-1]["type"] == ("exit" if status == 0 else "refuse")


@pytest.mark.skipif(not stage.ROOT, reason="only root becomes somebody else")
def test_a_user_without_a_name_is_refused_without_a_traceback(room):
    with machines.scratch() as place:  # a copy that this user can read, wherever ours lies
        place.chmod(0o711)
        python = people.install(place / "borgctl", gate_alone=True) / "python3"
        become = ["/usr/bin/setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
        argv = [*become, python, "-I", "-m", "borgctl.gate", "--policy", room.file]
        env = room.environment("run default")
        done = subprocess.run(argv, env=env, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert exit_line(done)["reason"] == "policy-unreadable" and done.returncode == 78


# ---- what the peer sends in its environment


def test_an_accepted_variable_arrives_where_its_value_is_good(room):
    room.policy("environment: {accept: [COLUMNS]}\n")
    assert room.gate("run default", COLUMNS="100", LINES="50").returncode == 0
    env = (room.path / "env").read_text()
    assert "COLUMNS=100\n" in env and "LINES" not in env


@pytest.mark.parametrize("value", ["wide", "100\nEVIL=1", "9" * 100_000, "１００"])
def test_an_accepted_variable_with_a_bad_value_is_refused(room, value):
    room.policy("environment: {accept: [COLUMNS]}\n")
    done = room.gate("run default", COLUMNS=value)
    assert exit_line(done)["reason"] == "bad-value" and not (room.path / "argv").exists()


def test_the_published_carriers_count_only_where_the_policy_says_so(room):
    assert room.gate(None, BORG_REPOPATH="/srv/a").returncode == 76
    room.policy("published: yes\n")
    assert room.gate(None, BORG_REPOPATH="/srv/a").returncode == 0
    assert exit_line(room.gate(None, BORG_REPOPATH="/srv/b"))["reason"] == "unknown-repository"
    assert exit_line(room.gate("run default", BORG_REPOPATH="\xff"))["reason"] == "bad-value"


def test_a_locale_that_came_with_the_connection_changes_no_file_name(room):
    (room.path / "jörg").mkdir()
    room.policy(jobs=f"default: {{paths: [{room.path}/jörg]}}")
    for locale in ("C", "de_DE.ISO-8859-1", "nonsense"):
        done = room.cold_gate("run default", LC_ALL=locale, LANG=locale)
        if done.returncode == 0:
            assert (room.path / "argv").read_bytes().splitlines()[-1] == f"{room.path}/jörg".encode()
        else:
            assert exit_line(done)["reason"] == "not-isolated"


# ---- what the peer asks for


def test_a_requested_path_that_another_user_could_lead_elsewhere_is_refused(room):
    offered = room.path / "offered"
    (offered / "real/file").mkdir(parents=True)
    (offered / "link").symlink_to("/etc")
    room.policy(f"commands: {{create: {{paths: [{offered}], options: []}}}}\n")
    done = room.gate(f"borg create ::a {offered}/link/shadow")
    assert (done.returncode, exit_line(done)["reason"]) == (77, "source-refused")
    assert not (room.path / "argv").exists() and [record["type"] for record in room.records()] == ["refuse"]
    assert room.gate(f"borg create ::a {offered}/real/file").returncode == 0


# ---- the wall around a borg that is only asked for its version

CURIOUS = """#!/usr/bin/python3 -I
import sys
try:
    open("{mark}", "w").close()
except OSError:
    pass
if "--version" in sys.argv:
    print("borg 1.4.5")
"""


@pytest.mark.parametrize("command", ["hello", "run default"])
@pytest.mark.parametrize("mode", ["require", "off"])
def test_a_borg_that_is_asked_for_its_version_is_held(room, command, mode):
    mark = room.path / "mark"
    (room.path / "borg").write_text(CURIOUS.format(mark=mark))
    (room.path / "borg").chmod(0o755)  # it may be another user's to run
    room.policy(jobs="default: {paths: [/etc], before: [[/bin/false]]}")  # and borg itself is not started
    room.file.write_text(room.file.read_text().replace("sandbox: off\n", f"sandbox: {mode}\nuser: 64123\n"))
    done = room.gate(command)
    assert done.returncode == (0 if command == "hello" else 74), done.stderr
    assert (room.path / "base/borg-version").read_text().endswith(" 1.4.5")
    assert mark.exists() == (mode == "off")


# ---- sockets


@pytest.fixture
def announced(room):
    """A socket as sshd would forward one, and whether anybody came."""
    path = room.path / "sockets/s"
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.umask(0o177)
        listener.bind(str(path))
        os.umask(before)
        listener.listen(1)
        listener.setblocking(False)
        yield listener
    path.unlink(missing_ok=True)


def nobody_came(listener):
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    "command",
    [
        "borg create --comment --socket={path} ::a /etc",
        "borg create --exclude --socket={path} ::a /etc",
        "borg create --comment=x ::a /etc --exclude --socket={path}",
    ],
)
def test_a_value_that_looks_like_a_socket_is_never_connected(room, announced, command):
    room.policy("transports: [stdio, socket]\ncommands: {create: {paths: [/etc], options: [comment, exclude]}}\n")
    done = room.gate(command.format(path=room.path / "sockets/s"))
    nobody_came(announced)
    exit_line(done)
    (room.path / "sockets/s").unlink(missing_ok=True)


@pytest.mark.parametrize("command", ["run default", "nonsense", "run weekly", "run default --log=x", "window"])
def test_a_refused_socket_leaves_no_name_behind(room, announced, command):
    room.policy("transports: [stdio, socket]\n")
    done = room.gate(f"{command} --socket={room.path}/sockets/s")
    assert done.returncode in (76, 77)
    assert os.listdir(room.path / "sockets") == []


def test_where_no_socket_is_offered_none_is_touched(room, announced):
    done = room.gate(f"run default --socket={room.path}/sockets/s")
    assert exit_line(done)["reason"] == "transport-not-offered"
    nobody_came(announced)
    assert os.listdir(room.path / "sockets") == ["s"]
    os.unlink(room.path / "sockets/s")


def test_hello_with_a_socket_tells_what_is_offered_and_connects_to_nothing(room, announced):
    room.policy("transports: [stdio, socket]\n")
    done = room.gate(f"hello --socket={room.path}/sockets/s")
    assert done.returncode == 0
    nobody_came(announced)
    assert os.listdir(room.path / "sockets") == []


def test_a_socket_that_is_not_our_sshds_is_refused(room, announced):
    room.policy("transports: [stdio, socket]\n")
    done = room.gate(f"run default --socket={room.path}/sockets/s")
    assert exit_line(done)["reason"] == "socket-refused"
    assert not (room.path / "argv").exists()


# ---- which repository is it?


def test_a_repository_with_another_id_than_before_is_refused(room):
    assert room.gate("run default").returncode == 0
    assert room.records()[-1]["repository_id"] == programs.IDENTITY.hex()
    room.identity = b"x" * 32
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (77, "repository-replaced")
    room.identity = programs.IDENTITY
    assert room.gate("run default").returncode == 0


def test_what_is_known_and_cannot_be_read_is_not_called_another_repository(room):
    room.gate("run default")
    (kept,) = (room.path / "base").glob("repository-*")
    kept.unlink()
    kept.mkdir()
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (78, "base-unusable")
    assert kept.name in room.records()[-1]["detail"] and room.records()[-1]["type"] == "exit"


def test_what_is_known_and_cannot_be_read_is_not_taken_for_nothing(room):
    """Else the next id would be the first one, and whatever it is agreed to."""
    room.gate("run default")
    (kept,) = (room.path / "base").glob("repository-*")
    kept.unlink()
    kept.symlink_to("host-id")
    room.identity = b"x" * 32
    assert exit_line(room.gate("run default"))["reason"] == "base-unusable"
    assert kept.is_symlink()


@pytest.mark.parametrize("text", ["", "half a hash"])
def test_what_is_known_and_was_damaged_is_not_taken_for_nothing(room, text):
    room.gate("run default")
    (kept,) = (room.path / "base").glob("repository-*")
    kept.write_text(text)
    room.identity = b"x" * 32
    assert exit_line(room.gate("run default"))["reason"] == "base-unusable"
    assert kept.name in room.records()[-1]["detail"] and kept.read_text() == text
    room.policy(jobs="init: {command: init, options: {encryption: repokey}}")
    assert exit_line(room.gate("run init"))["reason"] == "base-unusable"


def test_a_repository_that_is_known_is_not_made_again(room):
    room.gate("run default")
    room.policy(jobs="init: {command: init, options: {encryption: repokey}}")
    assert exit_line(room.gate("run init"))["reason"] == "repository-known"


def test_what_is_made_is_known_and_what_could_not_be_made_is_not(room):
    room.policy(jobs="init: {command: init, options: {encryption: repokey}}")
    room.borg("exit 2")
    assert exit_line(room.gate("run init"))["code"] == 2
    room.borg()
    assert room.gate("run init").returncode == 0
    assert exit_line(room.gate("run init"))["reason"] == "repository-known"


def test_a_borg_that_never_opened_the_repository_has_made_no_backup(room):
    programs.script(room.path / "borg", 'test "$1" = --version && echo borg 1.4.5; exit 0')
    done = room.gate("run default")
    assert exit_line(done)["outcome"] == "failed" and done.returncode == 69


# ---- a run, and how it ends


def test_hello_is_answered_in_one_line_and_runs_nothing(room):
    done = room.gate("hello --log=json")
    hello = json.loads(done.stderr.splitlines()[-2])
    assert (hello["event"], hello["protocol"], hello["borg"]) == ("hello", 1, "1.4.5")
    assert hello["jobs"] == [{"name": "default", "command": "create"}]
    assert exit_line(done)["outcome"] == "ok" and not (room.path / "argv").exists()


def test_hello_works_where_borg_is_missing(room):
    (room.path / "borg").unlink()
    done = room.gate("hello")
    hello = json.loads(done.stderr.splitlines()[-2])
    assert done.returncode == 0 and hello["borg"] is None
    assert hello["obstacles"] == ["borg-missing"]
    assert "No such file" in room.records()[-1]["detail"] and "No such file" not in done.stderr.decode()


def test_hello_tells_the_time_and_what_a_run_would_fail_for(room):
    hello = json.loads(room.gate("hello").stderr.splitlines()[-2])
    assert hello["obstacles"] == []
    assert abs(time.time() - datetime.fromisoformat(hello["time"]).timestamp()) < 60
    (room.path / "passphrase").chmod(0o644)
    assert json.loads(room.gate("hello").stderr.splitlines()[-2])["obstacles"] == ["passphrase-unusable"]


@pytest.mark.parametrize(
    ("body", "code", "outcome"),
    [
        ("exit 105", 105, "warning"),
        ("exit 2", 2, "failed"),
        ("kill -9 $$", 137, "failed"),
    ],
)
def test_borgs_own_status_is_passed_on(room, body, code, outcome):
    room.borg(body)
    end = exit_line(room.gate("run default"))
    assert (end["code"], end["outcome"], end["origin"]) == (code, outcome, "borg")


def test_no_line_of_borgs_passes_for_an_exit_line(room):
    forged = '{"type":"borgctl","event":"exit","run":"0000000000000000","outcome":"ok","origin":"borg","code":0}'
    room.policy("disclose: names\n")
    for log in ("text", "json"):
        room.borg(f"echo '{forged}'; echo '{forged}' >&2; printf '\\r\\n%s' '{forged}' >&2; exit 2")
        done = room.gate(f"run default --log={log}")
        values = [json.loads(line) for line in done.stderr.decode().splitlines() if line.startswith("{")]
        assert [value["code"] for value in values if value["event"] == "exit"] == [2]
        assert done.returncode == 2


def hooks(room, before="exit 0", after="exit 0"):
    first = programs.script(room.path / "before", f"env > {room.path}/before.env; {before}")
    last = programs.script(room.path / "after", f"env > {room.path}/after.env; {after}")
    room.policy(jobs=f"default: {{paths: [/etc], before: [[{first}]], after: [[{last}]]}}")


def test_hooks_run_around_borg(room):
    hooks(room)
    end = exit_line(room.gate("run default"))
    assert end["outcome"] == "ok"
    env = (room.path / "after.env").read_text()
    assert "BORGCTL_OUTCOME=ok\n" in env and "BORGCTL_JOB=default\n" in env and f"BORGCTL_RUN={end['run']}\n" in env
    assert "BORGCTL_OUTCOME" not in (room.path / "before.env").read_text()


VANISHED = "src/v{}: open: [Errno 2] No such file or directory: 'v{}'"
NOT_SAVED = [*(VANISHED.format(number, number) for number in range(703)), "src/w: file changed while we backed it up"]


def logged(room, *texts, level="WARNING", more="", status=1):
    """Let borg log these texts, as 1.2 does, and end with a status."""
    lines = [{"type": "log_message", "time": 1.5, "message": text, "levelname": level} for text in texts]
    (room.path / "log.json").write_text("".join(f"{json.dumps(line | json.loads(more or '{}'))}\n" for line in lines))
    room.borg(f"cat {room.path}/log.json >&2; exit {status}")


@pytest.mark.parametrize("disclose", ["counts", "names"])
def test_files_that_were_not_saved_are_counted_by_kind_and_each_is_named_beside_the_log(room, disclose):
    room.policy(f"disclose: {disclose}\n")
    logged(room, *NOT_SAVED)
    counts = {"vanished": 703, "changed": 1}
    done = room.gate("run default --log=json")
    end = exit_line(done)
    assert (end["outcome"], end["warnings"]) == ("warning", counts)
    assert (b"withheld" in done.stderr, b"src/" in done.stderr) == (False, disclose == "names")
    record = room.records()[-1]
    assert (record["warnings"], record["listed"]) == (counts, 704)
    kept = Path(f"{room.log}.files", end["run"]).read_text().splitlines()
    assert [json.loads(line)["text"] for line in kept] == NOT_SAVED
    assert b"borgctl: borg's warnings: 703 vanished, 1 changed\n" in room.gate("run default").stderr


@pytest.mark.parametrize("full", ["nobody may write there", "a file is in the way"])
def test_where_they_cannot_be_listed_they_are_counted_all_the_same(room, full):
    room.gate("hello")
    Path(f"{room.log}.files").symlink_to("/etc") if full.startswith("nobody") else Path(f"{room.log}.files").touch()
    logged(room, *NOT_SAVED)
    assert exit_line(room.gate("run default"))["warnings"] == {"vanished": 703, "changed": 1}
    assert room.records()[-1].get("listed") is None


def test_damage_that_borg_meets_fails_the_run_and_is_an_alert_in_the_log(room):
    logged(room, "Data integrity error: x", level="ERROR", more='{"msgid": "IntegrityError"}', status=2)
    end = exit_line(room.gate("run default --log=json"))
    assert (end["outcome"], end["origin"], end["reason"], end["code"]) == ("failed", "gate", "repository-damaged", 65)
    alert, ended = room.records()[-2:]
    assert (alert["type"], alert["reason"], alert["run"]) == ("alert", "repository-damaged", end["run"])
    assert alert["found"] == ended["found"] == ["Data integrity error: x"] and alert["repository"] == "/srv/a"
    assert end["audit"]["sequence"] == ended["sequence"]


@pytest.mark.parametrize("log", ["text", "json"])
def test_a_path_that_is_not_there_after_the_hooks_fails_the_run_and_is_named_here_only(room, log):
    first = programs.script(room.path / "before", 'mkdir "$(dirname "$0")/made"')
    paths = f"/etc, {room.path}/made"
    room.policy(jobs=f"default: {{paths: [{paths}], before: [[{first}]]}}\n  other: {{paths: [{paths}/none]}}")
    done = room.gate(f"run other --log={log}")
    end = exit_line(done)
    assert (done.returncode, end["outcome"], end["reason"]) == (66, "failed", "source-missing")
    assert not (room.path / "argv").exists() and b"made" not in done.stderr + done.stdout
    assert room.records()[-1]["detail"] == f"'{room.path}/made/none': No such file or directory"
    assert exit_line(room.gate("run default"))["outcome"] == "ok"


def test_a_hook_that_fails_before_keeps_borg_from_running_and_after_still_runs(room):
    hooks(room, before="exit 3")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["outcome"]) == (74, "hook-failed")
    assert not (room.path / "argv").exists()
    assert "BORGCTL_OUTCOME=hook-failed\n" in (room.path / "after.env").read_text()


@pytest.mark.parametrize("which", ["before", "after"])
def test_a_hook_that_takes_too_long_is_ended(room, which):
    hooks(room, **{which: "exec sleep 60"})
    room.file.write_text(room.file.read_text() + "limits: {hook: 1s}\n")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (74, "hook-failed")
    assert b"after 1 s" in done.stderr or b"a hook ended with status -15" in done.stderr
    assert (room.path / "argv").exists() == (which == "after")


def test_a_hook_that_fails_after_is_told(room):
    hooks(room, after="exit 3")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (74, "hook-failed")
    record = room.records()[-1]  # what borg had done before stands there all the same
    assert record["repository_id"] == programs.IDENTITY.hex() and record["sent"] > 0


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("missing", "not run: No such file or directory"),
        ("interpreter", "not run: its interpreter: No such file or directory"),
        ("mode", "is not executable: chmod 0755"),
        ("directory", "has mode 2770: other users may replace what is in it"),
        ("silent", "ended with status 3"),
        ("signal", "ended with signal 9 (SIGKILL)"),
    ],
)
@pytest.mark.parametrize("which", ["before", "after"])
def test_the_record_of_a_hook_that_failed_names_it_and_says_why(room, which, damage, why):
    hooks(room, **{which: {"silent": "exit 3", "signal": "kill -9 $$"}.get(damage, "exit 0")})
    program = room.path / which
    match damage:
        case "missing":
            program.unlink()
        case "interpreter":
            program.write_text("#!/nonexistent/sh\n")
        case "mode":
            program.chmod(0o600)
        case "directory":
            program = room.path / "open" / which
            program.parent.mkdir()
            (room.path / which).rename(program)
            program.parent.chmod(0o2770)
            room.file.write_text(room.file.read_text().replace(f"[{room.path}/{which}]", f"[{program}]"))
    for more, leaves in (("", False), ("disclose: names\n", True)):
        room.file.write_text(room.file.read_text() + more)
        done = room.gate("run default")
        assert exit_line(done)["reason"] == "hook-failed"
        (note,) = room.records()[-1]["hooks"]
        assert note.startswith(f"{which} 1 {str(program)!r}: ") and why in note
        assert show.row(room.records()[-1])[-1].startswith(f"hook-failed: {note}"[:200])
        assert (f"/{which}'".encode() in done.stderr or f"hook '{which}'".encode() in done.stderr) == leaves


def test_the_failure_of_a_hook_is_in_the_record_beside_borgs_own(room):
    hooks(room, after="echo no room >&2; exit 3")
    room.borg("exit 2")
    end = exit_line(room.gate("run default"))
    (note,) = room.records()[-1]["hooks"]
    assert end["origin"] == "borg" and note.endswith("ended with status 3")
    assert show.row(room.records()[-1])[-1] == f"{note}: hook: no room"


def test_a_hook_finds_the_programs_of_an_administrator(room):
    hooks(room)
    room.gate("run default")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    assert path in (room.path / "before.env").read_text()


DAEMON = "trap '' HUP; echo $$ > ROOM/pid; exec sleep 60"


@pytest.mark.parametrize("which", ["before", "after"])
def test_a_daemon_that_a_hook_starts_lives_on(room, which):
    """As pg_ctl start does: it makes a session of its own, and its parent waits until it is up, and ends."""
    daemon = DAEMON.replace("ROOM", str(room.path))
    hooks(
        room,
        **{
            which: f'setsid sh -c "{daemon}" & until [ -s {room.path}/pid ]; do sleep 0.01; done'.replace(
                "$$", "\\$\\$"
            )
        },
    )
    assert room.gate("run default").returncode == 0
    pid = int((room.path / "pid").read_text())
    try:
        assert programs.alive(pid) and "hooks" not in room.records()[-1]
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("which", ["before", "after"])
def test_what_stays_in_a_hooks_session_is_ended_and_told(room, which):
    hooks(room, **{which: f"sleep 60 & echo $! > {room.path}/pid"})
    done = room.gate("run default")
    assert done.returncode == 0 and b"a hook left 1 process running in its session; ended" in done.stderr
    pid = int((room.path / "pid").read_text())
    assert not programs.alive(pid)
    (note,) = room.records()[-1]["hooks"]
    assert note.startswith(f"{which} 1 '{room.path}/{which}': left running") and note.endswith(f" (pid {pid})")


def test_what_a_passphrase_program_leaves_running_does_not_outlive_the_gate(room):
    daemon = f"setsid sh -c 'echo $$ > {room.path}/pid; exec sleep 60' >/dev/null 2>&1 &"
    program = programs.script(
        room.path / "ask", f"{daemon} until [ -s {room.path}/pid ]; do sleep 0.01; done; echo pass"
    )
    room.policy()
    room.file.write_text(room.file.read_text().replace(f"file: {room.secret}", f"program: [{program}]"))
    assert room.gate("run default").returncode == 0
    assert not programs.alive(int((room.path / "pid").read_text()))


def test_borgs_failure_outranks_that_of_a_hook(room):
    hooks(room, after="exit 3")
    room.borg("exit 2")
    assert exit_line(room.gate("run default"))["origin"] == "borg"


@pytest.mark.parametrize("damage", ["secret", "borg"])
def test_after_runs_where_borg_cannot(room, damage):
    # all is well when the gate looks, and no longer when borg is to start
    hooks(room, before=f"chmod 0644 {room.secret}" if damage == "secret" else f"rm {room.path}/borg")
    done = room.gate("run default")
    assert exit_line(done)["outcome"] in ("refused", "failed")
    assert (room.path / "after.env").exists()
    assert room.records()[-1]["reason"] in ("passphrase-unusable", "borg-missing")


def patterns(room, before=None, option="exclude-from"):
    """A job that names a file of patterns, with a hook before it; return the file."""
    hooks(room, before=before)
    hook = f"[{room.path}/before]" if before is not None else ""
    job = f"default: {{paths: [/etc], before: [{hook}], options: {{{option}: {room.path}/patterns}}}}"
    room.policy(jobs=job)
    return room.path / "patterns"


@pytest.mark.parametrize("option", ["exclude-from", "patterns-from"])
@pytest.mark.parametrize("damage", ["missing", "writable", "in a writable directory", "fifo", "device", "endless"])
def test_a_file_of_patterns_that_others_choose_or_that_does_not_end_is_refused_at_once(room, option, damage):
    file = patterns(room, option=option)
    match damage:
        case "writable":
            file.touch()
            file.chmod(0o666)
        case "in a writable directory":
            (room.path / "open").mkdir()
            (room.path / "open").chmod(0o777)
            (room.path / "open/patterns").touch(0o600)
            file.symlink_to("open/patterns")
        case "fifo":
            os.mkfifo(file, 0o600)
        case "device":
            file.symlink_to("/dev/zero")
        case "endless":
            file.touch(0o600)
            os.truncate(file, 1 << 40)
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (78, "patterns-unusable")
    (record,) = room.records()
    assert record["type"] == "refuse" and "patterns" in record["detail"] and not (room.path / "argv").exists()


def test_a_file_of_patterns_may_be_made_by_a_hook_and_is_looked_at_once_more(room):
    file = patterns(room, before=f"umask 077; echo '*.tmp' > {room.path}/patterns")
    assert room.gate("run default").returncode == 0
    file.unlink()
    patterns(room, before=f"mkfifo -m 0600 {room.path}/patterns")
    done = room.gate("run default")
    assert exit_line(done)["reason"] == "patterns-unusable" and (room.path / "after.env").exists() is False
    file.unlink()
    (room.path / "argv").unlink()
    patterns(room, before="exit 0")
    assert exit_line(room.gate("run default"))["reason"] == "patterns-unusable"
    assert not (room.path / "argv").exists()


def test_a_passphrase_that_cannot_be_used_is_refused_before_any_hook_runs(room):
    hooks(room)
    room.secret.chmod(0o644)
    assert exit_line(room.gate("run default"))["reason"] == "passphrase-unusable"
    assert [record["type"] for record in room.records()] == ["refuse"] and not (room.path / "before.env").exists()


def test_a_borg_whose_interpreter_others_may_write_is_refused_also_when_it_was_good_before(room):
    programs.script(room.path / "shell", 'exec /bin/sh "$@"')
    text = (room.path / "borg").read_text().replace("#!/bin/sh", f"#!{room.path}/shell")
    (room.path / "borg").write_text(text)
    assert room.gate("run default").returncode == 0
    (room.path / "argv").unlink()
    (room.path / "shell").chmod(0o777)
    for request in ("run default", "hello"):
        done = room.gate(request)
        assert b"borg-unsafe" in done.stderr
    assert not (room.path / "argv").exists()


def test_a_hook_whose_interpreter_others_may_write_is_not_run(room):
    hooks(room)
    programs.script(room.path / "shell", 'exec /bin/sh "$@"')
    (room.path / "before").write_text(f"#!{room.path}/shell\ntouch {room.path}/ran\n")
    assert room.gate("run default").returncode == 0 and (room.path / "ran").exists()
    (room.path / "ran").unlink()
    (room.path / "shell").chmod(0o777)
    assert exit_line(room.gate("run default"))["reason"] == "hook-failed"
    assert not (room.path / "ran").exists()


def test_a_hook_that_others_may_write_is_not_run(room):
    hooks(room)
    (room.path / "before").chmod(0o777)
    done = room.gate("run default")
    assert exit_line(done)["reason"] == "hook-failed"
    assert not (room.path / "before.env").exists() and not (room.path / "argv").exists()


def test_a_second_run_of_the_repository_is_busy(room):
    room.borg("exec sleep 30")
    with programs.ended(started(room)) as one:
        programs.wait_for((room.path / "argv").exists)
        done = room.gate("run default")
        assert (done.returncode, exit_line(done)["reason"]) == (69, "repository-busy")
        one.send_signal(signal.SIGTERM)
        assert one.wait(15) == 69


@pytest.mark.parametrize("command", ["hello", "run default --log=json"])
def test_it_learns_how_its_programs_end_where_its_starter_ignored_the_ends_of_children(room, command):
    done = room.cold_gate(command, start=["/usr/bin/env", "--ignore-signal=CHLD", *room.argv()])
    assert exit_line(done)["outcome"] == "ok", done.stderr


def started(room, command="run default --log=json"):
    return subprocess.Popen(
        room.argv(),
        env=room.environment(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_a_record(room, number):
    room.borg("exec sleep 30")
    with programs.ended(started(room)) as one:
        programs.wait_for((room.path / "argv").exists)
        one.send_signal(number)
        _, said = one.communicate(timeout=15)
    assert b"Traceback" not in said and one.returncode == 69
    assert (room.records()[-1]["type"], room.records()[-1]["reason"]) == ("exit", "stopped")


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGTERM, 0.05), (signal.SIGINT, 0.1), (signal.SIGINT, 0.2)])
def test_a_signal_at_any_moment_gives_no_traceback(room, number, delay):
    room.borg("exec sleep 30")
    with programs.ended(started(room)) as one:
        time.sleep(delay)
        one.send_signal(number)
        _, said = one.communicate(timeout=120)
    if b"importlib" not in said and b"runpy" not in said:  # the interpreter itself was still starting
        assert b"Traceback" not in said
    kinds = [record["type"] for record in room.records()]
    assert kinds in ([], ["accept", "exit"], ["refuse"])


def test_a_server_that_goes_ends_the_run(room):
    room.borg("exec sleep 30")
    with programs.ended(started(room)) as one:
        programs.wait_for((room.path / "argv").exists)
        one.stderr.close()
        one.stdin.close()
        assert one.wait(15) == 69
    assert room.records()[-1]["reason"] == "disconnected"


def test_the_time_limit_ends_the_run(room):
    room.policy("limits: {runtime: 1s}\n")
    room.borg("exec sleep 30")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["outcome"]) == (124, "limit")
    assert room.records()[-1]["reason"] == "runtime-limit"


def test_the_file_that_borg_was_at_is_in_our_record_and_not_told(room):
    (room.path / "large").touch()
    room.policy("limits: {runtime: 1s}\n")
    room.borg(f"exec sleep 30 < {room.path}/large")
    done = room.gate("run default --log=json")
    assert room.records()[-1]["reading"] == f"{room.path}/large" and b"large" not in done.stderr
    room.borg()
    room.policy()
    assert room.gate("run default").returncode == 0 and "reading" not in room.records()[-1]


@pytest.mark.parametrize("disclose", ["counts", "names"])
@pytest.mark.parametrize("asked", ["run default --log=json", "borg --log=json create --dry-run --list ::a /etc"])
def test_a_dry_run_that_never_opens_the_repository_is_good_and_counted(room, disclose, asked):
    lines = "".join(
        json.dumps({"type": "file_status", "status": status, "path": f"/etc/name{number}"}) + "\n"
        for number, status in enumerate("--x")
    )
    (room.path / "lines").write_text(lines)
    words = f"test $1 = --version && echo borg 1.4.5 && exit 0; cat {room.path}/lines >&2; echo $@ > {room.path}/argv"
    programs.script(room.path / "borg", words)
    commands = "commands: {create: {paths: [/etc], options: [dry-run, list]}}\n"
    room.policy(f"{commands}disclose: {disclose}\n", jobs="default: {paths: [/etc], options: {dry-run: yes}}")
    done = room.gate(asked)
    end = exit_line(done)
    assert (end["outcome"], end["origin"], end["reason"], done.returncode) == ("ok", "borg", "dry-run", 0)
    assert b"2 files and directories would be saved, 1 are left out" in done.stderr
    assert (b"name1" in done.stderr) == (disclose == "names" and "--list" in asked)
    assert "--list" in (room.path / "argv").read_text().split()
    words = words.replace("echo $@", "exit 2; echo $@")
    programs.script(room.path / "borg", words)
    assert exit_line(room.gate(asked))["outcome"] == "failed"


def pruned(room, *lines, more="", options=""):
    """Prune with a borg that says these lines."""
    made = f"Sun, 2026-01-04 00:00:00 [{'d0' * 32}]"
    said = [{"type": "log_message", "message": f"{text}  {made}", "name": "borg.output.list"} for text in lines]
    (room.path / "lines").write_text("".join(json.dumps({**one, "levelname": "INFO"}) + "\n" for one in said))
    room.borg(f"cat {room.path}/lines >&2")
    room.policy(more, jobs=f'prune: {{command: prune, options: {{keep-daily: 7, glob-archives: "w-*"{options}}}}}')
    return room.gate("run prune --log=json")


def test_a_prune_says_what_it_kept_and_marked_and_names_stay_in_our_log(room):
    lines = ("Keeping archive (rule: daily #1):  w-3", "Pruning archive (1/2):  w-2", "Pruning archive (2/2):  w-1")
    for more, options in (("", ", list: yes"), ("disclose: names\n", "")):
        done = pruned(room, *lines, more=more, options=options)
        end = exit_line(done)
        assert (end["outcome"], end["kept"], end["marked"]) == ("ok", 1, 2) and b"w-3" not in done.stderr
        record = room.records()[-1]
        assert record["pruned"] == {"said": "kept 1, marked 2", "kept": ["w-3"], "marked": ["w-2", "w-1"]}
        assert show.row(record)[-1] == "kept 1, marked 2"
    assert b"w-3" in pruned(room, *lines, more="disclose: names\n", options=", list: yes").stderr
    assert b"kept 1, marked 2" in room.gate("run prune").stderr


def test_a_client_that_was_renamed_says_that_its_old_archives_are_pruned_no_more(room):
    options = 'prune: {command: prune, options: {keep-daily: 7, glob-archives: "{hostname}-default-*"}}'
    room.policy(jobs=f"default: {{paths: [/etc]}}\n  {options}")
    assert b"renamed" not in room.gate("run default").stderr and "renamed" not in room.records()[0]
    names = room.path / "base/hostnames"
    assert names.read_text() == sent_environment.hostname()
    names.write_text("web0\nweb0-old\n../x\n")
    for job in ("default", "prune"):
        done = room.gate(f"run {job}")
        assert b"the client was renamed" in done.stderr and b"web0" not in done.stderr
        assert room.records()[-2]["renamed"] == ["web0", "web0-old"]
    assert names.read_text().split() == [sent_environment.hostname(), "web0", "web0-old"]
    room.policy()
    assert "renamed" not in room.gate("run default").stderr.decode()


def test_a_dry_run_of_a_prune_says_what_it_would_do(room):
    done = pruned(room, "Keeping archive (rule: daily #1):  w-3", "Would prune:  w-2", options=", dry-run: yes")
    assert "kept" not in exit_line(done) and b"it would keep 1 archives and mark 1; none is marked" in done.stderr


def test_a_prune_whose_glob_matches_nothing_is_a_warning(room):
    for options in ("", ", dry-run: yes"):
        done = pruned(room, options=options)
        end = exit_line(done)
        assert (end["outcome"], end["origin"], end["reason"], done.returncode) == (
            "warning",
            "gate",
            "nothing-matched",
            1,
        )
        assert "'w-*'" in room.records()[-1]["detail"] and b"w-" not in done.stderr
    room.borg("exit 2")
    end = exit_line(room.gate("run prune"))
    assert (end["outcome"], end["origin"], end["code"]) == ("failed", "borg", 2)


def test_borg_has_the_memory_that_the_policy_gives(room):
    room.policy("limits: {memory: 2G}\n")
    room.borg(f"ulimit -v >{room.path}/base/borg/limit")
    assert room.gate("run default").returncode == 0
    assert (room.path / "base/borg/limit").read_text().split() == [str((2 << 30) >> 10)]


def test_what_borg_leaves_running_does_not_outlive_the_gate(room):
    room.borg(f"setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > {room.path}/pid; sleep 60' >/dev/null 2>&1 & sleep 0.3")
    assert room.gate("run default").returncode == 0
    assert not programs.alive(int((room.path / "pid").read_text()))


def test_names_stay_here_where_the_policy_says_counts(room):
    room.borg('echo \'/home/x/secret.txt\'; echo \'{"type":"file_status","path":"secret"}\' >&2; exit 0')
    for log in ("text", "json"):
        assert b"secret" not in room.gate(f"run default --log={log}").stderr


def test_what_hooks_print_stays_here_where_the_policy_says_counts(room):
    talk = "echo secret-of-a-hook; echo secret-of-a-hook >&2"
    for more, leaves in (("", False), ("disclose: names\n", True)):
        for which in ("before", "after"):
            hooks(room, **{which: f"{talk}; exit 3"})
            room.file.write_text(room.file.read_text() + more)
            for log in ("text", "json"):
                done = room.gate(f"run default --log={log}")
                assert exit_line(done)["reason"] == "hook-failed"
                assert (b"secret-of-a-hook" in done.stderr) == leaves
                assert (f"hook '{which}'".encode() in done.stderr) == leaves


def test_the_base_and_the_log_are_private(room):
    room.gate("run default")
    for path in ("base", "base/borg", "base/locks", "base/runs", "base/host-id", "log", "log/audit.jsonl"):
        assert stat.S_IMODE((room.path / path).stat().st_mode) & 0o077 == 0


def test_the_python_that_starts_the_relay_is_the_gates(room):
    room.gate("run default")
    env = dict(line.split("=", 1) for line in (room.path / "env").read_text().splitlines())
    words = shlex.split(env["BORG_RSH"])
    assert words[0] == sys.executable and words[1:3] == ["-I", "-S"]
    assert Path(words[3]).name == "relay.py" and words[4].startswith(str(room.path / "base/runs"))


# ---- the chain


def test_the_last_line_tells_the_head_of_the_log(room):
    for command in ("hello", "run default", "run weekly", "nonsense"):
        audit, last = exit_line(room.gate(command))["audit"], link(room.log.read_bytes().splitlines()[-1])
        assert audit == {"sequence": len(room.records()), "head": last.head.digest, "continues": None, "chain": 2}


def test_the_last_line_shows_what_leads_from_the_record_that_the_server_saw(room):
    def asked(command, seen):
        return exit_line(room.gate(f"{command} --seen={seen}"))["audit"]

    def leads(command):
        told = asked(command, kept)
        return told["continues"] and follows(kept, told["digests"], Head(told["sequence"], told["head"]))

    told = exit_line(room.gate("hello"))["audit"]
    kept = Head(told["sequence"], told["head"])
    assert leads("run default") and leads("run weekly")
    room.log.rename(f"{room.log}.1")
    assert leads("hello")
    for seen in (Head(kept.sequence, "0" * 64), Head(999999, kept.digest)):
        told = asked("hello", seen)
        assert told["continues"] is False and "digests" not in told
    Path(f"{room.log}.1").unlink()
    assert asked("hello", kept)["continues"] is False


@pytest.mark.slow
def test_of_very_many_records_one_line_shows_as_many_as_it_can(room, monkeypatch):
    room.gate("hello")
    first = link(room.log.read_bytes().splitlines()[0]).head
    monkeypatch.setattr(os, "fsync", lambda _: None)
    log = Log.open(str(room.log), syslog=False)
    for number in range(MOST + 10):
        log.append({"type": "window", "n": number})
    log.close()
    env = room.environment(f"hello --seen={first}")
    done = subprocess.run(room.argv(), env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    told = exit_line(done)["audit"]
    assert follows(first, told["digests"], Head(told["sequence"], told["head"]))
    assert (len(told["digests"]), told["behind"]) == (MOST, len(room.records()) - 1 - MOST)
    assert len(done.stderr) < LONGEST


def test_borg_is_not_started_before_the_record_is_on_disk(room):
    """With a disk that takes nothing for certain, nothing runs."""
    code = f"""
import errno, os, sys
sys.path.insert(0, {str(programs.ROOT)!r})
real = os.fsync
def fsync(fd):
    if os.readlink("/proc/self/fd/%d" % fd).endswith("audit.jsonl"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real(fd)
os.fsync = fsync
from borgctl.gate.main import main
main()
"""
    room.gate("hello")
    before = room.log.read_bytes()
    words, env = [sys.executable, "-I", "-c", code, "--policy", str(room.file)], room.environment("run default")
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, exit_line(done)["reason"]) == (69, "log-unusable")
    assert not (room.path / "argv").exists() and room.log.read_bytes() == before


def test_a_run_that_was_killed_is_unfinished_in_the_log_and_the_chain_goes_on(room):
    room.borg("exec sleep 30")
    with programs.ended(started(room)) as one:
        programs.wait_for((room.path / "argv").exists)
        one.kill()
        one.wait()
    room.borg()
    programs.wait_for(lambda: room.gate("run default").returncode == 0, 30)
    proof = verify([str(room.log)], [])
    assert proof.check.bad == [] and len(proof.check.unfinished) == 1


@pytest.mark.slow
def test_a_flood_of_requests_leaves_a_small_log_and_another_key_its_room(room):
    for _ in range(110):
        assert room.gate("x" * 3000).returncode == 76
    assert [record["type"] for record in room.records()] == ["refuse"] * 100 + ["alert"]
    assert room.log.stat().st_size < 400_000
    done = room.gate("nonsense", "--policy", room.file, "--key", "SHA256:" + "b" * 43)
    assert done.returncode == 76 and room.records()[-1]["reason"] == "unknown-verb"
    assert room.gate("run default").returncode == 0


def test_a_key_that_asks_too_often_is_told_so(room):
    room.gate("hello")
    head = json.loads(Path(f"{room.log}.head").read_text())
    for account in head["accounts"].values():
        account["used"]["runs"] = 1000
    Path(f"{room.log}.head").write_text(json.dumps(head) + "\n")
    done = room.gate("run default")
    assert (done.returncode, exit_line(done)["reason"]) == (69, "rate-limited")
    assert not (room.path / "argv").exists() and room.records()[-1]["type"] == "refuse"


def test_a_passphrase_in_a_hooks_output_is_not_in_the_log(room):
    hooks(room, before="echo PGPASSWORD=my-own-words >&2; exit 1")
    room.gate("run default")
    text = room.log.read_text()
    assert "my-own-words" not in text and "***" in text


def test_a_request_is_in_the_log_word_for_word_whatever_it_looks_like(room):
    room.policy("commands: {create: {paths: [/etc], options: [comment]}}\n")
    request = "borg create --comment=password=x ::api-key:name /etc"
    assert room.gate(request).returncode == 0
    accept, _ = room.records()
    assert accept["request"] == request
    assert accept["argv"][-2:] == ["ssh://borgctl/srv/a::api-key:name", "/etc"]
    assert "--comment=password=x" in accept["argv"]
    for refused in ("run 'BORG_PASSPHRASE=my-own-words'", "borg create ::token:x /root"):
        room.gate(refused)
        assert room.records()[-1]["request"] == refused


@pytest.mark.parametrize("who", ["borg", "hook"])
def test_the_passphrase_is_masked_in_the_last_words_of_borg_and_hooks(room, who):
    talk = "echo opened by hunter2-hunter2, it seems >&2; exit 2"
    room.borg(talk) if who == "borg" else hooks(room, before=talk)
    assert room.gate("run default").returncode != 0
    (said,) = room.records()[-1]["said"]
    assert said == f"{who}: opened by ***, it seems"
