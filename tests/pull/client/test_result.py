"""borg's stdout: read once and only where an honest client may have written it, as one loop serves all targets."""

import json

import pytest

from borgctl.pull.client import result
from borgctl.pull.client.borglog import Counts
from borgctl.pull.client.events import Start
from borgctl.pull.client.result import MOST, MOST_OF_CREATE, Archive, Result
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.report import RunReport, readable, record, summary
from borgctl.strict_yaml import LARGEST

STATS = {"nfiles": 3, "original_size": 10, "compressed_size": 5, "deduplicated_size": 1}
MADE = {"archive": {"name": "a1", "stats": STATS}, "cache": {"path": "/c", "stats": {}}, "repository": {"id": "0" * 64}}


@pytest.fixture
def read(monkeypatch):
    """Return how many characters each reading of JSON has had."""
    sizes: list[int] = []
    parse = result.parse
    monkeypatch.setattr(result, "parse", lambda text: sizes.append(len(text)) or parse(text))
    return sizes


def report(*pieces: str, command: str = "create") -> RunReport:
    transcript = Transcript(("default", "/-"))
    transcript.start = Start("0" * 16, command, "default", "/-")
    for piece in pieces:
        transcript.result.add(piece)
    return RunReport("web1", "default", Verdict("ok", "borg", 0), 0.0, 1.0, transcript, 0)


def test_what_create_says_of_its_archive_is_read_once_until_more_comes(read):
    text = json.dumps(MADE, indent=4)
    transcript = report(text[:40], text[40:]).transcript
    for _ in range(5):
        assert (transcript.files, transcript.totals()) == (3, Counts(3, 10, 1, 5))
        assert transcript.result.archive.name == "a1"
    assert read == [len(text)]
    transcript.result.add("{}")
    assert transcript.result.archive == Archive() and len(read) == 2


def test_what_no_honest_create_prints_is_not_read_and_is_kept_as_it_came(read):
    hostile = '{"archive": {"stats": 1}, "a": [' + "1e1," * (MOST // 4 - 20) + "1]}"
    whole = report(hostile)
    assert MOST_OF_CREATE < len(hostile) <= MOST
    assert "files" not in summary(whole) and whole.transcript.files is None
    assert record(whole)["result"] == [hostile]
    assert read == []


@pytest.mark.parametrize("word", ["x" * 1000, "\u00e9" * 500, "\U0001f600" * 250], ids=["ascii", "latin", "emoji"])
def test_the_longest_command_line_that_a_policy_can_make_cuts_nothing(word):
    words = ["/usr/bin/borg", "create", *([f"--exclude={word}"] * (LARGEST // 1000 + 1))]
    said = report(json.dumps({**MADE, "archive": {**MADE["archive"], "command_line": words}}, indent=4) + "\n")
    assert said.transcript.files == 3 and record(said)["result"]["archive"]["command_line"] == words


def test_a_list_of_very_many_archives_is_read_whole_and_once(read):
    names = [f"web1-default-{number}" for number in range(9000)]
    listed = {"archives": [{"name": name, "start": "2026-01-01T00:00:00", "id": "0" * 64} for name in names]}
    text = json.dumps(listed, indent=4)
    assert MOST_OF_CREATE < len(text) < MOST
    assert [line.split()[0] for line in readable(report(text, command="list").transcript)] == names
    assert read == [len(text)]


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "[" * 5000 + "]" * 5000, "9" * 5000])
def test_what_cannot_be_written_as_json_again_is_kept_as_it_came(value):
    text = f'{{"archive": {{"name": "a1", "stats": {json.dumps(STATS)}}}, "more": {value}}}'
    assert record(report(text))["result"] == [text]
    json.dumps(record(report(text)), allow_nan=False)


@pytest.mark.parametrize("name", [["a"], {"a": "b"}, 1, None, True])
def test_a_listed_archive_whose_name_is_no_text_has_none(name):
    text = json.dumps({"archives": [{"name": name, "start": name}]})
    assert readable(report(text, command="list").transcript) == ["None  None"]


@pytest.mark.parametrize("said", ["", "[]", "1", "{", "{}", '{"archive": 1}', '{"archive": {}}', ' {"archive": {}}'])
def test_what_is_no_object_of_creates_says_nothing_of_an_archive(said):
    made = Result()
    made.add(said)
    assert made.archive == Archive()
