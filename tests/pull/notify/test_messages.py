"""The text of what is told: one line for a title, and nothing of a client's that acts."""

from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.notify.events import Event
from borgctl.pull.notify.messages import (
    LONGEST_BODY,
    LONGEST_TITLE,
    MOST_OF_TARGET,
    MOST_TARGETS,
    body,
    digest,
    message,
)
from borgctl.pull.report.job_status import POSSIBLE_ATTACK, Row
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, State


def event(kind: str, target: str = "web1", text: str = "text") -> Event:
    return Event(kind, target, f"{target} default: {kind}", text)


def test_one_event_has_its_own_title_and_many_are_counted() -> None:
    assert message([event("failed")])[:2] == ("web1 default: failed", "text")
    many = message([event("failed"), event("failed", "web2", "other"), event("suspect", "web1")])
    first = "web1 default: suspect, and 1 more\nweb2 default: failed\n"
    assert many[:2] == ("borgpull: 2 failed, 1 suspect", f"{first}\ntext\nother")


def test_a_message_has_the_weight_of_its_worst_event() -> None:
    weights = {
        kinds: message([event(kind) for kind in kinds.split()]).weight
        for kinds in ("recovered", "overdue", "recovered overdue", "failed", "recovered failed", "suspect")
    }
    assert list(weights.values()) == ["success", "warning", "warning", "failure", "failure", "failure"]


@given(st.text(max_size=3000), st.text(max_size=400))
def test_whatever_stands_in_an_event_is_printable_and_bounded(text: str, title: str) -> None:
    told = message([Event("failed", "web1", title, text)] * 2 + [Event("failed", "web1", title, text * 9)])
    one = message([Event("failed", "web1", title, text)])
    for title_, body_, _ in (told, one):
        assert title_.isprintable() and len(title_) <= LONGEST_TITLE
        assert all(line.isprintable() for line in body_.split("\n")) and len(body_) <= LONGEST_BODY + 100


def test_no_word_of_a_clients_calls_everybody_or_hides_where_it_leads() -> None:
    hostile = "@everyone log in at [status](https://evil.example) <@U123> <!channel>"
    told = message([event("failed")._replace(title=hostile, text=hostile)])
    for text in (told.title, told.body):
        assert text == "@ everyone log in at [status] (https://evil.example) < @ U123> < !channel>"


def test_a_long_body_says_how_much_is_missing() -> None:
    text = "\n".join(["x" * 100] * 200)
    last = body(text).split("\n")[-1]
    assert last == f"and {200 - len(body(text).split(chr(10))) + 1} more lines: borgpull status"


JOBS = [f"j{number:02d}{'x' * 50}" for number in range(100)]
ATTACK = Event("suspect", "db1", f"db1: {POSSIBLE_ATTACK} (audit-broken)", "db1: ALERT: audit-broken: record 7 is gone")


def test_no_target_pushes_another_one_out_of_a_message_and_a_possible_attack_comes_first() -> None:
    lines = "\n".join(f"line {number} {'y' * 400}" for number in range(30))
    flood = [Event("failed", "web1", f"web1 {job}: failed (borg)", f"web1 {job}: {lines}") for job in JOBS]
    shown = message([*flood, ATTACK, event("overdue", "web2", "web2 is late")]).body.split("\n")
    assert shown[:4] == [
        f"db1: {POSSIBLE_ATTACK} (audit-broken)",
        f"web1 {JOBS[0]}: failed (borg), and 99 more",
        "web2 default: overdue",
        "",
    ]
    assert shown[4] == ATTACK.text and shown[-1] == "web2 is late"
    assert len(shown) == 4 + 1 + MOST_OF_TARGET + 1 + 1
    assert shown[-2] == f"web1: and {100 + 29 - MOST_OF_TARGET} more lines: borgpull status web1"


def test_each_of_very_many_targets_is_named_in_the_message_that_counts_as_telling_it() -> None:
    names = [f"web{number}" for number in range(500)]
    shown = message([*(event("failed", name, "z" * 400) for name in names), ATTACK]).body
    assert shown.startswith(ATTACK.title)
    assert {word.strip(",") for word in shown.split()} >= {"db1:", *names}
    assert [line.split()[0] for line in shown.split("\n")[:MOST_TARGETS]] == ["db1:", *names[: MOST_TARGETS - 1]]


def test_no_target_pushes_another_one_out_of_the_digest() -> None:
    flood = Standing("a1", tuple(Row("a1", job, "overdue", age=1e6, text="w" * 400) for job in JOBS), State())
    alert = Alert("audit-broken", "record 7 is gone", 1.0)
    attacked = Standing("db1", (Row("db1", "default", "ok", age=1.0),), State(alerts={alert.reason: alert}))
    well = [Standing(f"well{number}", (Row(f"well{number}", "x", "ok", age=60.0),), State()) for number in range(500)]
    shown = digest([*well, flood, attacked]).body.split("\n")
    assert shown[0].startswith("db1: ALERT: audit-broken: ") and shown[0].endswith(f", {POSSIBLE_ATTACK}")
    assert shown[1].startswith(f"a1 {JOBS[0]}: overdue, www")
    assert shown[2].startswith("db1 default: ok") and shown[13] == "a1: and 90 more lines: borgpull status a1"
    assert shown[14].startswith("well0 x: ok") and shown[-1].endswith(" more lines: borgpull status")


def test_the_digest_has_what_is_wrong_first() -> None:
    well = Standing("a1", (Row("a1", "default", "ok", age=60.0),), State())
    late = Standing("b1", (Row("b1", "default", "overdue", age=1e6, expect=60),), State())
    new = Standing("c1", (Row("c1", "default", "new"),), State())
    told = digest([well, late, new])
    assert told.title == "borgpull: 3 targets, 1 critical, 1 with warnings, 1 well" and told.weight == "failure"
    assert [line.split()[0] for line in told.body.split("\n")] == ["b1", "c1", "a1"]
    assert digest([well]).title == "borgpull: 1 target, 1 well" and digest([well]).weight == "info"
