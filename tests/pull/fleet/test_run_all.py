"""Many targets in one process: side by side, each with its own outcome, and all of them ended by a signal."""

import json
import math
import signal
import time
from pathlib import Path

import pytest

from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.run_all import run_all
from borgctl.pull.process.signals import Stop
from borgctl.pull.run.stream_reader import StreamReader
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.selection import Selection

OK = [["start"], ["exit", "ok", 0]]


def outcomes(world, names, plan, *, patience: Timeouts | None = None, deadline: float = math.inf) -> list:
    """Run targets in this process; return (target, outcome, reason, again) of each report, in their order."""
    told: list = []
    with Stop() as stop:
        launcher = world.launcher(stop, patience, time.monotonic() + deadline)
        run_all(launcher, Selection(tuple(names), frozenset()), (), plan, told.append)
    return [(one.target, one.verdict.outcome, one.verdict.reason, one.again) for one in told]


def test_a_client_that_hangs_delays_no_other(world) -> None:
    """Two at once: the first one to begin is the last to end, after all others have had their turn."""
    release = world.root / "release"
    hung = world.standing("a-hung", [["start"], ["until", str(release)], ["exit", "ok", 0]])
    names = [world.standing(f"web{number}", OK) for number in range(4)]
    told: list = []

    def tell(report) -> None:
        told.append(report.target)
        if len(told) == 4:
            release.touch()

    with Stop() as stop:
        run_all(world.launcher(stop), Selection((hung, *names), frozenset()), (), Plan(parallel=2), tell)
    assert told == [*names, hung]


def test_one_after_the_other_they_come_in_the_order_of_their_names(world) -> None:
    names = [world.standing(f"web{number}", OK) for number in range(3)]
    assert [target for target, *_ in outcomes(world, names, Plan(parallel=1))] == names


def test_two_targets_of_one_repository_run_one_after_the_other(world) -> None:
    note = world.root / "note"
    steps = [["start"], ["note", str(note)], ["sleep", 1.5], ["note", str(note)], ["exit", "ok", 0]]
    shared = world.root / "repo" / "web1"
    names = [world.standing("web1", steps), world.standing("web2", steps, repository=shared)]
    outcomes(world, names, Plan(parallel=8))
    pids = note.read_text().split()
    assert len(pids) == 4 and pids[0] == pids[1] != pids[2] == pids[3]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("change", ["gone", "paused", "mistaken", "moved"])
def test_who_waits_for_a_place_runs_as_its_file_says_then(world, change: str, named: bool) -> None:
    """The wait may be as long as another client hangs."""
    first, second = world.standing("web1", OK), world.standing("web2", OK)
    file = Path(world.folders.target(TargetName(second)))
    words = {"paused": "paused: {until: 2037-01-01, reason: moves}\n", "mistaken": "no: key\n"}
    told: list = []

    def tell(report) -> None:
        told.append((report.target, report.verdict.outcome, report.verdict.reason))
        if len(told) > 1:
            return
        if change == "gone":
            file.unlink()
        elif change == "moved":
            file.write_text(file.read_text().replace(f"/repo/{second}", "/repo/elsewhere"))
        else:
            file.write_text(file.read_text() + words[change])

    with Stop() as stop:
        chosen = Selection((first, second), frozenset((second,) if named else ()))
        run_all(world.launcher(stop), chosen, (), Plan(parallel=1), tell)
    assert told[0] == (first, "ok", None)
    assert (
        told[1:]
        == {
            "gone": [(second, "failed", "target-invalid")] if named else [],
            "paused": [(second, "failed" if named else "skipped", "target-paused")],
            "mistaken": [(second, "failed", "target-invalid")],
            "moved": [(second, "failed", "no-repository")],  # there is none in the new place
        }[change]
    )
    assert ("web2: is no target any more" in world.screen.getvalue()) == (change == "gone" and not named)


def test_what_may_pass_is_tried_again_and_what_does_not_is_not(world) -> None:
    busy = [["start"], ["refuse", "busy", 69, "repository-busy"]]
    refused = [["refuse", "refused", 77, "unknown-job"]]
    names = [world.standing("busy", busy), world.standing("refused", refused), world.standing("web1", OK)]
    told = outcomes(world, names, Plan(parallel=4, retries=2), patience=Timeouts(backoff=0.1))
    assert sorted(told) == [
        *[("busy", "busy", "repository-busy", False), ("busy", "busy", "repository-busy", True)],
        ("busy", "busy", "repository-busy", True),
        ("refused", "refused", "unknown-job", False),
        ("web1", "ok", None, False),
    ]
    assert world.screen.getvalue().count("busy: again in ") == 2


