"""What coverage and mutants found untested in the policy language; each is a behaviour that somebody relies on."""

import os

import pytest
import stage

from borgctl import policyfile
from borgctl.errors import BadValue, BorgctlError
from borgctl.judge import judge
from borgctl.request import Options, Request, Window, parse, render, split
from borgctl.templates import Template
from borgctl.vocabulary import COMMANDS, FLAG, SETTABLE

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


def test_a_user_without_a_password_entry_has_a_log_all_the_same(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert policyfile.home() == "/"
    assert policyfile.state_directory().endswith("/.local/state/borgctl")
    assert policyfile.default_log().startswith(policyfile.state_directory())


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
    assert refusal(judge, policies["jobs"], Request(Window(), Options()), stage.FACTS).reason.code == "window-closed"


def test_blanks_around_and_between_words_are_no_words():
    assert split(b"  run   default  ") == ["run", "default"]
