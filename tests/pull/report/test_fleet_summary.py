"""The end of a run of many targets: counts, and what went wrong first."""

import pytest

from borgctl.data_class import replace
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.fleet_summary import KINDS, FleetSummary, kind
from borgctl.pull.report.report import RunReport
from borgctl.pull.state.state import Alert


def report(target: str, outcome: str, reason: str | None = None, *, origin: str = "launcher", alert: str | None = None):
    alerts = (Alert(alert, "look", 0.0),) if alert else ()
    verdict = Verdict(outcome, origin, None, reason)
    return RunReport(target, "default", verdict, 0.0, 1.0, Transcript(), None, alerts)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (report("w", "ok"), "ok"),
        (report("w", "ok", alert="audit-broken"), "warnings"),
        (report("w", "warning", origin="borg"), "warnings"),
        (report("w", "skipped", "target-paused"), "skipped"),
        (report("w", "refused", "unknown-job", origin="gate"), "refused"),
        (report("w", "malformed", "syntax", origin="gate"), "refused"),
        (report("w", "failed", "ssh-failed", origin="ssh"), "unreachable"),
        (report("w", "failed", "no-hello"), "unreachable"),
        (report("w", "failed", "ssh-failed", origin="gate"), "failed"),
        (report("w", "busy", "target-busy"), "failed"),
        (report("w", "timeout", "timeout"), "failed"),
        (report("w", "failed", origin="borg"), "failed"),
    ],
)
def test_each_outcome_is_of_one_kind(one, expected) -> None:
    assert kind(one) == expected and expected in KINDS


def test_the_worst_comes_first_and_good_runs_are_a_number() -> None:
    summary = FleetSummary()
    for one in (
        report("web1", "ok"),
        report("web2", "warning", origin="borg"),
        report("web3", "failed", "ssh-failed", origin="ssh"),
        report("web4", "failed", "nothing-committed"),
        report("web5", "skipped", "target-paused"),
    ):
        summary.add(one)
    lines = list(summary.lines(75))
    assert [line.partition(":")[0] for line in lines] == ["failed", "unreachable", "warnings", "all"]
    assert lines[0].startswith("failed: web4 default: nothing-committed: the client reports success and has saved")
    assert lines[-1] == "all: 1 failed, 1 unreachable, 1 with warnings, 1 ok, 1 skipped, 1 min 15 s"


def test_what_is_tried_again_does_not_count_yet() -> None:
    summary = FleetSummary()
    summary.add(replace(report("web1", "busy", "target-busy"), again=True))
    assert list(summary.lines(1)) == ["all: nothing was due, 1 s"]


def test_a_job_that_ran_again_counts_once_by_its_last_run_with_the_alerts_of_all() -> None:
    summary = FleetSummary()
    for one in (
        replace(report("web1", "failed", "ssh-failed", origin="ssh"), job=None),
        report("web1", "failed", "rpc-refused", origin="guard", alert="rpc-refused"),
        report("web1", "ok"),
        report("web2", "failed", "nothing-committed"),
        report("web2", "ok"),
    ):
        summary.add(one)
    assert summary.outcomes() == ["warning", "ok"]
    assert list(summary.lines(1)) == ["warnings: web1 default: rpc-refused", "all: 1 with warnings, 1 ok, 1 s"]


def test_a_target_that_was_left_out_later_is_no_better_than_before() -> None:
    summary = FleetSummary()
    summary.add(replace(report("web1", "failed", "no-hello"), job=None))
    summary.add(replace(report("web1", "skipped", "target-busy"), job=None))
    assert summary.outcomes() == ["failed"]
