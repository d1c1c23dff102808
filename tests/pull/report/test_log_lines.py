"""Lines for a log: each bound to its run, and no word of a client's breaks out of its line."""

import io
import json

import pytest

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.log_lines import LogLines
from borgctl.pull.report.progress import View
from borgctl.pull.report.report import RunReport
from borgctl.pull.report.screens import Tolerant
from borgctl.pull.state.state import Alert

FAR = float("inf")
HOSTILE = 'x\n{"level": "error"} level=error event="web2 failed"\r\x1b[2J\u2028 target=web2 \u202e'


def written(log_format: str) -> list[str]:
    """Write the lines of a run, and of one beside it."""
    file = io.StringIO()
    lines = LogLines(file, log_format)
    first, second = View(lines), View(lines)
    first.begin("web1 default")
    second.begin("web2 default")
    first.bind("0123456789abcdef")
    first.show(Message("borg", "WARNING", HOSTILE, "some.id"))
    first.show(Counts(7, 1000, 10))
    second.show(Step(HOSTILE))
    lines.tick(1e12)
    verdict = Verdict("failed", "launcher", None, "nothing-committed")
    alerts = (Alert("audit-broken", HOSTILE, 0.0),)
    first.report(RunReport("web1", "default", verdict, 0.0, 1.5, Transcript(), 0, alerts))
    second.end("a line of ours")
    return file.getvalue().splitlines()


def test_each_line_of_json_is_an_object_bound_to_its_run() -> None:
    lines = [json.loads(line) for line in written("json")]
    events = [(line["level"], line["target"], line.get("run"), line["event"][:14]) for line in lines]
    run = "0123456789abcdef"
    assert events == [
        ("info", "web1", None, "run started"),
        ("info", "web2", None, "run started"),
        ("warning", "web1", run, 'x\\n{"level": "'),
        ("info", "web1", run, "progress"),
        ("info", "web2", None, 'borg: x\\n{"lev'),
        ("error", "web1", run, "run ended"),
        ("error", "web1", run, "alert"),
        ("info", "web2", None, "a line of ours"),
    ]
    assert all(line["job"] == "default" and line["timestamp"].endswith("Z") for line in lines)
    assert (lines[3]["files"], lines[5]["outcome"], lines[5]["reason"]) == (7, "failed", "nothing-committed")
    assert lines[5]["hint"].startswith("the client reports success") and lines[6]["alert"] == "audit-broken"


def test_each_line_of_logfmt_begins_with_when_how_bad_and_what() -> None:
    lines = written("logfmt")
    assert len(lines) == 8
    for line in lines:
        assert [word.partition("=")[0] for word in line.split(" ")[:2]] == ["timestamp", "level"]
    assert ' event="run ended" target=web1 job=default run=0123456789abcdef ' in lines[5]


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_no_clients_word_is_a_line_of_its_own(log_format) -> None:
    text = "\n".join(written(log_format))
    assert len(text.splitlines()) == 8
    assert not any(character in text for character in "\r\x1b\u2028\u202e")


def test_a_screen_that_fails_ends_no_run() -> None:
    class Broken(LogLines):
        def show(self, title: str, said: object) -> None:
            raise KeyError(title)

    view = View(Tolerant(Broken(io.StringIO(), "json")))
    view.begin("web1 default")
    view.show(Counts(1, 1, 1))
    view.end("web1 default: ok")
