"""What coverage and mutants found untested in the policy language; each is a behaviour that somebody relies on."""

import dataclasses
import os
import re

import pytest
import stage

import borgctl
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FLAG
from borgctl.borg.variables import SETTABLE
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import locations
from borgctl.policy.judge import Facts, judge
from borgctl.policy.model import Job, Repository
from borgctl.policy.placeholders import Names, Template
from borgctl.values import JobName, RepositoryPath, SocketPath
from borgctl.wire.request import Request, RunOptions, Window, render
from borgctl.wire.request_parser import announced_socket, parse, split

KINDS = {f"{c.name}-{n}": k for c in COMMANDS.values() for n, o in c.options.items() for k in (o.job, o.request) if k}


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    return stage.policies(tmp_path_factory.mktemp("policies"))


def refusal(call, *arguments):
    with pytest.raises(BorgctlError) as caught:
        call(*arguments)
    return caught.value


# ---- found by the proofs


@pytest.mark.parametrize(
    "kind", [k for k in (KINDS | SETTABLE).values() if k is not FLAG], ids=lambda kind: kind.expected
)
def test_two_dashes_are_no_value_as_argparse_would_lose_them(kind):
    """Python before 3.13 takes the dashes out of an attached value too: `--comment=--` is an empty list to borg."""
    with pytest.raises(BadValue):
        kind.check("--")


def test_keep_last_and_keep_secondly_are_one_option_to_borg_and_exclude_each_other():
    assert refusal(parse, b"borg prune --keep-last=5 --keep-secondly=7").reason.code == "bad-words"


# ---- found by coverage


@pytest.mark.parametrize("text", ["{hostname:%Y}", "a-{job:x}", "{now}-{hostname:1}"])
def test_only_now_takes_a_format(text):
    with pytest.raises(BadValue, match=r"only \{now\} takes a format"):
        Template(text)


def test_a_template_reads_as_it_is_written_in_the_policy():
    assert f"{Template('{hostname}-{now:%Y}')}" == "{hostname}-{now:%Y}"


