"""Windows with real programs: what the admin can do through one, how it ends, and that nothing is left of it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import counters
import hostile_serve
import machines
import pytest
from machines import run, wait_for
from pair import with_an_archive
from windows import archives, assert_nothing_is_left, borg, borgctl, opened, started

LASTING = ("with-lock", "::", "sleep", "600")
STUCK = ("extract", "--stdout", "::{archive}")  # into a pipe that nobody reads, so that borg cannot end in peace

# The distribution's borg has a FUSE binding (python3-pyfuse3).
with_fuse = pytest.mark.parametrize("way", [("borg-debian", "stdio")], ids="-".join, indirect=True)


@pytest.fixture
def pair(kept, find_borg, way):
    return kept(with_an_archive, find_borg(way[0]), way[1], "repokey-blake2")


@pytest.fixture
def one_pair(kept, one_borg):
    """A pair over one transport, for what does not depend on borg's version."""
    return kept(with_an_archive, one_borg, "stdio", "repokey-blake2")


@pytest.fixture(params=["stdio", "socket"])
def either_pair(kept, one_borg, request):
    return kept(with_an_archive, one_borg, request.param, "repokey-blake2")


def lasting(pair, words=LASTING):
    """Start a command that goes on until somebody ends it; return it, and the pid of its borg."""
    process = started(pair.client, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: [p for p in machines.descendants(process.pid) if "relay.py" in p.command], 30, "the relay")
    wait_for(lambda: list(pair.server.repository.glob("lock.*")), 30, "borg to lock the repository")
    if words == LASTING:  # before its command is there, borg only notes a first SIGINT
        wait_for(lambda: [p for p in machines.descendants(process.pid) if p.command == "sleep 600"], 30, "the command")
    return process, next(p.pid for p in machines.descendants(process.pid) if p.command.endswith(words[-1]))


def ended(process):
    """Wait for the end of a stuck command without taking what it writes; return what it has said."""
    process.wait(90)
    process.stdout.close()
    with process.stderr as stderr:
        return stderr.read().decode()


def test_commands_go_through_one_window_after_the_other_and_each_is_recorded(pair, scratch):
    with opened(pair) as window:
        (archive,) = archives(pair.client)
        name = f"{pair.client.source}/etc/secret".lstrip("/")
        result = borg(pair.client, "extract", f"::{archive}", name, cwd=scratch)
        assert result.returncode == 0, result.stderr
        assert (scratch / name).read_text() == (pair.client.source / "etc/secret").read_text()
        assert borg(pair.client, "list", "::none").returncode != 0
        assert borg(pair.client, "--version").stdout.startswith("borg 1.")
        wait_for(lambda: window.said().count("the window is open") == 5, 30, "the next window")
        window.send_signal(signal.SIGINT)
        assert window.wait(60) == 0, window.said()
    assert [record["argv"][1] for record in pair.client.records("window")] == ["list", "extract", "list", "--version"]
    for record in pair.client.records("window"):
        assert (record["uid"], record["command"], record["repository"]) == (
            os.geteuid(),
            "window",
            str(pair.server.repository),
        )
        assert "login" in record and record["key"].startswith("SHA256:")
    ended = [record for record in pair.client.records("exit") if record["command"] == "window"]
    assert [record["outcome"] for record in ended][:4] == ["ok", "ok", "failed", "ok"]
    assert ended[1]["received"] > ended[1]["sent"] > 0
    assert "secret" not in window.said()
    assert_nothing_is_left(pair)


@with_fuse
def test_an_archive_is_mounted_until_the_admin_ends_it(pair, scratch):
    place = scratch / "mounted"
    place.mkdir()
    with opened(pair):
        (archive,) = archives(pair.client)
        process = started(pair.client, "mount", f"::{archive}", place, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: os.path.ismount(place) or process.poll() is not None, 60, "the mount")
            assert os.path.ismount(place), process.stderr.read()
            different = machines.same_tree(pair.client.source, place / str(pair.client.source).lstrip("/"))
            assert not different
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
        assert not os.path.ismount(place)
    assert_nothing_is_left(pair)


@with_fuse
@pytest.mark.skipif(
    os.geteuid() != 0, reason="an ordinary user mounts what others may use only where fuse.conf says so"
)
def test_a_mount_ends_with_its_window_whatever_options_it_has_and_whoever_uses_it(pair, scratch):
    place = scratch / "mounted"
    place.mkdir()
    link = scratch / "link"
    link.symlink_to(place)
    with opened(pair, 30) as window:
        process = started(pair.client, "mount", "-o", "allow_other", "::", link, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.ismount(place) or process.poll() is not None, 29, "the mount")
        with subprocess.Popen(["sleep", "120"], cwd=place) as user:
            try:
                assert "window-expired" in process.communicate(timeout=90)[1]
                assert window.wait(90) == 2
                assert not os.path.ismount(place) and os.listdir(place) == []
            finally:
                user.kill()
    assert_nothing_is_left(pair)


