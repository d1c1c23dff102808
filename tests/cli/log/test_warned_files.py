"""`borgctl audit show --files`: every file that borg warned of, for people and programs, and only printable text."""

import json
import os

import pytest
from typer.testing import CliRunner

from borgctl.audit.log import Log
from borgctl.cli.app import app
from borgctl.errors import BadValue

RUN, OTHER = "aa" * 8, "ab" * 8


@pytest.fixture
def path(tmp_path):
    (tmp_path / "log").mkdir(mode=0o700)
    return tmp_path / "log/audit.jsonl"


def ran(path, run, *warnings, **more):
    log = Log.open(str(path), syslog=False)
    with log.warned_files(run) as files:
        for warning in warnings:
            files.add(*warning)
    counts = {kind: sum(one == kind for one, _ in warnings) for kind, _ in warnings}
    log.append({"type": "exit", "run": run, "outcome": "warning", "warnings": counts, "listed": files.listed, **more})
    log.close()


def shown(path, *words):
    done = CliRunner().invoke(app, ["audit", "show", *words, str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_every_file_can_be_found(path):
    ran(path, RUN, *(("vanished", f"src/v{number}") for number in range(703)), ("unreadable", "src/x\x1b[2J\u202e"))
    lines = shown(path, "--run", "aa", "--files").splitlines()
    assert len(lines) == 704 and lines[0] == "vanished    src/v0"
    assert lines[-1] == r"unreadable  src/x\x1b[2J\u202e"
    told = json.loads(shown(path, "--run", RUN, "--files", "--json"))
    assert (told["run"], len(told["warnings"]), told["left_out"]) == (RUN, 704, 0)
    assert told["warnings"][-1] == {"kind": "unreadable", "text": "src/x\x1b[2J\u202e"}
    assert "703 vanished, 1 unreadable" in shown(path)


def test_it_says_how_many_the_list_had_no_room_for(path):
    ran(path, RUN, ("other", "x"), warnings={"other": 5})
    assert shown(path, "--run", RUN, "--files").endswith("and 4 more, for which the list had no room\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--run", "a"), "2 runs have an id that begins with 'a'"),
        ((), "2 runs have"),
        (("--run", "c"), "no run in this log has"),
        (("--run", OTHER), "warned of no file"),
        (("--run", RUN), "no list"),
    ],
)
def test_where_there_is_no_list_it_says_why(path, words, text):
    ran(path, RUN, ("other", "x"))
    ran(path, OTHER)
    os.unlink(path.parent / "audit.jsonl.files" / RUN)
    with pytest.raises(BadValue, match=text):
        CliRunner().invoke(app, ["audit", "show", "--files", *words, str(path)], catch_exceptions=False)


def test_counts_of_a_log_that_somebody_else_has_written_are_no_counts(path):
    ran(path, RUN, warnings={"other": "x", "\x1b": 3, "changed": True})
    assert "\x1b" not in shown(path)
    ran(path, "../../../etc/passwd", warnings={"other": 1})
    with pytest.raises(BadValue, match="no list"):
        CliRunner().invoke(app, ["audit", "show", "--files", "--run", "..", str(path)], catch_exceptions=False)


@pytest.mark.parametrize("content", ["x", "{\n", "[" * 100_000, "\xff"])
def test_a_list_that_no_gate_has_written_is_an_error(path, content):
    ran(path, RUN, ("other", "x"))
    (path.parent / "audit.jsonl.files" / RUN).write_text(content)
    with pytest.raises(BadValue, match="no gate has written"):
        CliRunner().invoke(app, ["audit", "show", "--files", "--run", RUN, str(path)], catch_exceptions=False)
