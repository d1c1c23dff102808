"""How runs end: whichever side ends, hangs or is stopped, nothing is left behind and the report is true."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import stage
from machines import stop

from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.run_all import run_all
from borgctl.pull.process.signals import Stop
from borgctl.pull.repository import guard_process
from borgctl.pull.run.scheduler import complete
from borgctl.pull.run.session import Session
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.selection import Selection

# With a serve that does not end at its end of file
IMPATIENT = Timeouts(end_of_file=0.5, terminated=0.5, last_word=0.5, orphaned=0.5, drain=0.5, guard=0.5)


def appears(path: Path) -> int:
    for _ in range(1200):
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def gone(pid: int, seconds: float = 60) -> bool:
    for _ in range(int(seconds * 20)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stand_in_serve(world, body: str) -> str:
    """Write a program in the place of borg."""
    path = world.root / "borg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def verdict(report) -> tuple:
    found = report.verdict
    return found.outcome, found.origin, found.code, found.reason


def test_a_timeout_ends_both_sides(world, borg) -> None:
    note, late = world.root / "pid", world.root / "late"
    steps = [["start"], ["note", str(note)], ["sleep", 60], ["note", str(late)]]
    (report,) = world.run(world.local(steps, timeout="1s", borg=borg), IMPATIENT)
    assert verdict(report) == ("timeout", "launcher", None, "timeout")
    assert gone(int(note.read_text()), 0.1)
    assert not late.exists()


def test_a_client_that_never_says_anything_is_a_timeout(world, borg) -> None:
    (report,) = world.run(world.local([["sleep", 60]], timeout="1s", borg=borg))
    assert verdict(report) == ("timeout", "launcher", None, "timeout")


def test_a_client_that_ends_without_an_exit_line_has_failed(world, borg) -> None:
    (report,) = world.run(world.local([["start"], ["out", "{}"], ["status", 0]], borg=borg))
    assert verdict(report) == ("failed", "launcher", 0, "no-exit-line")


def test_a_refusal_is_told_with_its_reason_and_advice(world, borg) -> None:
    (report,) = world.run(world.local([["refuse", "refused", 77, "unknown-job"]], borg=borg))
    assert verdict(report) == ("refused", "gate", 77, "unknown-job")
    hint = "hint: the client's policy has no such job; to see what it offers: borgpull test web1"
    assert hint in world.screen.getvalue()


def test_the_advice_on_an_unknown_job_names_those_that_the_client_has_run(world, borg) -> None:
    past = Past(1.0, "ok")
    jobs = {"default": JobRecord(past, past, "create"), "never-good": JobRecord(Past(1.0, "failed"))}
    target = world.local([["refuse", "refused", 77, "unknown-job"]], borg=borg)
    state_file.save(world.folders, target.name, State(jobs=jobs))
    world.run(target)
    assert "no such job; it has run: default; to see" in world.screen.getvalue()


def test_an_endless_line_ends_the_run(world, borg) -> None:
    (report,) = world.run(world.local([["start"], ["flood", "x" * 65536, 40], ["sleep", 60]], borg=borg))
    assert verdict(report) == ("failed", "launcher", None, "stream-limit")


def test_a_serve_that_fails_is_not_hidden_by_a_happy_client(world) -> None:
    broken = stand_in_serve(world, "echo no space left on device >&2; exit 3")
    (report,) = world.run(world.local([["start"], ["sleep", 0.3], ["exit", "ok", 0]], borg=broken))
    assert verdict(report) == ("failed", "serve", 3, "serve-failed")
    assert "serve: warning: no space left on device" in world.screen.getvalue()


def test_a_serve_that_fails_under_a_silent_client_ends_the_run(world) -> None:
    broken = stand_in_serve(world, "exit 3")
    late = world.root / "late"
    steps = [["start"], ["sleep", 60], ["note", str(late)]]
    (report,) = world.run(world.local(steps, borg=broken), Timeouts(orphaned=0.5))
    assert verdict(report) == ("failed", "serve", 3, "serve-failed")
    assert not late.exists()


def test_a_serve_that_ignores_its_end_of_file_and_term_is_killed(world) -> None:
    deaf = world.root / "deaf"
    stubborn = stand_in_serve(world, f"trap '' TERM; : >{deaf}; while :; do sleep 0.1; done")
    steps = [["start"], ["until", str(deaf)], ["exit", "ok", 0]]
    (report,) = world.run(world.local(steps, borg=stubborn), Timeouts(end_of_file=0.5, terminated=0.5))
    assert verdict(report) == ("failed", "serve", -9, "serve-failed")


def test_a_gate_that_ignores_term_is_killed(world, borg, monkeypatch: pytest.MonkeyPatch) -> None:
    late = world.root / "late"
    steps = [["deaf"], ["start"], ["sleep", 60], ["note", str(late)]]
    target = world.local(steps, timeout="1s", borg=borg)
    real = client_command.run
    monkeypatch.setattr(client_command, "run", lambda *words: replace(real(*words), patience=0.5))
    (report,) = world.run(target, IMPATIENT)
    assert verdict(report)[0] == "timeout"
    assert not late.exists()


def test_a_missing_borg_is_said_before_anything_starts(world) -> None:
    (report,) = world.run(world.local([["start"], ["exit", "ok", 0]], borg="/no/such/borg"))
    assert verdict(report) == ("failed", "launcher", None, "serve-missing")


def test_a_busy_target_fails_at_once_and_leaves_the_other_run_alone(world, borg) -> None:
    note, told = world.root / "pid", world.root / "told"
    steps = [["start"], ["note", str(note)], ["until", str(told)], ["exit", "ok", 0]]
    world.local(steps, borg=world.quiet_serve())
    first = world.start("run", "web1")
    appears(note)
    second = world.start("run", "--json", "web1")
    out, _ = second.communicate(timeout=60)
    report = json.loads(out)
    assert (second.returncode, report["outcome"], report["reason"]) == (2, "busy", "target-busy")
    assert report["duration"] < 2
    assert first.poll() is None
    told.touch()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_window_holds_the_target_and_opens_for_none_that_is_held(world, borgpull) -> None:
    note = world.root / "pid"
    world.local([["note", str(note)], ["sleep", 60]], borg=stand_in_serve(world, "cat"))
    window = world.start("window", "web1", "--for", "60s")
    appears(note)
    status, out, err = borgpull("run", "--json", "web1")
    assert (status, json.loads(out)["reason"]) == (2, "target-busy"), err
    assert "holds a window open" in borgpull("run", "web1")[2]
    for words in (("window", "web1"), ("compact", "web1"), ("forget", "web1", "--repository")):
        status, _, err = borgpull(*words)
        assert (status, "target 'web1' is busy" in err) == (2, True), err
    assert len(note.read_text().split()) == 1
    window.send_signal(signal.SIGINT)
    window.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_both_sides_in_order_and_later_targets_do_not_start(world, borg, number: int) -> None:
    note = world.root / "pid"
    steps = [["start"], ["note", str(note)], ["sleep", 60]]
    world.local(steps, borg=borg)
    world.local(steps, name="web2", borg=borg)
    launcher = world.start("run", "--json", "--parallel", "1", "web1", "web2")
    appears(note)
    ours = children(launcher.pid)
    launcher.send_signal(number)
    out, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 2, err
    (line,) = out.splitlines()
    assert (json.loads(line)["outcome"], json.loads(line)["reason"]) == ("failed", "stopped")
    assert len(ours) == 3
    assert all(gone(pid, 0.1) for pid in ours)
    assert len(note.read_text().split()) == 1


def test_a_launcher_that_is_killed_takes_its_children_along_and_the_next_one_clears_its_workdir(world, borg) -> None:
    note = world.root / "pid"
    world.local([["start"], ["note", str(note)], ["sleep", 600]], borg=borg)
    launcher = world.start("run", "web1")
    appears(note)
    ours = children(launcher.pid)
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate(timeout=60)
    assert len(ours) == 3
    assert all(gone(pid, 20) for pid in ours)
    workdirs = world.root / "state" / "run"
    assert len(list(workdirs.iterdir())) == 1
    (report,) = world.run(world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve()))
    assert report.verdict.outcome == "ok"
    assert list(workdirs.iterdir()) == []


def test_a_room_of_a_living_launcher_is_left_alone(world, borg) -> None:
    note, looked = world.root / "pid", world.root / "looked"
    steps = [["start"], ["note", str(note)], ["until", str(looked)], ["exit", "ok", 0]]
    world.local(steps, borg=world.quiet_serve())
    first = world.start("run", "web1")
    appears(note)
    world.run(world.local([["start"], ["exit", "ok", 0]], name="web2", borg=world.quiet_serve()))
    assert len(list((world.root / "state" / "run").iterdir())) == 1
    looked.touch()
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err


def test_a_serve_that_outlives_a_killed_launcher_is_ended_by_the_next_one(world, borg) -> None:
    note, serves = world.root / "pid", world.root / "serves"
    stubborn = stand_in_serve(world, f"echo $$ >> {serves}\n{world.saves}")
    world.local([["start"], ["note", str(note)], ["sleep", 60]], borg=stubborn)
    launcher = world.start("run", "web1")
    appears(note)
    serve = appears(serves)
    stop(serve)
    launcher.kill()
    launcher.communicate(timeout=60)
    time.sleep(0.3)
    assert not gone(serve, 0.1)  # it has been told to end, and is stopped
    (report,) = world.run(world.local([["start"], ["exit", "ok", 0]], borg=stubborn))
    assert report.verdict.outcome == "ok"
    assert gone(serve, 0.1)


def test_the_lock_of_a_serve_that_was_killed_with_its_launcher_is_removed_by_the_next_run(
    world, borg, repository: Path
) -> None:
    note, out = world.root / "pid", world.root / "locked"
    script = world.root / "borg"
    script.write_text(f'#!/bin/sh\n[ $1 = serve ] && echo $$ > {note}\nexec {borg} "$@"\n')
    script.chmod(0o755)
    steps = [["start"], ["borg", borg, "with-lock", "REPO", "/bin/sh", "-c", f"echo $$ > {out}; exec sleep 60"]]
    world.local(steps, borg=script)
    launcher = world.start("run", "web1")
    holder = appears(out)
    launcher.kill()
    os.kill(appears(note), signal.SIGKILL)
    launcher.communicate(timeout=60)
    os.kill(holder, signal.SIGKILL)
    (lock,) = (repository / "lock.exclusive").iterdir()
    assert lock.name.startswith("borgpull@")
    lock.rename(lock.with_name(lock.name.replace(f".{note.read_text().strip()}-", f".{os.getpid()}-")))  # number in use
    source = world.root / "data"
    source.mkdir()
    (source / "file").write_text("x")
    steps = [["start"], ["borg", borg, "create", "--json", "REPO::monday", str(source)]]
    (report,) = world.run(world.local(steps, borg=borg))
    assert report.verdict.outcome == "ok", world.screen.getvalue()
    assert "an earlier borg was killed; the lock that it left was removed" in world.screen.getvalue()
    assert not list(repository.glob("lock.exclusive*"))


def test_a_serve_that_is_stopped_ends_at_the_limit_and_in_order(world) -> None:
    bye = world.root / "bye"
    stopped = f"trap 'echo bye > {bye}; exit 1' TERM; kill -STOP $$; while :; do sleep 0.1; done"
    target = world.local([["start"], ["sleep", 60]], borg=stand_in_serve(world, stopped), timeout="1s")
    (report,) = world.run(target, Timeouts(end_of_file=0.5))
    assert verdict(report)[0] == "timeout"
    assert report.serve == 1
    assert bye.exists()


def test_signals_that_the_starter_blocked_or_ignored_end_the_run_all_the_same(world, borg) -> None:
    note = world.root / "pid"
    world.local([["start"], ["note", str(note)], ["sleep", 60]], borg=world.quiet_serve())
    all_of_them = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, all_of_them)
    try:
        launcher = world.start("run", "--json", "web1")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, all_of_them)
    appears(note)
    launcher.terminate()
    out, _ = launcher.communicate(timeout=40)  # nobody had to be killed, after a patience of 45 s
    assert json.loads(out)["reason"] == "stopped"


def test_sessions_in_one_loop_keep_nobody_waiting_and_each_ends_as_it_would_alone(world) -> None:
    """A client that hangs delays no other, and only it is ended; nothing of theirs is left in the loop."""
    ended, sessions = {}, {}
    steps = {"good": [["start"], ["exit", "ok", 0]], "mute": [["sleep", 600]], "bad": [["start"], ["status", 3]]}
    with Stop() as stop:
        launcher = world.launcher(stop)

        async def serve(name: str) -> None:
            ended[name] = await sessions[name].run()
            if len(ended) == 2 and "mute" not in ended:
                sessions["mute"].stop()

        for name, played in steps.items():
            path = world.root / f"{name}.json"
            path.write_text(json.dumps(played))
            argv = [*client_command.GATE, "--policy", str(path)]
            call = client_command.Call(argv, {}, None, (None, None), "gate", 45)
            sessions[name] = Session(call, None, launcher=launcher, transcript=Transcript(), seconds=60)
        complete(launcher, deque(map(serve, steps)))
    assert {name: (facts.ended, facts.status) for name, facts in ended.items()} == {
        "good": (None, 0),
        "bad": (None, 3),
        "mute": ("stopped", -signal.SIGTERM),
    }
    assert list(ended)[-1] == "mute" and set(launcher.loop._watches) == {stop._signals.fd}


def test_a_failed_serve_is_noticed_where_the_starter_ignored_the_ends_of_children(world) -> None:
    world.local([["start"], ["sleep", 0.3], ["exit", "ok", 0]], borg=stand_in_serve(world, "exit 3"))
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        launcher = world.start("run", "--json", "web1")
    finally:
        signal.signal(signal.SIGCHLD, old)
    out, _ = launcher.communicate(timeout=60)
    assert (json.loads(out)["outcome"], json.loads(out)["serve"]) == ("failed", 3)


def two_targets(world) -> Path:
    """Make two targets whose runs each leave a line in a file, which is returned."""
    note = world.root / "pid"
    for name in ("web1", "web2"):
        steps = [["start"], ["note", str(note)], ["err", "words"], ["exit", "ok", 0]]
        world.local(steps, name=name, borg=world.quiet_serve())
    return note


def test_a_reader_of_stderr_that_goes_away_ends_no_run(world) -> None:
    note = two_targets(world)
    reader, writer = os.pipe()
    os.close(reader)
    launcher = world.start("run", "web1", "web2", stderr=writer)
    os.close(writer)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    assert len(note.read_text().split()) == 2


def test_a_report_that_cannot_be_written_ends_no_run_and_is_a_failure(world) -> None:
    note = two_targets(world)
    launcher = world.start("run", "--json", "web1", "web2")
    launcher.stdout.close()
    launcher.stdout = None
    launcher.communicate(timeout=60)
    assert launcher.returncode == 2
    assert len(note.read_text().split()) == 2


def test_closed_descriptors_are_nobodys_file(world) -> None:
    note = two_targets(world)
    launcher = world.start("run", "web1", "web2", closed=True)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    assert len(note.read_text().split()) == 2
    assert (Path(world.folders.state) / "web1.lock").read_bytes() == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_under_the_state_is_told_and_the_next_run_succeeds(world) -> None:
    target = world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    state = Path(world.folders.state)
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=4", "none", str(state)]
    subprocess.run(mount, check=True)
    try:

        def again() -> list:
            told: list = []
            with Stop() as stop:
                run_all(world.launcher(stop), Selection(("web1",), frozenset()), (), Plan(), told.append)
            return told

        (report,) = again()
        assert verdict(report)[3] == "not-started"
        assert "No space left on device" in world.screen.getvalue()
        subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(state)], check=True)
        (report,) = again()
        assert report.verdict.outcome == "ok"
        assert list((state / "run").iterdir()) == []
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert target.jobs


def test_no_end_of_a_pipe_stays_with_the_launcher(world, borg) -> None:
    before = stage.descriptors()
    world.run(world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve()))
    assert stage.descriptors() == before


def test_who_else_holds_the_words_of_a_compact_is_not_waited_for(world, borg, borgpull, repository: Path) -> None:
    note = world.root / "pid"
    body = f'case "$*" in *compact*) setsid sleep 600 & echo $! >{note};; esac; exec {borg} "$@"'
    world.target(transport="local", policy="/none", repository=repository, borg=stand_in_serve(world, body))
    try:
        status, _, err = borgpull("compact", "web1")
        assert (status, "web1 compact: ok" in err) == (0, True), err
        assert not gone(appears(note), 0.1)
    finally:
        os.kill(appears(note), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_compact_in_order(world, repository: Path, number: int) -> None:
    note, bye = world.root / "pid", world.root / "bye"
    body = f"trap 'echo 1 >{bye}; exit 1' TERM; echo $$ >{note}; while :; do sleep 0.1; done"
    world.target(transport="local", policy="/none", repository=repository, borg=stand_in_serve(world, body))
    launcher = world.start("compact", "web1")
    appears(note)
    launcher.send_signal(number)
    launcher.communicate(timeout=60)
    assert bye.exists() and gone(appears(note), 0.1)


def guards(launcher: int) -> list[int]:
    """Return the pids of a launcher's guard."""
    found = []
    for child in children(launcher):
        with contextlib.suppress(OSError):
            if b"rpc_guard" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def test_a_guard_that_is_killed_ends_the_run_and_lets_nothing_more_pass(world) -> None:
    note, passed, killed = world.root / "pid", world.root / "passed", world.root / "killed"
    steps = [["start"], ["note", str(note)], ["until", str(killed)], ["backup"], ["claim", "ok", 0]]
    world.local(steps, borg=stand_in_serve(world, f"cat >{passed}"))
    launcher = world.start("run", "--json", "web1")
    appears(note)
    ours = children(launcher.pid)
    (guard,) = guards(launcher.pid)
    os.kill(guard, signal.SIGKILL)
    killed.touch()
    out, _ = launcher.communicate(timeout=40)
    told = json.loads(out)
    assert (launcher.returncode, told["outcome"], told["reason"]) == (2, "failed", "guard-failed")
    assert told["passed"] is None
    assert "the guard ended with status -9 and reported nothing" in [message["text"] for message in told["messages"]]
    assert passed.read_bytes() == b""
    assert all(gone(pid, 0.1) for pid in ours)


