"""Which jobs have their turn."""

import pytest

from borgctl.pull.fleet.due import Judge
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.values import JobName

HOUR, NOW = 3600.0, 1_800_000_000.0


def state(**ages: float | None) -> State:
    """Return the state of jobs whose last good run is so many hours ago; None: there was none."""
    jobs = {}
    for name, hours in ages.items():
        good = None if hours is None else Past(NOW - hours * HOUR, "ok")
        jobs[name] = JobRecord(good or Past(NOW, "failed"), good, command="create")
    return State(jobs=jobs)


def due(world, jobs: str | None, known: State, *named: str) -> list[str]:
    target = world.local([], jobs=jobs)
    judge = Judge(target, known, NOW)
    names = [JobName(name) for name in (named or [str(job) for job in target.jobs or known.jobs])]
    found = [str(name) for name in names if judge.is_due(name)]
    assert judge.any(tuple(map(JobName, named))) == bool(found)
    return found


@pytest.mark.parametrize(
    ("every", "hours", "expected"),
    [
        *(("24h", 22.9, False), ("24h", 23.1, True), ("1h", 0.85, False), ("1h", 0.95, True)),
        *(("7d", 166.5, False), ("7d", 167.5, True), ("24h", -48, True), ("24h", -0.05, False)),
    ],
)
def test_a_job_has_its_turn_when_its_rhythm_has_passed_or_nobody_knows(world, every, hours, expected) -> None:
    """It may be a tenth short, an hour at most; a last run in the future says nothing."""
    known = state(default=hours)
    assert due(world, f"{{default: {{every: {every}}}}}", known) == (["default"] if expected else [])


def test_without_a_rhythm_it_is_once_a_day(world) -> None:
    assert due(world, "[default, prune]", state(default=22, prune=24)) == ["prune"]


def test_what_never_ran_well_has_its_turn(world) -> None:
    assert due(world, "[default, prune, new]", state(default=1, prune=None)) == ["prune", "new"]


def test_what_the_target_names_none_of_are_the_jobs_that_made_archives(world) -> None:
    assert due(world, None, state(default=30, other=3)) == ["default"]


def test_a_job_that_only_the_command_line_runs_has_no_turn_of_its_own(world) -> None:
    target = world.local([], jobs="{default: {every: 24h}, prune: {deletes: 5, run: no}}")
    assert not Judge(target, state(default=1, prune=900), NOW).any(())
    assert Judge(target, state(default=1, prune=900), NOW).any((JobName("prune"),))


def test_a_job_that_failed_before_it_said_what_it_is_has_its_turn_again(world) -> None:
    known = state(default=2, db=None)
    known.jobs["db"].command = None
    assert Judge(world.local([], jobs=None), known, NOW).any(())
    known.jobs["db"].by_hand = True
    assert not Judge(world.local([], jobs=None), known, NOW).any(())


def test_a_client_of_which_nothing_is_known_is_asked(world) -> None:
    assert Judge(world.local([], jobs=None), State(), NOW).any(())