@with_fuse
def test_a_mount_ends_with_its_window(pair, scratch):
    place = scratch / "mounted"
    place.mkdir()
    with opened(pair, 30) as window:
        process = started(pair.client, "mount", "::", place, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.ismount(place) or process.poll() is not None, 29, "the mount")
        assert "window-expired" in process.communicate(timeout=90)[1]
        assert window.wait(90) == 2
    assert not os.path.ismount(place) and os.listdir(place) == []
    assert_nothing_is_left(pair)


def test_the_server_serves_a_window_append_only(one_pair):
    log = one_pair.server.repository / "transactions"  # only an append-only repository has this file
    before = log.read_text()
    with opened(one_pair, allow="delete"):
        (archive,) = archives(one_pair.client)
        assert borg(one_pair.client, "delete", f"::{archive}").returncode == 0
        assert archives(one_pair.client) == []
    assert log.read_text().startswith(before) and log.read_text() != before
    assert one_pair.run().returncode == 0


@pytest.mark.parametrize(
    ("allow", "words", "needed"),
    [
        (None, ("delete", "::{archive}"), "delete"),
        ("read", ("with-lock", "::", "true"), "write"),
        ("write", ("delete", "::{archive}"), "delete"),
    ],
)
def test_what_a_window_was_not_opened_for_is_refused_and_both_sides_hear_of_it(one_pair, allow, words, needed):
    config = (one_pair.server.repository / "config").read_bytes()
    with opened(one_pair, allow=allow) as window:
        (archive,) = archives(one_pair.client)
        refused = borg(one_pair.client, *(word.format(archive=archive) for word in words))
        assert refused.returncode not in (0, 1)
        assert "borgpull window TARGET --allow write, delete or passphrase" in refused.stderr
        assert window.wait(60) == 2, window.said()
    assert "rpc-refused" in window.said()
    assert f"hint: if the client's admin asked for that: borgpull window web1 --allow {needed}\n" in window.said()
    assert (one_pair.server.repository / "config").read_bytes() == config
    status = json.loads(one_pair.borgpull("status", "--json").stdout)
    assert [alert["reason"] for alert in status["alerts"]] == ["rpc-refused"]
    with opened(one_pair):
        assert archives(one_pair.client) == [archive]
    assert_nothing_is_left(one_pair)


def test_a_window_holds_the_target_and_who_comes_meanwhile_is_told_so_and_comes_again(either_pair):
    with opened(either_pair) as window:
        wait_for(lambda: "the window is open until " in window.said(), 30)
        code, told = either_pair.told()
        assert (code, told["outcome"], told["reason"]) == (2, "busy", "target-busy"), told
        assert window.poll() is None
        assert len(archives(either_pair.client)) == 1
    code, told = either_pair.told()
    assert (code, told["outcome"]) == (0, "ok"), told


def test_a_repository_in_use_is_an_answer_and_the_window_stays_open(one_pair, scratch):
    with opened(one_pair) as window:
        wait_for(lambda: "the window is open" in window.said(), 30)
        fifo = one_pair.client.source / "fifo"
        os.mkfifo(fifo)
        jobs = {"default": {"paths": [one_pair.client.source], "options": {"read-special": True}}}
        one_pair.client.policy(window="30m", jobs=jobs)
        before = len(one_pair.client.records("accept"))
        argv = [*one_pair.server.borgpull()[:-1], scratch / "another", "run", "web1", "--job", "default"]
        backup = subprocess.Popen(argv, stderr=subprocess.DEVNULL)  # of a launcher that knows nothing of the window
        try:
            wait_for(lambda: len(one_pair.client.records("accept")) > before, 30, "the run to start")
            busy = borg(one_pair.client, "list")
            assert busy.returncode == 69
            assert "another run uses" in busy.stderr
            with open(fifo, "w") as feed:
                feed.write("fed\n")
            assert backup.wait(60) == 0
        finally:
            backup.kill()
            backup.wait()
        assert len(archives(one_pair.client)) == 2


def test_a_window_that_nobody_uses_closes_at_its_time_and_that_is_well(either_pair):
    result = either_pair.borgpull("window", "web1", "--for", "3s", timeout=60)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    record = either_pair.client.records("exit")[-1]
    assert (record["outcome"], record["origin"], record["code"]) == ("ok", "gate", 0)
    assert_nothing_is_left(either_pair)


