"""Is anyone still pulling this machine? The log says what ran, and the policies what should run."""

import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from borgctl.audit.log import Log
from borgctl.cli.app import app
from borgctl.cli.log import status as log_status
from borgctl.cli.log.status import status
from borgctl.state import run_locks
from borgctl.state.state_dir import StateDir


@pytest.fixture
def policy(tmp_path):
    return make(tmp_path)


def make(
    directory,
    name="p",
    jobs="default: {paths: [/etc]}\n  prune: {command: prune, options: {keep-daily: 7, glob-archives: a-*}}",
):
    directory.chmod(0o700)
    file = directory / f"{name}.yaml"
    file.write_text(
        f"version: 1\nrepositories: {{/srv/a: {{encryption: required}}}}\npassphrase: {{file: /etc/borgctl/x}}\n"
        f"jobs:\n  {jobs}\naudit: {{file: {directory}/audit.jsonl, syslog: no}}\nsandbox: off\n"
    )
    file.chmod(0o600)
    return file


def ran(policy, outcome="ok", job="default", command="create", **more):
    log = Log.open(str(policy.parent / "audit.jsonl"), syslog=False)
    log.append({"type": "exit", "policy": str(policy), "command": command, "job": job, "outcome": outcome, **more})
    log.close()


def accepted(policy, run, job="default"):
    log = Log.open(str(policy.parent / "audit.jsonl"), syslog=False)
    log.append({"type": "accept", "run": run, "policy": str(policy), "command": "create", "job": job})
    log.close()


def stands(policy, hours=0.0):
    findings = status([str(policy)], 26 * 3600, datetime.now(UTC) + timedelta(hours=hours))
    return findings.status, [(job.job, job.state) for job in findings.jobs]


def test_a_good_run_that_is_still_to_come_is_overdue_and_said_to_be(policy):
    """It was shown as overdue, and as 0 s ago."""
    ran(policy)
    found = status([str(policy)], 26 * 3600, datetime.now(UTC) - timedelta(hours=1))
    assert found.status == 2 and "(in the future: the clock went back)" in found.lines[0]
    found = status([str(policy)], 26 * 3600, datetime.now(UTC) - timedelta(minutes=4))
    assert found.status == 0 and "(0 s ago)" in found.lines[0]


def test_a_job_that_nobody_ever_pulled_is_critical(policy):
    assert stands(policy) == (2, [("default", "never")])


def test_a_job_that_was_pulled_is_well_until_it_is_overdue(policy):
    ran(policy)
    assert stands(policy) == (0, [("default", "ok")])
    assert stands(policy, 25) == (0, [("default", "ok")])
    assert stands(policy, 27) == (2, [("default", "overdue")])


def test_a_dry_run_is_no_good_run(policy):
    ran(policy, reason="dry-run")
    assert stands(policy) == (2, [("default", "never")])
    ran(policy)
    assert stands(policy) == (0, [("default", "ok")])
    ran(policy, reason="dry-run")
    assert stands(policy) == (1, [("default", "failing")])


def test_a_job_whose_last_good_run_is_still_to_come_is_not_well_for_years(policy):
    ran(policy)
    assert stands(policy, -0.05) == (0, [("default", "ok")])
    assert stands(policy, -1) == (2, [("default", "overdue")])


def test_a_last_run_that_failed_is_a_warning_while_the_last_good_one_is_young(policy):
    ran(policy)
    ran(policy, "failed", reason="disconnected")
    assert stands(policy) == (1, [("default", "failing")])
    assert stands(policy, 27)[0] == 2
    ran(policy, "warning")
    assert stands(policy) == (1, [("default", "warning")])


def test_damage_stands_until_the_same_job_goes_well_again(policy):
    ran(policy)
    found = {"reason": "repository-damaged", "repository": "/srv/a", "run": "3f2a", "found": ["Index \x1b mismatch."]}
    ran(policy, "failed", "check", "check", **found)
    ran(policy, repository="/srv/a")
    ran(policy, "ok", "other", "check", repository="/srv/a")
    result = status([str(policy)], 26 * 3600, datetime.now(UTC))
    assert result.status == 2 and result.plain["damages"][0]["found"] == found["found"]
    assert result.lines[0].startswith(f"{policy} default: ok") and result.lines[2].startswith("hint: ")
    assert f"{policy} /srv/a: damaged, found by check" in result.lines[1] and r"Index \x1b mismatch." in result.lines[1]
    ran(policy, "failed", "check", "check", repository="/srv/a", reason="disconnected")
    assert stands(policy)[0] == 2
    ran(policy, "ok", "check", "check", repository="/srv/a")
    assert stands(policy) == (0, [("default", "ok")])


def checked(policy, run, outcome, *options, job="part", **more):
    """Run a check, accepted before it ends as each run is."""
    told = {"run": run, "policy": str(policy), "command": "check", "job": job, "repository": "/srv/a"}
    log = Log.open(str(policy.parent / "audit.jsonl"), syslog=False)
    log.append({"type": "accept", "argv": ["/usr/bin/borg", "check", *options, "--", "ssh://borgctl/srv/a"], **told})
    log.append({"type": "exit", "outcome": outcome, **told, **more})
    log.close()


