"""The table of guards is whole: each patch applies, each test is there, and each line of SECURITY.md has one."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stage import TOP

sys.path.insert(0, str(TOP / "tests/proofs"))

import guards
from guards import BadRow

ROWS = guards.rows()
SECURITY = (TOP / guards.SECURITY).read_text()


def names(file):
    """Return the tests in a file, as pytest names them."""
    found = set()
    for node in ast.parse((TOP / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_every_patch_applies_once_and_leaves_a_program_that_makes_sense(tmp_path):
    for row in ROWS:
        text, kind = guards.patched(row, (TOP / row.file).read_text()), Path(row.file).suffix
        (tmp_path / f"{row.id}{kind}").write_text(text)
        assert kind != ".yml" or yaml.safe_load(text)
    ruff = [f"{sys.prefix}/bin/ruff", "check", "--no-cache", "--isolated", "--select", "E9,F821,F823", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_every_test_of_the_table_is_there():
    tests = {row.test.partition("::")[0]: set() for row in ROWS}
    for row in ROWS:
        tests[row.test.partition("::")[0]].add(row.test.partition("::")[2].partition("[")[0])
    missing = {
        file: wanted - names(file)
        for file, wanted in tests.items()
        if not (TOP / file).exists() or wanted - names(file)
    }
    assert missing == {}


def test_every_line_of_the_security_page_has_a_guard_and_no_other_has():
    lines = guards.table()["lines"]
    written = (*guards.attackers(SECURITY), *guards.leads(SECURITY))
    assert len(written) == len(set(written)) > 15
    assert sorted(lines.values()) == sorted(written)
    held = {name for row in ROWS for name in row.holds}
    assert set(lines) - held == set()


def test_there_are_as_many_guards_as_were_meant():
    assert len(ROWS) >= 400


def test_every_link_to_the_tests_leads_to_a_heading():
    headings = re.findall(r"(?m)^## (.*)$", (TOP / guards.PAGE).read_text())
    anchors = set(map(guards.anchor, headings))
    assert len(anchors) == len(headings)
    assert set(re.findall(rf"\]\({guards.PAGE}#([^)]*)\)", SECURITY)) == anchors


def test_links_are_put_in_once_whatever_stands_there():
    assert guards.linked(SECURITY) == guards.linked(guards.linked(SECURITY)) == SECURITY
    bare = re.sub(r"\n\[Tests\]\(.*\)\.|\nTests of each row:\n(?:\n- .*)*\n\n", "\n", SECURITY)
    assert "docs/guards.md" not in bare
    assert re.sub(r"\s+", " ", guards.linked(bare)) == re.sub(r"\s+", " ", SECURITY)


@pytest.mark.parametrize("text", ["", "as it was\nas it was\n"])
def test_a_patch_that_does_not_apply_once_is_said(text):
    row = guards.Row("x", "guard", ("server",), "file.py", "as it was", "", "tests/x.py::test_x")
    with pytest.raises(BadRow, match=r"x: the patch does not apply: 'as it was' is [02] times in file\.py"):
        guards.patched(row, text)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "a b"}, "is there twice, or is none"),
        ({"holds": ["no-such-line"]}, "'no-such-line' is not among the 'lines'"),
        ({"holds": []}, "expected id, guard, holds"),
        ({"test": ""}, "expected id, guard, holds"),
    ],
)
def test_a_row_that_is_not_whole_is_an_error(monkeypatch, change, told):
    whole = guards.table()
    whole["guards"] = [{**whole["guards"][0], **change}]
    monkeypatch.setattr(guards, "table", lambda: whole)
    with pytest.raises(BadRow, match=told):
        guards.rows()


def test_an_id_stands_once(monkeypatch):
    whole = guards.table()
    whole["guards"] = whole["guards"][:1] * 2
    monkeypatch.setattr(guards, "table", lambda: whole)
    with pytest.raises(BadRow, match="is there twice"):
        guards.rows()
