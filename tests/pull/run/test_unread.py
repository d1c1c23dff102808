"""What a run prints and nobody reads: it stops no run, no signal and no deadline, and what was lost is a failure."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import time

import pytest
from terminals import shown_on

from borgctl.pull.state import history, state_file
from borgctl.pull.targets.paths import Busy, TargetName, lock

PATIENCE = 30.0  # seconds for what must come; no test passes by waiting
RESULT = ["out", "x" * 20_000]


def full_pipe() -> tuple[int, int]:
    """Return both ends of a pipe that takes nothing more."""
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"\n" * size)
    return reader, writer


def last(world, name: str) -> str | None:
    """Wait until a target's run is recorded; return how it ended."""
    end = time.monotonic() + PATIENCE
    while (known := state_file.load(world.folders, TargetName(name)).last) is None:
        assert time.monotonic() < end, f"no run of {name} is recorded"
        time.sleep(0.02)
    return known.outcome


def wait_for_lock(world, name: str) -> None:
    """Wait until a target's turn is over."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(Busy), lock(world.folders, TargetName(name)):
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} is still at work")


def rest(reader: int) -> bytes:
    with open(reader, "rb") as file:
        return file.read().lstrip(b"\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_signal_ends_it_soon_and_each_run_is_recorded(world, stream) -> None:
    world.standing("web1", [["start"], RESULT, ["exit", "ok", 0]])
    world.standing("web2", [["start"], ["err", "x" * 3000], ["sleep", 600]])
    reader, writer = full_pipe()
    launcher = world.start("run", "--all", "--json", "--log-format", "json", **{stream: writer})
    os.close(writer)
    assert last(world, "web1") == "ok"
    launcher.send_signal(signal.SIGTERM)
    out, err = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 2 and last(world, "web2") == "failed"
    told = [(row.target, row.outcome, row.reason) for row in history.runs(world.folders, (), None)]
    assert sorted(told) == [("web1", "ok", None), ("web2", "failed", "stopped")]
    assert not rest(reader)
    if stream == "stdout":
        assert "error: stdout: lost lines, as nobody read them: 2" in err.decode()
    else:
        assert [json.loads(line)["outcome"] for line in out.splitlines()] == ["ok", "failed"]


def test_a_slow_reader_gets_every_report_complete_and_in_order(world) -> None:
    for name in ("web1", "web2"):
        world.standing(name, [["start"], RESULT, ["exit", "ok", 0]])
    reader, writer = full_pipe()
    launcher = world.start("run", "--all", "--json", "--parallel", "1", stdout=writer)
    os.close(writer)
    assert (last(world, "web1"), last(world, "web2")) == ("ok", "ok")
    reports = [json.loads(line) for line in rest(reader).splitlines()]
    launcher.communicate(timeout=PATIENCE)
    assert [(one["target"], one["result"]) for one in reports] == [("web1", [RESULT[1]]), ("web2", [RESULT[1]])]
    assert launcher.returncode == 0


def test_reports_whose_reader_goes_away_before_it_has_read_them_are_a_failure(world) -> None:
    for name in ("web1", "web2"):
        world.standing(name, [["start"], RESULT, ["exit", "ok", 0]])
    reader, writer = full_pipe()
    with world.start("run", "--all", "--json", "--log-format", "json", stdout=writer) as launcher:
        os.close(writer)
        while not json.loads(launcher.stderr.readline())["event"].startswith("all: 2 ok"):
            pass  # all has been said that is left to be read
        os.close(reader)
        _, err = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 2 and b"error: stdout: Broken pipe" in err


def test_a_result_is_not_lost_unnoticed_where_a_line_of_progress_met_the_error(world) -> None:
    """One pipe for both, as cron gives them, and its reader goes away."""
    ended = world.root / "ended"
    result = [["start", "list"], RESULT, ["exit", "ok", 0]]
    world.standing("web1", result, jobs="{default: {kind: read}}")
    world.standing("web2", [["start"], ["until", str(ended)], ["exit", "ok", 0]])
    reader, writer = full_pipe()
    launcher = world.start("run", "--all", "--parallel", "2", stdout=writer, stderr=writer)
    os.close(writer)
    assert last(world, "web1") == "ok"
    wait_for_lock(world, "web1")  # its result is kept for the reader by now
    os.close(reader)
    ended.touch()
    launcher.communicate(timeout=PATIENCE)
    assert last(world, "web2") == "ok" and launcher.returncode == 2


def test_a_result_goes_where_stdout_leads_while_a_table_is_drawn(world) -> None:
    """And not on the terminal that has the table."""
    ended = world.root / "ended"
    world.standing("web1", [["start", "list"], ["out", "monday"], ["exit", "ok", 0]], jobs="{default: {kind: read}}")
    world.standing("web2", [["start"], ["until", str(ended)], ["exit", "ok", 0]])
    ours, theirs = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"}
    launcher = world.start("run", "--all", "--parallel", "2", stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    last(world, "web1")
    ended.touch()
    shown = shown_on(ours).decode()
    out, _ = launcher.communicate(timeout=PATIENCE)
    assert out == b"web1 default: result: monday\n" and "result: monday" not in shown
