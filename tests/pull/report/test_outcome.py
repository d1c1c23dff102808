"""The truth table of a run's outcome."""

import dataclasses
from dataclasses import replace

import pytest
from stage import TOP

from borgctl.pull.client.events import Exit
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.hints import ADVICE, advice_on_reason
from borgctl.pull.report.outcome import (
    ACCEPTED,
    RunFacts,
    accept_warnings,
    exit_status,
    judge_run,
    require_commit,
    require_files,
)
from borgctl.pull.repository.guard_process import Passed, Refused
from borgctl.pull.repository.sessions import GuardSession
from borgctl.reasons import REASONS

OK = Exit("r1", "ok", "borg", 0, None)
WARNING = Exit("r1", "warning", "borg", 105, None)
FAILED = Exit("r1", "failed", "borg", 2, None)
REFUSED = Exit("r1", "refused", "gate", 77, "unknown-job")
DRY = Exit("r1", "ok", "borg", 0, "dry-run")

TABLE = [
    # what the gate said, and what else is known                        how it ended
    (RunFacts(OK), Verdict("ok", "borg", 0)),
    (RunFacts(WARNING, status=105), Verdict("warning", "borg", 105)),
    (RunFacts(FAILED, status=2), Verdict("failed", "borg", 2)),
    (RunFacts(FAILED, status=2, serve=2), Verdict("failed", "borg", 2)),
    (RunFacts(REFUSED, started=False, status=77, serve=2), Verdict("refused", "gate", 77, "unknown-job")),
    # no last word is no success, whatever the status
    (RunFacts(None, status=0), Verdict("failed", "launcher", 0, "no-exit-line")),
    (RunFacts(None, started=False, status=255), Verdict("failed", "ssh", 255, "ssh-failed")),
    (RunFacts(None, started=False, status=255, serve=2), Verdict("failed", "ssh", 255, "ssh-failed")),
    (RunFacts(None, status=255), Verdict("failed", "ssh", 255, "connection-lost")),
    (RunFacts(None, status=255, peer="gate"), Verdict("failed", "launcher", 255, "no-exit-line")),
    (RunFacts(None, status=-9, peer="gate"), Verdict("failed", "launcher", -9, "no-exit-line")),
    (RunFacts(None, status=1, serve=3, serve_first=True), Verdict("failed", "serve", 3, "serve-failed")),
    # a last word that the rest contradicts
    (RunFacts(OK, started=False), Verdict("failed", "launcher", 0, "no-start")),
    (RunFacts(OK, started=False, serve=None, serve_needed=False), Verdict("ok", "borg", 0)),
    (RunFacts(OK, status=1), Verdict("failed", "launcher", 1, "exit-code-mismatch")),
    (RunFacts(OK, status=255), Verdict("ok", "borg", 0)),
    (RunFacts(Exit("r1", "ok", "borg", 2, None), status=2), Verdict("failed", "launcher", 2, "exit-code-mismatch")),
    (RunFacts(OK, serve=3), Verdict("failed", "serve", 3, "serve-failed")),
    (RunFacts(WARNING, status=105, serve=-9), Verdict("failed", "serve", -9, "serve-failed")),
    (RunFacts(OK, serve=None), Verdict("failed", "launcher", None, "serve-unused")),
    (RunFacts(OK, mismatch=True), Verdict("failed", "launcher", 0, "frame-mismatch")),
    (RunFacts(OK, result_cut=True), Verdict("warning", "launcher", 0, "result-cut")),
    (RunFacts(OK, guard_fault="it told nothing"), Verdict("failed", "launcher", None, "guard-failed")),
    # nothing was saved, and serve was not spoken to
    (RunFacts(DRY, serve=2), Verdict("warning", "launcher", 0, "dry-run")),
    (RunFacts(DRY, serve=None), Verdict("warning", "launcher", 0, "dry-run")),
    (RunFacts(DRY, status=1), Verdict("failed", "launcher", 1, "exit-code-mismatch")),
    (RunFacts(DRY, started=False), Verdict("failed", "launcher", 0, "no-start")),
    # the launcher ended it
    (RunFacts(None, ended="timeout", status=255), Verdict("timeout", "launcher", None, "timeout")),
    (RunFacts(OK, ended="timeout"), Verdict("timeout", "launcher", None, "timeout")),
    (RunFacts(None, ended="stopped", status=-15), Verdict("failed", "launcher", None, "stopped")),
    (RunFacts(None, ended="stream-limit", status=255), Verdict("failed", "launcher", None, "stream-limit")),
]


@pytest.mark.parametrize(("facts", "verdict"), TABLE, ids=str)
def test_each_row_of_the_table(facts: RunFacts, verdict: Verdict) -> None:
    assert judge_run(facts) == verdict
    assert verdict.reason is None or advice_on_reason(verdict)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [([], 0), (["ok"], 0), (["ok", "warning"], 1), (["warning", "failed"], 2), (["timeout"], 2), (["busy", "ok"], 2)],
)
def test_the_exit_status_is_that_of_the_worst_run(outcomes: list[str], status: int) -> None:
    assert exit_status(outcomes) == status


def test_advice_is_that_of_whoever_gave_the_reason() -> None:
    assert advice_on_reason(Verdict("failed", "gate", 69, "stopped")) == REASONS["stopped"].advice
    assert advice_on_reason(Verdict("failed", "launcher", None, "stopped")) == ADVICE["stopped"]
    assert advice_on_reason(Verdict("failed", "gate", 69, "a-reason-of-a-newer-gate")) is None


DONE = Passed(puts=2, commits=1, manifests=1, committed_manifests=1)
READ = Passed(messages=4)
OK_BY_BORG = Verdict("ok", "borg", 0)


