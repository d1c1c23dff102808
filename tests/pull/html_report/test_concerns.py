"""What needs a person: the worst first, each with what to do."""

import pytest

from borgctl.pull.html_report.concerns import concerns
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, Past, State

NOW = 1.8e9
GOOD = Past(NOW, "ok")


def failed(reason=None, detail=None):
    return Past(NOW, "failed", reason, detail, NOW)


def one(target, state, *, last=GOOD, alerts=(), **fields):
    row = Row(target, "default", state, last=last, good=GOOD, **fields)
    return Standing(target, (row,), State(alerts={name: Alert(name, "text", NOW) for name in alerts}))


def test_possible_attacks_come_first_then_what_is_critical_and_good_targets_not_at_all():
    fleet = [
        one("a", "ok"),
        one("b", "failing", last=failed("no-space")),
        one("c", "overdue"),
        one("d", "ok", alerts=["backup-slow"]),
        one("e", "failing", last=failed("rpc-refused")),
        one("f", "ok", alerts=["audit-broken"]),
        Standing("g", (Row("g", None, "invalid", text="g.yaml:1:1: wrong"),), State()),
        one("h", "seen"),
        one("i", "failing", last=failed("rpc-refused"), accepted=True),
    ]
    shown = [(concern.level, concern.target) for concern in concerns(fleet)]
    assert shown == [
        *(("attack", "e"), ("attack", "f"), ("critical", "c"), ("critical", "d"), ("critical", "g")),
        *(("warning", "b"), ("warning", "i")),
    ]


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        (Row("web1", "default", "failing", last=failed("no-space")), "make room on the client's disk"),
        (Row("web1", "default", "failing", last=failed("server-full")), "borgpull compact web1"),
        (Row("web1", None, "failing", last=failed("ssh-failed", "host-key")), "borgpull trust --replace web1"),
        (Row("web1", None, "failing", last=failed("ssh-failed")), "can the client be reached"),
        (Row("web1", None, "failing", last=failed("ssh-failed", "<b>")), "can the client be reached"),
        (Row("web1", "default", "failing", last=failed(None, "StorageQuotaExceeded")), "borgpull compact web1"),
        (Row("web1", "default", "failing", last=failed(None, "Cache.RepositoryReplay")), "borgctl moved POLICY"),
        (Row("web1", "default", "failing", last=failed(None, "RepoIdMismatch")), "find out what it was before"),
        (Row("web1", "default", "failing", last=failed(None, "<b>")), None),
        (Row("web1", "default", "overdue", last=GOOD), "borgpull run web1"),
        (Row("web1", "default", "never"), "borgpull test web1"),
        (Row("web1", None, "invalid"), "borgpull targets"),
        (Row("web1", "default", "failing", last=failed("repository-known")), None),
        (Row("web1", "default", "failing", last=failed("<script>")), None),
    ],
)
def test_it_says_what_to_do_where_that_is_known(row, advice):
    (concern,) = concerns([Standing("web1", (row,), State())])
    assert concern.text == str(row)
    assert concern.advice is None if advice is None else advice in concern.advice


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("backup-shrunken", "is everything mounted on the client?"),
        ("objects-overwritten", "find out what it was before you accept, compact or replace anything; when you have"),
        ("job-withdrawn", "when you have looked: borgpull accept web1 --reason TEXT"),
    ],
)
def test_an_alert_says_so_too_and_how_often_it_was(reason, advice):
    alert = Alert(reason, "text", 1.8e9, 3)
    (concern,) = concerns([Standing("web1", (), State(alerts={reason: alert}))])
    assert concern.text == f"web1: ALERT: {reason}: text (first 2027-01-15T08:00:00+00:00, 3 times)"
    assert advice in concern.advice
