"""The options that we know exist in both borgs as we believe, and none is of a forbidden class."""

import contextlib
import json
import subprocess

import draws
import pytest
import stage
from hypothesis import given
from hypothesis import strategies as st
from stage import SUPPORT

from borgctl.borg import forbidden
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FLAG, Kind
from borgctl.borg.variables import ACCEPTABLE, SETTABLE
from borgctl.errors import BadValue

ORACLE = str(SUPPORT / "borg_oracle.py")
CLASSES = json.loads((stage.CORPORA / "words/classes.json").read_text())
REQUESTED = [(c.name, name) for c in COMMANDS.values() for name, option in c.options.items() if option.request]
# Dangerous through borg's placeholders alone: no brace is admitted
PLACEHOLDERS = {("create", "comment"), *((command, "glob-archives") for command in COMMANDS)}


def described(borg):
    done = subprocess.run([borg.python, ORACLE, "describe", *COMMANDS], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.e2e
def test_each_option_of_ours_is_one_of_both_borgs_in_the_same_form(borg_14, borg_12):
    for borg in (borg_14, borg_12):
        parser = described(borg)
        for command in COMMANDS.values():
            for name, option in command.options.items():
                theirs = parser[command.name].get(f"--{name}")
                if tuple(map(int, borg.series.split("."))) < tuple(map(int, option.since.split("."))):
                    assert theirs is None, f"{command.name} --{name} is older than {option.since}"
                    continue
                assert theirs is not None, f"borg {borg.series} {command.name} has no --{name}"
                assert theirs == {"takes_value": option.takes_value, "accumulates": option.repeats}, (
                    command.name,
                    name,
                )


@pytest.mark.e2e
def test_each_word_that_every_launch_has_is_one_of_both_borgs(borg_14, borg_12):
    for borg in (borg_14, borg_12):
        for command, options in described(borg).items():
            for name, takes_value in (("log-json", False), ("umask", True), ("lock-wait", True), ("progress", False)):
                assert options[f"--{name}"]["takes_value"] == takes_value, (borg.series, command, name)


@pytest.mark.parametrize(("command", "name"), REQUESTED)
def test_no_option_of_a_request_runs_writes_or_discloses(command, name):
    classes = CLASSES["common"].get(name, []) + CLASSES[command].get(name, [])
    if (command, name) in PLACEHOLDERS:
        assert not draws.admitted(COMMANDS[command].options[name].request, "{now}")
    else:
        assert classes == []


@pytest.mark.parametrize("name", sorted(CLASSES["common"]))
def test_no_common_option_of_a_dangerous_class_is_known_at_all(name):
    assert all(name not in command.options for command in COMMANDS.values())


def test_what_a_request_may_say_a_job_may_say_too():
    for command, name in REQUESTED:
        option = COMMANDS[command].options[name]
        assert option.takes_value == (option.request is not FLAG)


@pytest.mark.parametrize(("command", "name"), REQUESTED)
def test_a_value_of_a_request_is_one_of_a_job(command, name):
    option = COMMANDS[command].options[name]
    if option.takes_value:
        some = draws.known(option.request)
        assert some and all(draws.admitted(option.job, text) for text in some)


KINDS = {f"{c.name}-{n}": k for c in COMMANDS.values() for n, o in c.options.items() for k in (o.job, o.request) if k}
KINDS |= SETTABLE


FREE_TEXT = ("up to 200", "a borg exclude", "an exclude pattern")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_kind_admits_braces_control_characters_other_scripts_digits_or_a_flood(kind):
    for text in ("{now}", "}", "a\n", "a\0b", "a\x85", "1\n", "x" * 5000):
        assert not draws.admitted(kind, text)
    assert kind.expected.startswith(FREE_TEXT) or not draws.admitted(kind, "\N{ARABIC-INDIC DIGIT THREE}")


@given(st.text(max_size=30))
def test_a_kind_returns_the_text_as_it_stands_or_raises(text):
    for kind in KINDS.values():
        with contextlib.suppress(BadValue):
            assert kind.check(text) == text


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("0", True),
        ("10", True),
        ("11", False),
        ("-1", False),
        ("+1", False),
        ("01", False),
        ("1_0", False),
        (" 1", False),
        ("1 ", False),
        ("1.0", False),
        ("", False),
        ("0x1", False),
    ],
)
def test_a_number_is_plain_decimal_within_its_bounds(text, good):
    assert draws.admitted(Kind("0 to 10", r"0|[1-9][0-9]{0,9}", 10, 0, 10), text) == good


def test_a_passphrase_or_a_program_cannot_come_in_as_a_variable():
    for name in SETTABLE:
        assert not any(
            word in name for word in ("PASS", "RSH", "REPO", "DIR", "PATH", "PYTHON", "LD_", "_OK", "COMMAND")
        )
    assert set(ACCEPTABLE) <= set(SETTABLE)


@pytest.mark.parametrize("word", sorted(forbidden.OPTIONS))
def test_a_forbidden_option_is_in_no_command(word):
    assert all(word not in command.options for command in COMMANDS.values())


@pytest.mark.parametrize("word", sorted(forbidden.COMMANDS))
def test_a_forbidden_command_is_no_command(word):
    assert word not in COMMANDS


def test_a_common_option_of_a_dangerous_class_is_forbidden():
    assert set(CLASSES["common"]) <= set(forbidden.OPTIONS)
