"""A few guards taken out, as `make prove-guards` does with all, and what is said of a row that shows nothing."""

from dataclasses import replace
from types import SimpleNamespace

import guards
import prove_guards

ROWS = {row.id: row for row in guards.rows()}
SAMPLE = ("judge-path", "path-sticky", "counts-keys", "rpc-compact", "nonce-bound", "sandbox-landlock")
VALUE = ROWS["path-by-components"]
CHANGES = {
    "not-missed": (
        {"old": "Return whether `other` is this path", "new": "Return whether `other` is that path"},
        "NOT CAUGHT: ",
    ),
    "no-name": ({"new": "no_such_name"}, "the patch makes no sense: NameError"),
    "no-code": ({"new": "("}, "no failure but an error: pytest ended with "),
    "elsewhere": ({"old": "no such code"}, "elsewhere: the patch does not apply: "),
    "no-test": (
        {"test": "tests/borg/test_command.py::test_none"},
        "the test does not run as things are: pytest ended with ",
    ),
    "no-file": ({"test": "tests/unit/none.py::test_none"}, "the test does not run as things are: pytest ended with "),
}


def test_a_guard_that_is_taken_out_is_missed_and_a_row_that_shows_nothing_is_told_as_that():
    """They are proved together, as a copy of the tree takes longer than most of the tests."""
    changed = [replace(VALUE, id=name, **change) for name, (change, _) in CHANGES.items()]
    rows = [*(ROWS[name] for name in SAMPLE), *changed]
    told = {proof.row.id: proof.told for proof in prove_guards.proofs(rows, jobs=2)}
    assert {name: told[name] for name in SAMPLE} == dict.fromkeys(SAMPLE, "")
    begins = {name: begin for name, (_, begin) in CHANGES.items()}
    assert {name: told[name][: len(begin)] for name, begin in begins.items()} == begins


def test_the_exit_status_is_that_of_the_table(capsys, monkeypatch):
    monkeypatch.setattr(prove_guards.guards, "rows", lambda: (VALUE, replace(VALUE, id="lost", old=VALUE.new + "?")))
    monkeypatch.setattr(prove_guards.process_tree, "adopt_orphans", lambda: None)
    monkeypatch.setattr(prove_guards, "_ADOPTING", SimpleNamespace(set=lambda: None, is_set=lambda: False))
    monkeypatch.setattr(prove_guards.process_tree, "kill_descendants", lambda: None)
    assert prove_guards.main([VALUE.id]) == 0
    assert prove_guards.main([]) == 1
    said = capsys.readouterr().out
    assert f"yes {VALUE.id}" in said and "NO  lost" in said and "1 of 2 guards caught" in said
