"""A target as it is in all: every value with its place, and lines that mean the same as the two files."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import CORPORA

from borgctl.pull.targets import origins, targets
from borgctl.pull.targets.defaults import for_target
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.strict_yaml import parse

HERE = CORPORA / "targets"
FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")
NAME = TargetName("web1")
BELOW = (HERE / "defaults/valid/all.yaml").read_text()
SHOWN_WHOLE = sorted(path for path in (HERE / "valid").iterdir() if path.stem != "telling")  # which has secrets
OWN = "host: web1\n\ntags: [web]\njobs: {prune: {deletes: 100}}\n"


def whole(own: str, below: str):
    return for_target(parse(below, "/d"), parse(own, "/t"), "web1")


def target(own: str, below: str) -> targets.Target:
    return targets.from_tree(whole(own, below), NAME, FOLDERS)


def test_each_value_has_the_file_and_line_that_it_comes_from() -> None:
    found = dict(
        re.split(r"  +# ", line) for line in origins.lines(whole(OWN, BELOW), target(OWN, BELOW)) if "#" in line
    )
    assert found["host: web1"] == "/t:1" and found["tags: [web]"] == "/t:3"
    assert found["    deletes: 100"] == "/t:4" and found["    every: 7d"] == "/d:5"
    assert found["repository: /srv/borg/web1"] == "/d:2" and found["port: 2222"] == "/d:1"
    assert found["identity: /etc/borgpull/keys/web1"] == "built in"


@pytest.mark.parametrize("path", SHOWN_WHOLE, ids=lambda path: path.stem)
@pytest.mark.parametrize("below", ["{}", BELOW])
def test_the_lines_are_a_file_that_means_the_same(path, below: str) -> None:
    own = path.read_text()
    lines = origins.lines(whole(own, below), target(own, below))
    again = targets.read("\n".join(lines), NAME, FOLDERS)
    assert again == replace(target(own, below), expect_said=True)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30))
def test_any_words_of_a_reason_come_back_as_they_were(text: str) -> None:
    if not text.isprintable() or not text.strip():
        return
    quoted = text.replace("'", "''")
    own = f"host: web1\npaused: {{until: 2026-12-24, reason: '{quoted}'}}\n"
    lines = origins.lines(whole(own, BELOW), target(own, BELOW))
    assert targets.read("\n".join(lines), NAME, FOLDERS).pause.reason == text


def test_for_programs_each_value_is_an_object_with_its_keys() -> None:
    found = origins.plain(whole(OWN, BELOW), target(OWN, BELOW))
    assert {"key": ["jobs", "prune", "deletes"], "value": "100", "file": "/t", "line": 4} in found
    assert {"key": ["tags"], "value": ["web"], "file": "/t", "line": 3} in found
    built_in = [
        one["key"]
        for one in origins.plain(
            whole("host: a", "quota: 1T\nrepository: '/srv/{target}'"),
            target("host: a", "quota: 1T\nrepository: '/srv/{target}'"),
        )
        if one["file"] is None
    ]
    assert built_in == [["transport"], ["expect"], ["timeout"], ["borg"], ["identity"]]
