"""A few guards taken out, as `make prove-guards` does with all, and what is said of a row that shows nothing."""

from dataclasses import replace
from types import SimpleNamespace

import guards
import prove_guards
import pytest
from guards import Row

ROWS = {row.id: row for row in guards.rows()}
SAMPLE = ("judge-path", "custody-sticky", "counts-keys", "rpc-compact", "nonce-bound", "sandbox-landlock")
VALUE = ROWS["path-by-components"]


def told(row: Row) -> str:
    (proof,) = prove_guards.proofs([row], jobs=1)
    return proof.told


@pytest.mark.parametrize("name", SAMPLE)
def test_a_guard_that_is_taken_out_is_missed(name):
    assert told(ROWS[name]) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"old": "Tell whether `other` is this path", "new": "Tell whether `other` is that path"}, "NOT CAUGHT: "),
        ({"new": "no_such_name"}, "the patch makes no sense: NameError"),
        ({"new": "("}, "no failure but an error: pytest ended with "),
        ({"old": "no such code"}, "path-by-components: the patch does not apply: "),
        ({"test": "tests/unit/test_values.py::test_none"}, "the test does not run as things are: pytest ended with "),
        ({"test": "tests/unit/none.py::test_none"}, "the test does not run as things are: pytest ended with "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_row_that_shows_nothing_is_told_as_that(change, said):
    assert told(replace(VALUE, **change)).startswith(said)


def test_the_exit_status_is_that_of_the_table(capsys, monkeypatch):
    monkeypatch.setattr(prove_guards.guards, "rows", lambda: (VALUE, replace(VALUE, id="lost", old=VALUE.new + "?")))
    monkeypatch.setattr(prove_guards.children, "adopt_orphans", lambda: None)
    monkeypatch.setattr(prove_guards, "_ADOPTING", SimpleNamespace(set=lambda: None, is_set=lambda: False))
    monkeypatch.setattr(prove_guards.children, "kill_descendants", lambda: None)
    assert prove_guards.main([VALUE.id]) == 0
    assert prove_guards.main([]) == 1
    said = capsys.readouterr().out
    assert f"yes {VALUE.id}" in said and "NO  lost" in said and "1 of 2 guards caught" in said
