"""`borgctl audit show` prints readable rows of the chosen records, and never a control character."""

import io
import json
import os
import random
import re

import programs
import pytest
from rich.console import Console
from typer.testing import CliRunner

from borgctl.audit.log import Log
from borgctl.cli.app import app
from borgctl.cli.log import records, show
from borgctl.errors import BadValue

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "line\nbreak\r\x00\x7f\x85",
    "\u2028\u2029\u202e\u200b\ufeff",
    "\udcff\ud800",
    "[bold red]markup[/] [link=http://x]y[/link] :smile:",
    "x" * (1 << 20),
    "\x1b" * (1 << 20),
    "é日\U0001f4be",
]
PEERS = ("policy", "key", "peer", "request", "reason", "detail", "command", "job", "repository", "argv", "said", "run")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "log").mkdir(mode=0o700)
    return tmp_path / "log/audit.jsonl"


def append(path, *records):
    log = Log.open(str(path), syslog=False)
    for record in records:
        log.append(record)
    log.close()


def shown(*arguments):
    done = CliRunner().invoke(app, ["audit", "show", *map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def harmless(text):
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["accept", "refuse", "exit", "window", "alert", "\x1b[31m"])
def test_whatever_a_peer_sends_the_log_is_one_object_a_line_and_only_printable_text_is_shown(path, text, kind):
    append(
        path,
        {"type": kind, **dict.fromkeys(PEERS, text)},
        {"type": kind, **{name: [text, {text: text}] for name in PEERS}},
    )
    for line in path.read_bytes().splitlines():
        assert line.isascii() and len(line) < 16 * 1024
        json.loads(line)["sequence"]
    assert len(path.read_bytes().splitlines()) == 2
    assert harmless(shown(path)) and harmless(shown("--json", path))
    assert [json.loads(line)["sequence"] for line in shown("--json", path).splitlines()] == [1, 2]


def test_on_a_terminal_nothing_but_our_own_colours_is_added(path):
    append(path, *({"type": "refuse", "reason": text, "request": text} for text in HOSTILE))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200, markup=False, highlight=False, emoji=False)
    show.table((records.record(line) for line in path.read_bytes().splitlines()), console)
    plain = screen.getvalue()
    for code in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m", "\x1b[1;31m"):
        plain = plain.replace(code, "")
    assert harmless(plain) and "[bold red]markup[/]" in plain and ":smile:" in plain


def test_on_a_narrow_terminal_times_differ_and_a_failure_has_its_last_words(path):
    run = {"run": "0123456789abcdef", "command": "create", "job": "default", "repository": "/srv/borg/web1"}
    append(path, {"type": "accept", **run, "request": "run default --log=json"})
    append(path, {"type": "exit", "outcome": "failed", **run, "said": ["borg: first", "borg: no such repository"]})
    for width, cells in (
        (80, ("01234567", "no such", "create default")),
        (200, ("0123456789abcdef", "borg: no such repository")),
    ):
        screen = io.StringIO()
        show.table(
            (records.record(line) for line in path.read_bytes().splitlines()),
            Console(file=screen, width=width, height=9),
        )
        times = [json.loads(line)["time"][:19] for line in path.read_bytes().splitlines()]
        assert all(time in screen.getvalue() for time in times), screen.getvalue()
        assert all(cell in screen.getvalue() for cell in cells) and "first" not in screen.getvalue()


RUN = {"run": "0123456789abcdef", "policy": "/etc/borgctl/web1.yaml", "key": f"SHA256:{'k' * 43}", "peer": "192.0.2.1"}
ARGV = ["borg", "extract", "::web1-default-2026-11-23T04:05:06", "etc/fstab"]
WINDOW = {**RUN, "command": "window", "job": None, "repository": "/srv/borg/web1"}
TEST = {**RUN, "command": "hello", "job": None, "repository": None}


@pytest.mark.parametrize(
    ("records_of", "about"),
    [
        ([{"type": "window", **WINDOW, "argv": ARGV, "login": 1000, "uid": 0, "pid": 4711}], " ".join(ARGV)),
        ([{"type": "accept", **WINDOW, "request": "window"}], "window /srv/borg/web1"),
        ([{"type": "accept", **TEST, "request": "hello --log=json"}], "hello"),
        ([{"type": "exit", **TEST, "outcome": "ok", "detail": f"'/etc/{'x' * 40}' has mode 0644"}], "has mode 0644"),
    ],
)
@pytest.mark.parametrize("printed", [show.table, lambda found, to: [show.line(record, to) for record in found]])
def test_every_row_keeps_its_columns_on_a_narrow_terminal(path, records_of, about, printed):
    append(path, *records_of)
    screen = io.StringIO()
    printed([records.record(line) for line in path.read_bytes().splitlines()], Console(file=screen, width=80, height=9))
    lines = [line for line in screen.getvalue().splitlines() if not line.startswith("time")]
    assert re.fullmatch(r"20\S{17}Z  1 +\w+( ok)? +01234567  \S.*", lines[0])
    assert lines[0].index("01234567") == 48 and all(line[:58].isspace() for line in lines[1:]), lines
    words = "".join(line[58:] for line in lines)
    assert about.replace(" ", "") in words.replace(" ", "") and "SHA256" not in words


LINES = [
    b"",
    b"\0" * 1000,
    b"\xff\xfe",
    b'{"type": 5}',
    b'{"type": "exit", "outcome": {"a": [1]}, "time": 7, "sequence": [], "run": {}, "peer": ["x"]}',
    b'{"type": "alert", "a": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"type": "alert", "a": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
    b'{"type": "accept", "n": 1e999, "m": NaN}',
    b'{"type": "accept", "time": "0001-01-01T00:00:00+14:00"}',
    b'{"type": "refuse", "reason": "\\ud800\\u001b[2J", "detail": "\\u2028"}',
    b'{"type": "accept", "n": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_whatever_stands_in_the_file_only_printable_text_is_shown(path, line):
    path.write_bytes(line + b"\n")
    for more in ((), ("--json",), ("--since", "2h"), ("--outcome", "ok"), ("--peer", "x"), ("--run", "a")):
        assert harmless(shown(*more, path))


def test_random_bytes_are_shown_as_such(path):
    dice = random.Random(7)
    path.write_bytes(dice.randbytes(20_000))
    assert harmless(shown(path)) and harmless(shown("--json", path))


def test_records_can_be_chosen(path):
    append(
        path,
        {"type": "accept", "run": "aa11", "peer": "192.0.2.1", "command": "create", "job": "default"},
        {"type": "exit", "run": "aa11", "peer": "192.0.2.1", "outcome": "ok"},
        {"type": "refuse", "run": "bb22", "peer": "2001:db8::1", "reason": "unknown-job", "request": "run x"},
        {"type": "refuse", "run": "cc33", "peer": None, "reason": "empty-request", "request": ""},
    )

    def numbers(*words):
        return [json.loads(line)["sequence"] for line in shown("--json", *words, path).splitlines()]

    assert numbers() == [1, 2, 3, 4]
    assert numbers("--outcome", "refused") == [3] and numbers("--outcome", "malformed") == [4]
    assert numbers("--outcome", "ok") == [2] and numbers("--outcome", "refuse") == [3, 4]
    assert numbers("--peer", "192.0.2.1") == [1, 2] and numbers("--peer", "local") == [4]
    assert numbers("--run", "aa") == [1, 2] and numbers("--last", "1") == [4] and numbers("--last", "0") == [1, 2, 3, 4]
    assert numbers("--since", "1h") == [1, 2, 3, 4] and numbers("--since", "2099-01-01") == []
    text = shown(path)
    assert "create default" in text and "refuse refused" in text and "unknown-job" in text


@pytest.mark.parametrize("word", ["foo", "OK", "", "ok,failed", "\x1b[2J"])
def test_an_outcome_that_no_record_has_is_refused_with_those_that_there_are(path, word):
    append(path, {"type": "exit", "outcome": "ok"})
    with pytest.raises(BadValue) as told:
        CliRunner().invoke(app, ["audit", "show", "--outcome", word, str(path)], catch_exceptions=False)
    assert "expected an outcome: ok, warning, failed, " in str(told.value) and str(told.value).isprintable()


def test_every_outcome_and_type_of_record_that_the_gate_writes_can_be_asked_for(path):
    """Each test with a gate checks that no log has others (`records` in tests/gate/test_main.py)."""
    for word in (*records.OUTCOMES, *records.TYPES):
        assert records.known_outcome(word) == word
    assert {"refused", "malformed", "busy", "limit", "disconnected", "hook-failed", "internal"} <= set(records.OUTCOMES)


def test_older_parts_come_first(path):
    append(path, {"type": "exit"})
    os.rename(path, f"{path}.1")
    append(path, {"type": "exit"})
    assert [json.loads(line)["sequence"] for line in shown("--json", path).splitlines()] == [1, 2]


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "99999999d"), ("--last", "-1")])
def test_words_that_make_no_sense_are_errors(path, words):
    append(path, {"type": "exit"})
    done = CliRunner().invoke(app, ["audit", "show", *words, str(path)])
    assert done.exit_code != 0


FOLLOW = """
import sys
sys.argv = ["borgctl", "audit", "show", "--json", "--follow", "--outcome", "ok", sys.argv[1]]
from borgctl.cli.app import main
main()
"""


def test_follow_shows_what_comes_and_goes_on_after_a_rotation(path):
    append(path, {"type": "exit", "outcome": "ok", "n": 1})
    with programs.ended(programs.started(FOLLOW, path, stdout=programs.subprocess.PIPE)) as process:
        assert json.loads(process.stdout.readline())["n"] == 1
        append(path, {"type": "exit", "outcome": "ok", "n": 2}, {"type": "refuse", "reason": "unknown-job"})
        assert json.loads(process.stdout.readline())["n"] == 2
        os.rename(path, f"{path}.1")
        append(path, {"type": "exit", "outcome": "ok", "n": 3})
        assert json.loads(process.stdout.readline())["n"] == 3
        os.truncate(path, 0)
        append(path, {"type": "exit", "outcome": "ok", "n": 4})
        assert json.loads(process.stdout.readline())["n"] == 4