def test_a_guard_that_is_stopped_keeps_nobody_waiting_beyond_the_limit(world, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *guard_process.PROGRAM)
    monkeypatch.setattr(guard_process, "PROGRAM", words)
    target = world.local([["start"], ["sleep", 60]], borg=world.quiet_serve(), timeout="1s")
    (report,) = world.run(target, IMPATIENT)
    assert verdict(report)[0] == "timeout"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("cat", "the guard ended with status 0 and reported nothing"),
        ("cat; echo Traceback >&2", "the guard failed: Traceback"),
        ("exit 1", "the guard ended with status 1 and reported nothing"),
        ('cat; echo \'{"event": "refused"}\' >&2; exit 3', 'the guard failed: {"event": "refused"}'),
    ],
)
def test_without_a_guards_own_account_no_run_is_good(world, monkeypatch: pytest.MonkeyPatch, body, said) -> None:
    monkeypatch.setattr(guard_process, "PROGRAM", ("/bin/sh", "-c", body, "sh"))
    (report,) = world.run(world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve()))
    assert verdict(report) == ("failed", "launcher", None, "guard-failed")
    assert said in world.screen.getvalue()
    assert [job.good for job in state_file.load(world.folders, TargetName(report.target)).jobs.values()] == [None]


REFUSES = f"""
echo '{{"event": "refused", "method": "destroy", "session": "create", "rule": "never", "detail": ""}}' >&2
echo '{json.dumps({"event": "end", **asdict(guard_process.Passed(bytes=9, messages=2))})}' >&2
exit 3
"""


@pytest.mark.parametrize(
    ("body", "ended"),
    [(REFUSES, ("failed", "guard", None, "rpc-refused")), ("exit 1", ("failed", "launcher", None, "guard-failed"))],
    ids=["refused", "failed"],
)
def test_a_client_is_ended_with_its_guard_and_not_waited_for(
    world, monkeypatch: pytest.MonkeyPatch, body, ended
) -> None:
    monkeypatch.setattr(guard_process, "PROGRAM", ("/bin/sh", "-c", body, "sh"))
    later = world.root / "later"
    steps = [["start"], ["sleep", 5], ["note", str(later)], ["exit", "ok", 0]]
    (report,) = world.run(world.local(steps, borg=world.quiet_serve()), IMPATIENT)
    assert verdict(report) == ended
    assert "the guard failed" not in world.screen.getvalue()
    assert not later.exists()


def test_a_launcher_that_cannot_start_the_guard_leaves_no_serve(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_process, "PROGRAM", ("/no/such/guard",))
    target = world.local([["start"], ["exit", "ok", 0]], borg=stand_in_serve(world, "sleep 60"))
    with pytest.raises(PullError, match="cannot start /no/such/guard"):
        world.run(target)
