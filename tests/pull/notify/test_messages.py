"""The text of what is told: one line for a title, and nothing of a client's that acts."""

from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.notify.events import Event
from borgctl.pull.notify.messages import LONGEST_BODY, LONGEST_TITLE, body, digest, message
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import State


def event(kind: str, target: str = "web1", text: str = "text") -> Event:
    return Event(kind, target, f"{target} default: {kind}", text)


def test_one_event_has_its_own_title_and_many_are_counted() -> None:
    assert message([event("failed")])[:2] == ("web1 default: failed", "text")
    many = message([event("failed"), event("failed", "web2", "other"), event("suspect", "web1")])
    assert many[:2] == ("borgpull: 2 failed, 1 suspect", "text\nother")


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


def test_the_digest_has_what_is_wrong_first() -> None:
    well = Standing("a1", (Row("a1", "default", "ok", age=60.0),), State())
    late = Standing("b1", (Row("b1", "default", "overdue", age=1e6, expect=60),), State())
    new = Standing("c1", (Row("c1", "default", "new"),), State())
    told = digest([well, late, new])
    assert told.title == "borgpull: 3 targets, 1 critical, 1 with warnings, 1 well" and told.weight == "failure"
    assert [line.split()[0] for line in told.body.split("\n")] == ["b1", "c1", "a1"]
    assert digest([well]).title == "borgpull: 1 target, 1 well" and digest([well]).weight == "info"
