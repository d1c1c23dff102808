"""The table of reasons."""

import re
from pathlib import Path
from types import CodeType
from typing import get_args

import pytest
from stage import TOP

import borgctl
from borgctl import errors
from borgctl.errors import BorgctlError
from borgctl.reasons import _TABLE, REASONS, Code

SOURCES = [
    file
    for file in sorted(Path(borgctl.__file__).parent.rglob("*.py"))
    if not {"cli", "pull"} & set(file.parts) and file != Path(errors.__file__)
]
STATUSES = {1, 65, 66, 69, 70, 74, 76, 77, 78, 124}
OUTCOMES = {"refused", "malformed", "busy", "limit", "disconnected", "hook-failed", "internal", "failed", "warning"}


def test_each_code_stands_once():
    assert len(REASONS) == len(_TABLE)


@pytest.mark.parametrize("reason", _TABLE, ids=lambda reason: reason.code)
def test_a_reason_has_a_known_status_a_known_outcome_and_one_sentence(reason):
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", reason.code)
    assert reason.status in STATUSES and reason.outcome in OUTCOMES
    assert (reason.status == 1) == (reason.outcome == "warning")
    assert reason.advice and "\n" not in reason.advice and not reason.advice.endswith(".")
    assert reason.advice[0].islower()


def constants(code):
    """Return every text in a code object and those within it."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    texts = {const for const in code.co_consts if isinstance(const, str)}
    return texts.union(*map(constants, inner))


def test_each_reason_is_given_somewhere():
    """In a program as it runs, whatever comments and documents say."""
    given = set().union(*(constants(compile(file.read_bytes(), file, "exec")) for file in SOURCES))
    assert set(REASONS) - given == set()


def test_the_type_of_codes_has_those_of_the_table():
    """So the type checker finds a reason that is given and has no row."""
    assert get_args(Code) == tuple(REASONS)


def test_what_is_malformed_has_76_and_what_is_refused_77_or_78():
    for reason in _TABLE:
        assert (reason.status == 76) == (reason.outcome == "malformed")
        assert (reason.status in (77, 78)) == (reason.outcome == "refused")
        assert not (reason.retry and reason.status in (76, 77, 78))


def test_an_error_carries_its_reason_its_detail_and_a_hint():
    error = BorgctlError("unknown-job", "no job 'x'")
    assert (error.reason.status, error.detail, str(error)) == (77, "no job 'x'", "no job 'x'")
    assert error.hint == error.reason.advice
    assert BorgctlError("unknown-job", "x", "try y").hint == "try y"


def test_the_page_of_reasons_has_every_code():
    page = TOP / "docs/reasons.md"
    if page.exists():
        text = page.read_text("utf-8")
        for reason in _TABLE:
            assert reason.code in text
