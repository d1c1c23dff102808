"""Processes that a program left in its session end, by TERM first; a process with its own session lives on."""

import contextlib
import os
import signal
import subprocess

import programs
import pytest

from borgctl.process import leftovers
from borgctl.process.leftovers import Leftovers
from borgctl.process.spawn import spawn


@pytest.fixture
def left():
    """Run shell code in its own session, and end that; return what was left, and the pids that the code wrote."""
    pids = []

    def run(directory, code):
        child = spawn(["/bin/sh", "-c", f"cd {directory}; {code}"], {"PATH": "/usr/bin:/bin"}, {})
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
        met = leftovers.end(child.pid)
        child.reap()
        pids.extend(int(file.read_text()) for file in sorted(directory.iterdir()))
        return met, pids

    yield run
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_nothing_is_left_of_most(left, tmp_path):
    assert left(tmp_path, "exit 3") == (Leftovers({}), [])


def test_a_job_of_a_shell_is_ended_in_every_process_group_and_a_daemon_lives_on(left, tmp_path):
    code = "sleep 60 & echo $! >a; set -m; sleep 60 & echo $! >b; setsid sh -c 'echo $$ >c; exec sleep 60' & "
    met, (job, group, daemon) = left(tmp_path, f"{code} until [ -s c ]; do sleep 0.01; done")
    assert met == Leftovers({job: "sleep", group: "sleep"})
    assert [programs.alive(pid) for pid in (job, group, daemon)] == [False, False, True]


def test_a_daemon_that_makes_its_session_after_its_parent_has_ended_lives_on(left, tmp_path):
    """As daemon(3) does: it forks first."""
    met, (daemon,) = left(tmp_path, "echo $$ >a; (sh -c 'echo $PPID' >a; sleep 0.1; exec setsid sleep 60) &")
    assert (met, programs.alive(daemon)) == (Leftovers({}), True)


def test_what_ignores_the_first_signal_or_was_stopped_is_killed(left, tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "_GRACE", 0.2)
    code = "sh -c 'trap \"\" TERM; echo $$ >a; while :; do sleep 0.1; done' & sh -c 'echo $$ >b; kill -STOP $$' & "
    met, pids = left(tmp_path, f"{code} until [ -s a ] && [ -s b ]; do sleep 0.01; done")
    assert set(pids) <= met.processes.keys() and not met.alive and not any(map(programs.alive, pids))


def test_what_can_clean_up_within_the_grace_does(left, tmp_path):
    code = "sh -c 'trap \"echo $$ >b; exit\" TERM; echo $$ >a; while :; do sleep 0.1; done' &"
    _, pids = left(tmp_path, f"{code} until [ -s a ]; do sleep 0.01; done")
    assert len(pids) == 2 and pids[0] == pids[1] and not programs.alive(pids[0])


def test_what_cannot_be_ended_is_told_and_not_waited_for(left, tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "_PATIENCE", 0.2)
    monkeypatch.setattr(leftovers, "_signal", lambda *_: None)
    met, (pid,) = left(tmp_path, "sleep 60 & echo $! >a")
    assert met == Leftovers({pid: "sleep"}, alive=True)


def test_another_session_with_a_strange_name_is_not_met():
    """proc(5): the second field of stat is the program's own choice."""
    with programs.ended(subprocess.Popen(["/bin/sleep", "60"])) as process:
        assert leftovers._command(process.pid, os.getsid(0)) == "sleep"
        assert leftovers._command(process.pid, 1) is None