def test_who_waits_to_be_tried_again_takes_nobodys_place(world) -> None:
    busy = world.standing("a-busy", [["start"], ["refuse", "busy", 69, "repository-busy"]])
    names = [world.standing(f"web{number}", OK) for number in range(2)]
    told = outcomes(world, [busy, *names], Plan(parallel=1, retries=1), patience=Timeouts(backoff=4))
    assert [target for target, *_ in told] == [busy, *names, busy]


def test_a_second_try_is_for_the_jobs_that_failed(world) -> None:
    runs = {
        "run default": [["start"], ["exit", "ok", 0]],
        "run other": [["start", "other"], ["refuse", "busy", 69, "repository-busy"]],
    }
    world.standing("web1", runs, jobs="[default, other]")
    told: list = []
    with Stop() as stop:
        launcher = world.launcher(stop, Timeouts(backoff=0.1))
        run_all(launcher, Selection(("web1",), frozenset()), (), Plan(retries=1), told.append)
    assert [one.job for one in told] == ["default", "other", "other"]


BUSY = [["start"], ["refuse", "busy", 69, "repository-busy"]]


def test_a_failure_that_was_to_be_tried_again_is_not_lost_when_the_client_offers_the_job_no_more(world) -> None:
    """Else a client could have a failed run forgotten: its reason, and what it offers, are its own words."""
    scenes = {"hello": [["hello", "default", "db"]], "run default": OK, "run db": BUSY}
    name = world.standing("web1", scenes)
    file = Path(world.folders.target(TargetName(name)))
    file.write_text(file.read_text().replace("jobs: [default]\n", ""))
    again = json.dumps(scenes | {"hello": [["hello", "default"]]})
    told: list = []

    def tell(report) -> None:
        told.append((report.job, report.verdict.outcome, report.again))
        (world.root / "web1.json").write_text(again)

    with Stop() as stop:
        launcher = world.launcher(stop, Timeouts(backoff=0.1))
        run_all(launcher, Selection((name,), frozenset()), (), Plan(retries=1), tell)
    assert told[:2] == [("default", "ok", False), ("db", "busy", True)] and told[-1] == ("db", "busy", False)


def test_an_alert_of_the_hello_is_told_where_no_job_has_its_turn(world) -> None:
    name = world.standing("web1", {"hello": [["hello", "default"]]})
    file = Path(world.folders.target(TargetName(name)))
    file.write_text(file.read_text().replace("jobs: [default]\n", ""))
    jobs = {}
    for job, hours in (("default", 2), ("db", 30)):
        past = Past(time.time() - hours * 3600, "ok")
        jobs[job] = JobRecord(past, past, command="create")
    state_file.save(world.folders, TargetName(name), State(jobs=jobs))
    assert outcomes(world, [name], Plan(due=True)) == [("web1", "warning", "job-withdrawn", False)]


def test_a_signal_while_it_waits_to_be_tried_again_leaves_a_failure(world) -> None:
    name = world.standing("web1", BUSY)
    launcher = world.start("run", name, "--retries", "3", "--json")
    first = launcher.stdout.readline()
    launcher.send_signal(signal.SIGTERM)
    out, _ = launcher.communicate(timeout=60)
    reports = [json.loads(line) for line in (first, *out.splitlines())]
    assert [(one["outcome"], one["again"]) for one in reports] == [("busy", True), ("busy", False)]
    assert launcher.returncode == 2


def test_what_hung_last_time_comes_last(world) -> None:
    names = [world.standing(name, OK) for name in ("a-hung", "web1", "web2")]
    past = Past(time.time() - 3600, "timeout", "timeout")
    state_file.save(world.folders, TargetName("a-hung"), State(last=past))
    assert [target for target, *_ in outcomes(world, names, Plan(parallel=1))] == ["web1", "web2", "a-hung"]


def test_a_defect_in_one_session_ends_no_other(world, monkeypatch) -> None:
    names = [world.standing("bad", [["start"], ["out", "x"], ["sleep", 600]]), world.standing("web1", OK)]
    real = StreamReader.client

    def broken(self: StreamReader, data: bytes) -> None:
        real(self, data)
        if b'"data": "x"' in data:
            raise KeyError("x")

    monkeypatch.setattr(StreamReader, "client", broken)
    told = outcomes(world, names, Plan(parallel=2))
    assert sorted(told) == [("bad", "failed", "internal", False), ("web1", "ok", None, False)]