def test_a_window_closes_at_its_time_in_the_middle_of_a_command(either_pair):
    with opened(either_pair, 25) as window:
        (archive,) = archives(either_pair.client)
        process, _ = lasting(either_pair, [word.format(archive=archive) for word in STUCK])
        said = ended(process)
        assert "window-expired" in said
        assert process.returncode not in (0, 1)
        assert window.wait(90) == 2, window.said()
    record = either_pair.client.records("exit")[-1]
    assert (record["outcome"], record["reason"], record["code"]) == ("limit", "window-expired", 124)
    assert_nothing_is_left(either_pair)
    assert either_pair.run().returncode == 0


def test_the_policy_bounds_the_time_and_says_whether_there_are_windows(one_pair):
    one_pair.client.policy(window="5m")
    result = one_pair.borgpull("window", "web1", "--for", "6m")
    assert result.returncode == 2
    assert "window-too-long" in result.stderr
    one_pair.client.policy()
    result = one_pair.borgpull("window", "web1", "--for", "1m")
    assert result.returncode == 2
    assert "window-closed" in result.stderr
    assert [record["reason"] for record in one_pair.client.records("refuse")] == ["window-too-long", "window-closed"]
    refused = borg(one_pair.client, "list")
    assert refused.returncode == 77
    assert "window: no" in refused.stderr


def test_without_a_window_the_admin_is_told_what_to_do(one_pair):
    result = borgctl("window", "--policy", one_pair.client.policy_file, "--wait", "0", "--", "borg", "list")
    assert result.returncode == 77
    assert "borgpull window" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_launcher_that_is_ended_in_the_middle_of_a_command_leaves_nothing(either_pair, number):
    with opened(either_pair, allow="write") as window:
        process, borg = lasting(either_pair)
        window.send_signal(number)
        ended(process)
        assert process.returncode not in (0, 1)
        assert window.wait(60) != 0
        wait_for(lambda: not machines.alive(borg), 10, "borg to end")
    assert_nothing_is_left(either_pair)
    assert either_pair.client.records("exit")[-1]["outcome"] in ("disconnected", "failed")
    assert either_pair.run().returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_admin_whose_command_is_killed_loses_that_command_and_not_the_window(either_pair, number):
    with opened(either_pair, allow="write") as window:
        process, borg = lasting(either_pair)
        process.send_signal(number)
        ended(process)
        wait_for(lambda: not machines.alive(borg), 40, "borg to end")
        assert len(archives(either_pair.client)) == 1
        assert window.poll() is None, window.said()
    assert_nothing_is_left(either_pair)


@pytest.mark.parametrize("either_pair", ["socket"], indirect=True)
def test_a_name_that_sshd_made_for_a_gate_that_never_began_goes_with_the_next(either_pair):
    keys = either_pair.sshd.directory / "authorized_keys"
    text = keys.read_text()
    keys.write_text(text.replace('command="', 'command="exit 1; '))
    try:
        assert either_pair.borgpull("window", "web1", "--for", "30s").returncode == 2
    finally:
        keys.write_text(text)
    (name,) = either_pair.client.socket_directory.iterdir()
    assert_nothing_is_left(either_pair)
    assert not name.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_gate_that_is_ended_in_the_middle_of_a_command_takes_borg_along(one_pair, number):
    with opened(one_pair, allow="write") as window:
        process, borg = lasting(one_pair)
        gate = wait_for(lambda: [p.pid for p in one_pair.sshd.sessions() if "borgctl.gate" in p.command], 5)[-1]
        os.kill(gate, number)
        ended(process)
        assert process.returncode not in (0, 1)
        wait_for(lambda: not machines.alive(borg), 40, "borg to end")
        if number == signal.SIGKILL:  # no last word: the launcher cannot know that all is well
            assert window.wait(90) == 2, window.said()
    wait_for(lambda: not one_pair.sshd.sessions(), 60)
    assert one_pair.run().returncode == 0
    assert_nothing_is_left(one_pair)


def test_interrupting_a_command_on_the_terminal_ends_borg_and_the_window_goes_on(one_pair):
    """A terminal sends SIGINT to its whole foreground group: the admin's program, borg and relay."""
    with opened(one_pair, allow="write"):
        process, _ = lasting(one_pair)
        os.killpg(process.pid, signal.SIGINT)
        ended(process)
        assert process.returncode not in (0, 1)
        assert len(archives(one_pair.client)) == 1
    assert_nothing_is_left(one_pair)