def test_damage_that_a_part_of_a_check_has_found_stands_until_a_whole_one_goes_well(policy):
    """Each part begins behind the last one, also where that has found damage (borg/repository.py, check)."""
    part = ("--repository-only", "--max-duration=60")
    ran(policy)
    checked(policy, "1", "failed", *part, reason="repository-damaged")
    checked(policy, "2", "ok", *part)
    checked(policy, "3", "ok", "--archives-only", job="archives")
    checked(policy, "4", "failed", job="whole", reason="disconnected")
    assert stands(policy)[0] == 2
    checked(policy, "5", "ok", "--repository-only", job="whole")
    assert stands(policy) == (0, [("default", "ok")])
    checked(policy, "6", "failed", job="whole", reason="repository-damaged")
    checked(policy, "7", "ok", *part, job="whole")  # its options are others now
    assert stands(policy)[0] == 2


def test_how_long_ago_is_told_as_borgpull_tells_it(policy):
    ran(policy)
    good = datetime.now(UTC) + timedelta(seconds=123)
    (line,) = status([str(policy)], 26 * 3600, good).lines
    assert re.search(r"\(2 min [2-4] s ago\)$", line), line


def test_only_what_made_an_archive_for_this_policy_counts(policy):
    ran(policy, command="prune")
    ran(policy.parent / "other.yaml")
    ran(policy, job="prune")
    ran(policy, "refused")
    assert stands(policy) == (2, [("default", "never")])


def test_older_parts_are_looked_at(policy):
    ran(policy)
    os.rename(policy.parent / "audit.jsonl", policy.parent / "audit.jsonl.1")
    assert stands(policy)[0] == 0
    ran(policy, "failed")
    assert stands(policy) == (1, [("default", "failing")])


def test_a_policy_that_cannot_be_used_is_critical(policy):
    ran(policy)
    policy.write_text("version: 9\n")
    assert stands(policy) == (2, [(None, "unusable")])


def test_a_policy_without_jobs_is_judged_by_what_the_server_spelled_out(tmp_path):
    file = make(tmp_path, jobs="prune: {command: prune, options: {keep-daily: 7, glob-archives: a-*}}")
    file.write_text(file.read_text() + "commands: {create: {paths: [/etc], options: [comment]}}\n")
    assert stands(file) == (2, [(None, "never")])
    ran(file, job=None)
    assert stands(file) == (0, [(None, "ok")])


def test_the_command_says_it_to_people_and_programs(policy):
    ran(policy)
    done = CliRunner().invoke(app, ["status", "--json", str(policy)])
    (job,) = json.loads(done.stdout)["jobs"]
    assert done.exit_code == 0 and (job["job"], job["state"]) == ("default", "ok") and job["good"]["outcome"] == "ok"
    done = CliRunner().invoke(app, ["status", "--max-age", "26h", str(policy)])
    assert done.exit_code == 0 and "default: ok, last good" in done.stdout


def test_what_is_in_the_log_reaches_no_terminal(policy):
    ran(policy, "ok")
    ran(policy, "\x1b[2J", reason="\u202e")
    found = status([str(policy)], 26 * 3600, datetime.now(UTC))
    assert all(character.isprintable() for line in found.lines for character in line)


def test_a_log_that_cannot_be_read_is_not_taken_for_one_without_pulls(policy):
    (policy.parent / "audit.jsonl").mkdir()
    assert stands(policy) == (2, [("default", "unusable")])


RUN = "0123456789abcdef"


@pytest.fixture
def at_work(policy):
    """Give a base with a gate that is at the run."""
    policy.write_text(policy.read_text() + f"base: {policy.parent}/base\n")
    base = StateDir.open(f"{policy.parent}/base")
    with run_locks.run_directory(base, RUN, os.geteuid(), os.getegid()):
        yield
    os.close(base.fd)


def test_a_run_that_goes_on_is_told_beside_the_last_result(policy, at_work):
    ran(policy)
    accepted(policy, RUN)
    found = status([str(policy)], 26 * 3600, datetime.now(UTC) + timedelta(seconds=39))
    assert found.status == 0 and re.search(r"default: ok, last good .*, running for (39|40) s$", found.lines[0])
    assert found.plain["jobs"][0]["running"] in (39, 40)
    ran(policy, run=RUN)
    (line,) = status([str(policy)], 26 * 3600, datetime.now(UTC)).lines
    assert "running" not in line


def test_a_run_without_an_end_whose_gate_is_gone_has_failed(policy, at_work, monkeypatch):
    monkeypatch.setattr(log_status, "sleep", lambda _: None)  # what would be written meanwhile is the next test's
    ran(policy)
    for run in ("fedcba9876543210", "../run-x", "x"):
        accepted(policy, run)
        assert stands(policy) == (1, [("default", "failing")])
    (line,) = status([str(policy)], 26 * 3600, datetime.now(UTC)).lines
    assert line.endswith(" failed broken-off")
    ran(policy)
    assert stands(policy) == (0, [("default", "ok")])


def test_a_run_whose_end_is_just_being_written_has_not_broken_off(policy, at_work, monkeypatch):
    accepted(policy, "fedcba9876543210")
    monkeypatch.setattr(log_status, "sleep", lambda _: ran(policy, run="fedcba9876543210"))
    assert stands(policy) == (0, [("default", "ok")])


def test_a_run_that_never_ended_is_no_good_one_where_no_base_is(policy):
    accepted(policy, RUN)
    assert stands(policy) == (2, [("default", "never")])
