"""What is tried again, and when."""

import time

import pytest

from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.fleet.retry import delay, may_pass
from borgctl.pull.report.hints import ADVICE
from borgctl.pull.report.report import RunReport
from borgctl.reasons import REASONS


def report(reason: str | None, *words: str, outcome: str = "failed", origin: str = "launcher") -> RunReport:
    transcript = Transcript()
    for word in words:
        transcript.keep(Message("unframed", "WARNING", word))
    return RunReport("web1", "default", Verdict(outcome, origin, None, reason), time.time(), 1.0, transcript, None)


def test_what_may_pass_is_a_short_list() -> None:
    passing = {reason for reason in {**ADVICE, **REASONS} if may_pass(report(reason))}
    assert passing == {
        *("ssh-failed", "connection-lost", "disconnected", "transport-failed"),
        *("target-busy", "repository-busy", "rate-limited", "sessions-full"),
    }
    assert not may_pass(report(None, outcome="failed", origin="borg"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ssh: connect to host web1 port 22: Connection refused", True),
        ("ssh: Could not resolve hostname web1: Temporary failure in name resolution", True),
        ("Host key verification failed.", False),
        ("root@web1: Permission denied (publickey).", False),
        ("Error: remote port forwarding failed for listen path /run/x", False),
    ],
)
def test_of_sshs_failures_a_missing_connection_may_pass_and_a_wrong_key_does_not(words, expected) -> None:
    assert may_pass(report("ssh-failed", words)) == expected


def test_each_wait_is_longer_than_the_last_and_no_two_are_alike() -> None:
    drawn = [[delay(number, 60.0) for _ in range(50)] for number in range(3)]
    assert all(30 * 4**number <= seconds <= 60 * 4**number for number, row in enumerate(drawn) for seconds in row)
    assert all(len(set(row)) > 40 for row in drawn)
