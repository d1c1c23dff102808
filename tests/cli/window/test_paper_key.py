"""A key to type from paper, compared with the output of the real borgs."""

import subprocess

import pytest

from borgctl.cli.window.paper_key import lines
from borgctl.errors import BadValue


@pytest.mark.e2e
@pytest.mark.parametrize("series", ["borg_14", "borg_12"])
def test_the_lines_are_those_of_borgs_own_paper_key(tmp_path, request, series):
    borg = request.getfixturevalue(series).path
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(tmp_path), "BORG_PASSPHRASE": "x"}

    def told(*words):
        return subprocess.run([borg, *words], env=env, capture_output=True, timeout=120, check=True).stdout

    told("init", "--encryption", "repokey", tmp_path / "repository")
    exported = told("key", "export", tmp_path / "repository")
    paper = told("key", "export", "--paper", tmp_path / "repository").decode().splitlines()
    assert lines(exported) == paper[paper.index("BORG PAPER KEY v1") + 1 :]
    assert len(lines(exported)) > 20


def test_a_damaged_key_is_no_key():
    with pytest.raises(BadValue, match="damaged"):
        lines(b"BORG_KEY " + b"a" * 64 + b"\nabc\n")