def test_after_the_deadline_nothing_begins_and_what_runs_is_ended(world) -> None:
    names = [world.standing("a-slow", [["start"], ["sleep", 600]]), world.standing("web1", OK)]
    told = outcomes(world, names, Plan(parallel=1, retries=2), deadline=1.5)
    assert told == [("a-slow", "timeout", "deadline", False), ("web1", "timeout", "deadline", False)]


def test_the_deadline_of_a_call_in_which_others_wait_for_their_next_round_is_no_failure_of_theirs(world) -> None:
    names = [world.standing("a-slow", [["start"], ["sleep", 600]]), world.standing("web1", OK)]
    told = outcomes(world, names, Plan(parallel=2, due=True, again=1.5), deadline=1.5)
    assert told == [("web1", "ok", None, False), ("a-slow", "timeout", "deadline", False)]


def test_only_what_is_due_runs(world) -> None:
    names = [world.standing(name, OK) for name in ("new", "old", "young")]
    for name, hours in (("old", 25), ("young", 2)):
        past = Past(time.time() - hours * 3600, "ok")
        record = JobRecord(past, past, command="create")
        state_file.save(world.folders, TargetName(name), State(jobs={"default": record}))
    assert [target for target, *_ in outcomes(world, names, Plan(due=True))] == ["new", "old"]


def test_a_target_that_is_wrong_is_a_report_and_stops_no_other(world) -> None:
    names = [world.standing("web1", OK), world.standing("web2", OK)]
    Path(world.folders.target(TargetName("web1"))).write_text("quota: [\n")
    told = outcomes(world, names, Plan(parallel=2))
    assert told == [("web1", "failed", "target-invalid", False), ("web2", "ok", None, False)]


@pytest.mark.parametrize(("number", "due"), [(signal.SIGINT, []), (signal.SIGTERM, ["--due"])])
def test_a_signal_ends_all_runs_in_order_and_begins_none(world, number, due) -> None:
    names = [world.standing(f"web{number}", [["start"], ["sleep", 600]]) for number in range(4)]
    launcher = world.start("run", "--all", "--parallel", "3", "--json", "--log-format", "json", *due)
    state = Path(world.folders.state)
    for _ in range(600):
        if len(list(state.glob("*/running"))) == 3:
            break
        time.sleep(0.05)
    time.sleep(0.5)  # their processes are there, too
    launcher.send_signal(number)
    out, err = launcher.communicate(timeout=60)
    reports = [json.loads(line) for line in out.splitlines()]
    assert {(one["outcome"], one["reason"]) for one in reports} == {("failed", "stopped")}, err
    assert sorted(one["target"] for one in reports) == names[:3] and launcher.returncode == 2
    assert json.loads(err.splitlines()[-1])["event"].startswith("all: 3 failed, 1 without a turn, ")
    assert not list((state / "run").iterdir())


def test_many_at_once_may_open_as_many_files_as_they_need(world) -> None:
    names = [world.standing(f"web{number:02}", OK) for number in range(12)]
    before = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))"
    launcher = world.start("run", *names, "--parallel", "12", before=before)
    _, err = launcher.communicate(timeout=120)
    assert launcher.returncode == 0, err


def test_the_end_says_what_went_wrong_first_and_what_to_do(world) -> None:
    world.standing("web1", OK)
    world.standing("web2", [["refuse", "refused", 77, "unknown-job"]])
    world.standing("web3", [["start"], ["status", 1]])
    _, err = world.start("run", "--all").communicate(timeout=60)
    lines = err.decode().splitlines()[-3:]
    assert lines[0].startswith("failed: web3 default: no-exit-line: the gate did not say how it ended")
    assert lines[1].startswith("refused: web2 default: unknown-job: the client's policy has no such job")
    assert lines[2].startswith("all: 1 failed, 1 refused, 1 ok, ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--parallel", "0"], "error: bad number '0': expected 1 to 1000"),
        (["--parallel", "many"], "error: bad number 'many'"),
        (["--retries", "99"], "error: bad number '99': expected 0 to 20"),
        (["--within", "soon"], "error: bad duration 'soon'"),
        (["--log-format", "xml"], "error: bad"),
    ],
)
def test_a_value_that_is_none_is_an_error_and_nothing_runs(world, words, said) -> None:
    world.standing("web1", OK)
    launcher = world.start("run", "--all", *words)
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 2 and err.decode().startswith(said), err
