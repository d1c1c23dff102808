"""Is the harness honest? What it would overlook, no other end-to-end test could find."""

import os
import signal
import socket
import subprocess
import sys

import machines
import pytest
import yaml
from machines import Sshd, key_line, keypair, run, wait_for

LEAVE_AN_ORPHAN = "(trap '' HUP; exec setsid sleep 600) >/dev/null 2>&1 </dev/null & echo $!"


def test_a_forced_command_sees_what_was_asked_for_and_nothing_else_runs(sshd, key):
    sshd.authorize(key_line(key, 'printf "%s" "asked: $SSH_ORIGINAL_COMMAND"'))
    asked = run([*sshd.ssh_argv(key), "run default; id"])
    assert (asked.returncode, asked.stdout) == (0, "asked: run default; id")


def test_a_key_that_is_not_authorized_is_turned_away(sshd, key, scratch):
    sshd.authorize(key_line(key, "true"))
    assert run([*sshd.ssh_argv(key)]).returncode == 0
    assert run([*sshd.ssh_argv(keypair(scratch, "other"))]).returncode == 255
    sshd.replace_keys()
    assert run([*sshd.ssh_argv(key)]).returncode == 255


def test_after_stop_nobody_listens_and_nothing_runs(scratch, key, watch):
    with Sshd(scratch / "own") as sshd:
        sshd.authorize(key_line(key, "sleep 600"))
        ssh = subprocess.Popen([*sshd.ssh_argv(key), "x"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: any(process.command == "sleep 600" for process in sshd.sessions()))
    assert ssh.wait(10) == 255
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", sshd.port)) != 0
    assert sshd.sessions() == []
    assert watch.processes() == []


def test_the_harness_finds_an_orphan_that_left_its_session(sshd, key):
    sshd.authorize(key_line(key, LEAVE_AN_ORPHAN))
    orphan = int(run([*sshd.ssh_argv(key), "x"]).stdout)
    wait_for(lambda: [process.pid for process in sshd.sessions()] == [orphan])
    os.kill(orphan, signal.SIGKILL)
    wait_for(lambda: not sshd.sessions())


def test_stop_ends_an_orphan_that_left_its_session(scratch, key):
    with Sshd(scratch / "own") as sshd:
        sshd.authorize(key_line(key, LEAVE_AN_ORPHAN))
        orphan = int(run([*sshd.ssh_argv(key), "x"]).stdout)
        assert machines.alive(orphan)
    assert not machines.alive(orphan)


def test_the_sshd_ends_with_the_process_that_started_it(scratch):
    script = (
        "import sys, pathlib, machines\n"
        f"sshd = machines.Sshd(pathlib.Path({str(scratch)!r}, 'own')).__enter__()\n"
        "print(sshd._keeper.pid, sshd.port, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.path.dirname(machines.__file__)},
    ) as starter:
        keeper, port = map(int, starter.stdout.readline().split())
        assert machines.descendants(keeper)
        starter.kill()
    wait_for(lambda: not machines.alive(keeper))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_watch_finds_what_a_test_left_running_and_left_lying(scratch):
    watch = machines.Watch(str(scratch))
    watch.assert_no_process()
    left = int(run(["sh", "-c", LEAVE_AN_ORPHAN]).stdout)
    (scratch / "borgctl-left").touch()
    with pytest.raises(AssertionError, match=rf"left running: {left} .*sleep 600"):
        watch.assert_no_process(seconds=0.2)
    assert watch.names() == {f"{scratch}/borgctl-left"}
    os.kill(left, signal.SIGKILL)
    watch.assert_no_process()


def test_a_taken_port_is_not_used(scratch, key, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], machines.free_port()])
        monkeypatch.setattr(machines, "free_port", lambda: next(ports))
        with Sshd(scratch / "own") as sshd:
            assert sshd.port != taken.getsockname()[1]


def test_a_configuration_that_sshd_refuses_is_shown(scratch):
    with pytest.raises(AssertionError, match="NoSuchKeyword"), Sshd(scratch / "own", extra="NoSuchKeyword yes"):
        pass


def test_lines_of_the_caller_replace_those_of_the_harness_and_may_end_in_a_match_block(sshd, key):
    sshd.authorize(key_line(key, "echo $GREETING", options="restrict"))
    argv = [*sshd.ssh_argv(key, "-o", "SetEnv=GREETING=hello"), "x"]
    assert run(argv).stdout == "\n"
    sshd.configure(f"maxstartups 3\nMatch User {sshd.user}\n  AcceptEnv GREETING")
    assert run(argv).stdout == "hello\n"


def test_a_private_directory_is_short_and_ours_alone(scratch):
    assert len(str(scratch)) < 20
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert scratch.stat().st_uid == os.geteuid()


def test_a_policy_has_the_changes_and_only_them(client):
    before = yaml.safe_load(client.policy_file.read_text())
    client.policy(sandbox="prefer", limits={"runtime": "1h", "sessions": 2}, transports=None)
    after = yaml.safe_load(client.policy_file.read_text())
    assert after["sandbox"] == "prefer" and "sandbox" not in before
    assert after["limits"] == {"runtime": "1h", "sessions": 2}
    assert before.keys() ^ after.keys() == {"limits", "transports", "sandbox"}
    assert after["repositories"] == {str(client.repository): {"encryption": "required"}}


def test_a_tree_that_differs_in_one_byte_or_one_mode_is_told_apart(scratch):
    for name in ("one", "other"):
        (scratch / name).mkdir()
        machines.fill(scratch / name)
    assert machines.same_tree(scratch / "one", scratch / "other") == []
    (scratch / "one/etc/hosts").write_text("127.0.0.2 localhost\n")
    (scratch / "one/data.bin").chmod(0o600)
    assert machines.same_tree(scratch / "one", scratch / "other") == ["data.bin", "etc/hosts", "etc/hosts.hard"]


def test_both_borgs_are_real(borg):
    assert borg.version[:2] in {(1, 2), (1, 4)}
