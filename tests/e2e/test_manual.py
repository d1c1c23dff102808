"""The manual pages, judged by the two programs that read such pages: groff and mandoc."""

import re
import sys
from pathlib import Path

import pytest
from machines import run

sys.path.insert(0, str(Path(__file__).parents[2] / "docs/man"))

import pages

each_page = pytest.mark.parametrize("name", pages.names())
# A page is of a release; the day it was made would make each build another.
NO_DATE = re.compile(r"mandoc: \S+ WARNING: missing date, using \"\": TH\n")


@pytest.fixture
def path(name, tmp_path):
    path = tmp_path / name
    path.write_text(pages.page(name))
    return path


@each_page
def test_groff_and_mandoc_have_nothing_to_say_against_a_page(path):
    judged = run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", path])
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
    judged = run(["mandoc", "-T", "lint", "-W", "warning", path])
    assert NO_DATE.sub("", judged.stdout) == "", judged.stdout
    assert judged.stderr == ""


@each_page
def test_a_page_shows_every_word_of_its_markdown(name, path):
    shown = run(["groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=2000n", path]).stdout
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)|^\|[-|]+\|$", " ", pages.markdown(name), flags=re.DOTALL | re.MULTILINE)
    words = set(re.findall(r"[A-Za-z0-9_./{}:-]{3,}", text.replace("`", "").replace("*", "")))
    lost = {word for word in words if word.lower().strip(".:") not in shown.lower()}
    assert lost - {"key", "type", "what", "happened"} == set()  # a table's columns


def test_the_pages_fit_the_usual_terminal(tmp_path):
    for name in pages.names():
        path = tmp_path / name
        path.write_text(pages.page(name))
        shown = run(["groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=80n", path]).stdout
        assert [line for line in shown.splitlines() if len(line) > 100] == []