@pytest.mark.parametrize(
    ("session", "passed", "command", "moved", "good"),
    [
        ("create", DONE, "create", True, True),
        ("create", DONE, "create", False, False),  # it said so, and serve did not do it
        ("create", Passed(puts=2, commits=1), "create", True, False),
        ("create", Passed(puts=2, manifests=1), "create", True, False),
        ("create", None, "create", True, False),
        ("create", READ, "list", False, False),  # what a job is called is the client's word
        ("create", READ, "prune", False, False),
        ("init", DONE, "init", True, True),
        ("init", READ, "init", False, False),
        ("prune", READ, "prune", False, True),  # there was nothing to prune
        ("prune", Passed(deletes=3), "prune", False, False),
        ("prune", Passed(deletes=3, commits=1, manifests=1, committed_manifests=1), "prune", True, True),
        ("prune", READ, "create", False, False),
        ("read", READ, "list", False, True),
        ("window-write", READ, "window", False, True),
    ],
)
def test_a_run_is_good_only_if_the_repository_has_what_its_kind_leaves(session, passed, command, moved, good) -> None:
    expected = OK_BY_BORG if good else Verdict("failed", "launcher", 0, "nothing-committed")
    assert require_commit(OK_BY_BORG, GuardSession(session), passed, command, moved) == expected


@pytest.mark.parametrize(
    ("passed", "reason"),
    [
        (READ, "dry-run"),
        (None, "dry-run"),
        (Passed(puts=1), "nothing-committed"),
        (Passed(deletes=1), "nothing-committed"),
    ],
)
def test_a_dry_run_that_says_something_to_the_repository_is_none(passed, reason) -> None:
    dry = Verdict("warning", "launcher", 0, "dry-run")
    assert require_commit(dry, GuardSession("create"), passed, "create", False).reason == reason


def test_a_run_that_failed_keeps_its_reason() -> None:
    failed = Verdict("failed", "borg", 2)
    assert require_commit(failed, GuardSession("create"), READ, "create", False) == failed


def test_a_refusal_is_more_than_whatever_else_happened() -> None:
    refused = Refused("destroy", "create", "never", "")
    others = (RunFacts(OK), RunFacts(None, status=255), RunFacts(OK, ended="timeout"), RunFacts(None, serve_first=True))
    for facts in others:
        found = judge_run(dataclasses.replace(facts, refused=refused))
        assert found == Verdict("failed", "guard", None, "rpc-refused")


def test_a_repository_that_nobody_has_made_is_no_attack() -> None:
    facts = RunFacts(FAILED, status=2, refused=Refused("open", "init", "create", ""))
    assert judge_run(facts) == Verdict("failed", "guard", None, "no-repository")


def test_the_page_of_reasons_has_every_one_of_the_launchers_with_what_to_do() -> None:
    page = (TOP / "docs/reasons.md").read_text("utf-8")
    for reason, advice in ADVICE.items():
        assert f"| `{reason}` | {advice} |" in page


COUNTED = Exit("r1", "warning", "borg", 1, None, warnings={"vanished": 703, "changed": 1, "other": 0})


@pytest.mark.parametrize(
    ("kinds", "told", "verdict", "outcome"),
    [
        (("changed", "vanished"), COUNTED, Verdict("warning", "borg", 1), "ok"),
        (("changed", "vanished", "unreadable"), COUNTED, Verdict("warning", "borg", 107), "ok"),
        (("changed",), COUNTED, Verdict("warning", "borg", 1), "warning"),
        ((), COUNTED, Verdict("warning", "borg", 1), "warning"),
        (("changed",), replace(COUNTED, warnings={}), Verdict("warning", "borg", 1), "warning"),
        (("changed",), replace(COUNTED, warnings={"changed": 0}), Verdict("warning", "borg", 1), "warning"),
        (("changed",), replace(COUNTED, warnings={"changed": 1, "other": 1}), Verdict("warning", "borg", 1), "warning"),
        (("changed",), None, Verdict("warning", "borg", 1), "warning"),
        (("changed", "vanished"), COUNTED, Verdict("warning", "launcher", 1, "dry-run"), "warning"),
        (("changed", "vanished"), COUNTED, Verdict("warning", "launcher", 0, "result-cut"), "warning"),
        (("changed", "vanished"), COUNTED, Verdict("warning", "borg", 1, "of-a-newer-gate"), "warning"),
        (("changed", "vanished"), COUNTED, Verdict("failed", "launcher", 1, "nothing-committed"), "failed"),
        (("changed", "vanished"), COUNTED, Verdict("failed", "borg", 2), "failed"),
    ],
    ids=range(13),
)
def test_only_warnings_that_the_target_accepts_are_none(kinds, told, verdict, outcome) -> None:
    judged = accept_warnings(verdict, kinds, told)
    assert judged.outcome == outcome and judged.origin == verdict.origin and judged.code == verdict.code
    assert (judged.reason == ACCEPTED) is (outcome == "ok")


@pytest.mark.parametrize(
    ("files", "before", "good"),
    [(0, 20016, False), (0, 1, False), (0, 0, True), (0, None, True), (None, 20016, True), (1, 20016, True)],
)
def test_a_run_without_a_file_has_failed_where_the_last_good_one_had_some(files, before, good) -> None:
    expected = OK_BY_BORG if good else Verdict("failed", "launcher", 0, "nothing-backed-up")
    assert require_files(OK_BY_BORG, files, before) == expected
    for other in (Verdict("failed", "borg", 2), Verdict("warning", "launcher", 0, "dry-run")):
        assert require_files(other, files, before) == other