def test_a_user_without_a_password_entry_has_a_log_all_the_same(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert locations.home() == "/"
    assert locations.state_directory().endswith("/.local/state/borgctl")
    assert locations.default_log().startswith(locations.state_directory())


class Unheard:
    """An order that a later version might have, and forget to judge."""


def test_an_order_that_nobody_knows_is_not_allowed(policies):
    with pytest.raises((BorgctlError, AssertionError)):
        judge(policies["jobs"], Request(Unheard()), stage.FACTS)


def test_an_order_that_nobody_knows_is_not_written_on_the_wire():
    with pytest.raises((BorgctlError, AssertionError)):
        render(Request(Unheard()))


# ---- found by mutants


def test_a_window_is_refused_as_closed_and_not_as_something_else(policies):
    assert refusal(judge, policies["jobs"], Request(Window(), RunOptions()), stage.FACTS).reason.code == "window-closed"


TOLD = [
    # what is asked, the reason's code, what the log says: the thing by name, so that a person finds it
    ("jobs", "", "empty-request", "the request is empty"),
    ("jobs", "hello 'a", "bad-quoting", """special characters outside single quotes near "'a\""""),
    ("jobs", "run a(b", "bad-quoting", "special characters outside single quotes near 'a(b'"),
    ("jobs", "window", "window-closed", "FILE says 'window: no'"),
    ("jobs", "a " * 129, "request-too-long", "the request has 129 words"),
    ("jobs", "a" * 16385, "request-too-long", "the request has 16385 bytes"),
    ("jobs", "hello\t", "not-printable", "the request has bytes that are not printable ASCII"),
    ("jobs", "run", "bad-words", "'run' needs a job's name"),
    ("jobs", "walk", "unknown-verb", "unknown verb 'walk'"),
    ("jobs", "run -x", "bad-value", "bad job name '-x': expected letters, digits, '_', '.', '-'"),
    (
        *("jobs", "hello --rsh=x", "unknown-option"),
        "unknown option '--rsh=x' (expected --repository=, --socket=, --log=, --seen=)",
    ),
    ("jobs", "hello --log=text --log=json", "conflicting-values", "--log is given two values"),
    ("jobs", "borg", "bad-words", "'borg' needs a subcommand"),
    ("jobs", "borg serve", "unknown-command", "'serve' is not a subcommand that a request can name"),
    ("jobs", "borg list --json --json", "bad-words", "an option is given twice"),
    ("jobs", "borg list --first 1 --last 1", "bad-words", "--first and --last exclude each other"),
    ("jobs", "borg list --rsh", "unknown-option", "'--rsh' is not an option that a request can give to 'list'"),
    ("jobs", "borg list --json=yes", "bad-value", "--json takes no value"),
    ("jobs", "borg list --last", "bad-value", "--last needs a value"),
    ("jobs", "borg prune ::a", "bad-words", "'prune' takes no archive"),
    (
        *("jobs", "borg create /etc", "bad-words"),
        "'create' needs an archive, written ::NAME, before its paths",
    ),
    ("jobs", "borg list ::a /etc /home", "bad-words", "'list' takes no operand like '/etc'"),
    ("jobs", "borg create ::a", "bad-words", "'create' needs a path"),
    ("jobs", "run none", "unknown-job", "no job 'none' in FILE"),
    (
        "jobs",
        "run default --socket=/run/x",
        "transport-not-offered",
        "transport 'socket' is not in 'transports' of FILE",
    ),
    ("several", "run default", "repository-needed", "FILE has 2 repositories, the request names none"),
    ("jobs", "run default --repository=/x", "unknown-repository", "repository '/x' is not in FILE"),
    ("jobs", "borg create ::a /etc", "command-not-offered", "'create' is not in 'commands' of FILE"),
    ("commands", "borg info --first 1", "option-not-offered", "--first is not offered at FILE:LINE"),
    ("commands", "borg create ::a /root", "path-not-offered", "'/root' is outside the paths offered at FILE:LINE"),
    ("commands", "borg list ::a", "names-not-disclosed", "a listing of an archive discloses names of files"),
    ("commands", "borg init", "encryption-required", "'init' needs --encryption="),
]


@pytest.mark.parametrize(("name", "line", "code", "detail"), TOLD, ids=[f"{row[1][:30]}-{row[2]}" for row in TOLD])
def test_the_log_names_what_was_refused(policies, name, line, code, detail):
    policy = policies[name]
    error = refusal(lambda: judge(policy, parse(line.encode()), stage.FACTS))
    told = re.sub(r":[0-9]+$", ":LINE", error.detail.replace(policy.file, "FILE"))
    assert (error.reason.code, told) == (code, detail)


def test_a_job_that_a_strange_host_spoils_is_told_with_its_line_and_never_run(policies):
    """The path of the repository is judged first, then the archive's name and the values of options."""
    error = refusal(judge, policies["several"], parse(b"run default --repository=/srv/open"), facts("a/b"))
    line = policies["several"].jobs["default"].line
    told = error.detail.replace(policies["several"].file, "FILE")
    assert error.reason.code == "policy-invalid" and told.startswith(f"FILE:{line}: bad archive name 'a/b-default-")
    error = refusal(judge, policies["jobs"], parse(b"run default"), facts("a b"))
    assert error.reason.code == "policy-invalid" and error.detail.startswith("bad repository path '/srv/borg/a b'")


def facts(hostname):
    return Facts(Names(hostname, "", stage.NOW))


def test_a_near_end_of_quotes_is_quoted_in_the_log_and_no_more_than_40_characters():
    error = refusal(parse, b"x " + b'"' * 100)
    assert error.detail == "special characters outside single quotes near " + repr('"' * 40)


def test_two_repositories_that_become_one_path_are_told_as_such(policies):
    twice = (Repository(Template("/srv/{hostname}"), True, 2), Repository(Template("/srv/web1"), True, 3))
    policy = dataclasses.replace(policies["jobs"], repositories=twice)
    error = refusal(judge, policy, parse(b"run default"), stage.FACTS)
    assert error.detail == f"{policy.file}: two entries of 'repositories' are the same path"


def test_an_open_mode_is_told_by_its_name(policies):
    init = Job(JobName("init"), "init", 9, (("encryption", "authenticated"),))
    policy = dataclasses.replace(policies["jobs"], jobs={"init": init})
    error = refusal(judge, policy, parse(b"run init"), stage.FACTS)
    assert error.detail == "--encryption=authenticated lets the server read the data"


def test_what_hello_answers_is_this_and_no_more(policies):
    several = judge(policies["several"], parse(b"hello"), stage.FACTS).offer
    assert several == {
        "protocol": 1,
        "version": borgctl.__version__,
        "policy": f"sha256:{policies['several'].digest}",
        "jobs": [{"name": "default", "command": "create"}],
        "commands": {
            "check": {"options": ["repository-only"]},
            "create": {"options": []},
            "info": {"options": []},
            "init": {"options": ["encryption"]},
            "list": {"options": ["exclude", "json"]},
        },
        "transports": ["socket", "stdio"],
        "repositories": ["/srv/borg/web1", "/srv/open"],
    }


def test_a_job_and_an_order_become_launches_that_say_where_they_come_from(policies):
    policy = policies["several"]
    job = judge(policy, parse(b"run default --repository=/srv/open --log=json"), stage.FACTS)
    assert (job.job, job.requested, job.log, job.disclosed) == ("default", False, "json", True)
    assert job.rule == f"{policy.file}:{policy.jobs['default'].line}"
    order = judge(policy, parse(b"borg --repository=/srv/open info ::a"), stage.FACTS)
    assert (order.job, order.requested, order.log, order.disclosed) == (None, True, "text", True)
    assert (order.rule, str(order.archive)) == (f"{policy.file}:{policy.commands['info'].line}", "a")


def test_the_socket_to_remove_is_the_first_that_is_one():
    assert announced_socket(b"run x --socket=bad --socket=/run/a --socket=/run/b") == SocketPath("/run/a")
    assert announced_socket(b"run x --socket=bad", {"BORG_SOCKET": "/run/c"}) == SocketPath("/run/c")
    assert announced_socket(b"\xff", {"BORG_SOCKET": "/run/c"}) == SocketPath("/run/c")
    assert announced_socket(None, {}) is None


def test_blanks_around_and_between_words_are_no_words():
    assert split(b"  run   default  ") == ["run", "default"]
    assert split(b"X  X X") == ["X", "X", "X"]


def test_a_value_may_hold_an_equals_sign():
    assert parse(b"hello --repository=/srv/a=b").options == RunOptions(RepositoryPath("/srv/a=b"))


WIRE = [
    "hello",
    "hello --repository=/srv/a --socket=/run/x --log=json --seen=7:" + "0a" * 32,
    "window --log=json",
    "run default --repository=/srv/a",
    "borg prune --keep-daily=7 --list --",
    "borg --log=json list --json -- ::a",
    "borg create --stats '--comment=a b' -- ::a /etc '/home/my files'",
]


@pytest.mark.parametrize("line", WIRE)
def test_a_request_is_written_as_this_line(line):
    assert render(parse(line.encode())) == line