def test_a_server_that_shows_another_repository_is_refused_in_a_window_too(one_pair, scratch):
    serve = scratch / "serve"
    hostile = [sys.executable, "-I", str(Path(hostile_serve.__file__)), "forged", one_pair.borg.path]
    serve.write_text(f'#!/bin/sh\nexec {shlex.join(hostile)} "$@"\n')
    serve.chmod(0o755)
    one_pair.set("borg", serve)
    with opened(one_pair):
        assert borg(one_pair.client, "list").returncode not in (0, 1)
    ended = [record["reason"] for record in one_pair.client.records("exit")]
    assert "repository-replaced" in ended
    assert not list(one_pair.client.base.glob(f"borg/.config/borg/security/{hostile_serve.FORGED.hex()}"))


@pytest.mark.parametrize("lost", [False, True], ids=["base kept", "base lost"])
def test_a_server_that_goes_back_gets_no_key_stream_twice_from_a_window_either(one_pair, scratch, lost):
    """What a run and a command of the admin's encrypt, in front of the same old repository."""
    repository, kept = one_pair.server.repository, scratch / "kept"
    before = scratch / "before"
    shutil.copytree(repository, before)
    (one_pair.client.source / "text").write_bytes(b"a" * 200_000)
    assert one_pair.run().returncode == 0
    shutil.copytree(repository, kept)
    shutil.rmtree(repository)
    shutil.copytree(before, repository)
    if lost:
        shutil.rmtree(one_pair.client.base)
    (one_pair.client.source / "text").write_bytes(b"b" * 200_000)
    with opened(one_pair, allow="write"):
        result = borg(one_pair.client, "create", "::by-hand", one_pair.client.source)
    if lost:
        assert result.returncode == 0, result.stderr
    else:  # its base knows a newer manifest
        assert result.returncode not in (0, 1), result.stderr
    assert not counters.twice(kept, repository)


def test_in_a_shell_borg_is_a_command_of_the_window(one_pair, scratch):
    script = scratch / "shell"
    script.write_text('#!/bin/sh\nborg list --short && cd "$0.d" && borg extract "::$(borg list --short)" && exit 7\n')
    script.chmod(0o755)
    (scratch / "shell.d").mkdir()
    env = {**os.environ, "SHELL": str(script)}
    with opened(one_pair):
        result = borgctl("window", "--policy", one_pair.client.policy_file, env=env)
    assert result.returncode == 7, result.stderr
    assert (
        machines.same_tree(one_pair.client.source, scratch / "shell.d" / str(one_pair.client.source).lstrip("/")) == []
    )
    assert len(one_pair.client.records("window")) == 3
    assert_nothing_is_left(one_pair)


def test_the_passphrase_is_in_no_log_argument_or_environment_of_a_window(one_pair):
    with opened(one_pair, allow="write") as window:
        process, borg = lasting(one_pair)
        for pid in (process.pid, borg, *(p.pid for p in machines.descendants(process.pid))):
            assert machines.PASSPHRASE.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert machines.PASSPHRASE.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        process.terminate()
        ended(process)
    assert machines.PASSPHRASE not in one_pair.client.audit_file.read_text() + one_pair.sshd.log() + window.said()


def test_a_client_that_plays_with_windows_is_not_asked_faster_than_once_a_second(server, one_borg, scratch):
    """A hostile client says that its window was used, again and again: the launcher keeps its pace."""
    fake = scratch / "gate"
    lines = [
        {"event": "start", "command": "window", "repository": str(server.repository)},
        {"event": "window", "state": "used"},
        {"event": "exit", "outcome": "ok", "origin": "borg", "code": 0},
    ]
    printed = "".join(json.dumps({"type": "borgctl", "run": "aa", **line}) + "\n" for line in lines)
    (scratch / "said").write_text(printed)
    fake.write_text(f"#!/bin/sh\necho >> {scratch}/calls\ncat {scratch}/said >&2\n")
    fake.chmod(0o755)
    script = (
        "import sys; from borgctl.pull.client import client_command; client_command.GATE = (sys.argv.pop(1),)\n"
        "from borgctl.pull.app import main; main()"
    )
    (server.config / "targets").mkdir()
    (server.config / "targets/self.yaml").write_text(
        f"transport: local\npolicy: /p\nrepository: {server.repository}\nquota: 1G\nborg: {one_borg.path}\n"
    )
    words = server.borgpull("window", "self", "--for", "4s")[1:]
    result = run([sys.executable, "-c", script, fake, *words])
    assert result.returncode == 0, result.stderr
    assert 2 <= len((scratch / "calls").read_text()) <= 4
