"""Paths that a peer chose: no symlink leads one of them elsewhere."""

import contextlib
import os

import pytest

from borgctl import sources
from borgctl.errors import BorgctlError
from borgctl.values import SourcePath


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "real/below/file").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/up").symlink_to("/etc")
    (tmp_path / "real/loop").symlink_to("loop")
    return tmp_path


def checked(*paths):
    sources.check([SourcePath(str(path)) for path in paths])


def refused(path):
    with pytest.raises(BorgctlError) as caught:
        checked(path)
    assert caught.value.reason.code == "source-refused"
    return caught.value.detail


def test_real_files_and_directories_are_taken(tree):
    checked(tree, tree / "real", tree / "real/below/file", "/", "/etc/passwd")


def test_a_missing_path_is_borgs_to_report(tree):
    checked(tree / "none", tree / "none/below", tree / "real/none")


@pytest.mark.parametrize("path", ["link/below", "link/below/file", "real/up/shadow", "real/loop/x", "link/none/x"])
def test_a_symlink_among_the_parents_is_refused(tree, path):
    assert "symlink" in refused(tree / path)


def test_the_last_component_may_be_a_symlink_which_borg_keeps_as_one(tree):
    checked(tree / "link", tree / "real/up", tree / "real/loop")


def test_a_file_among_the_parents_is_refused(tree):
    refused(tree / "real/below/file/x/y")


def test_a_name_that_is_too_long_is_refused(tree):
    refused(tree / ("x" * 300) / "y")


def test_one_bad_path_spoils_all(tree):
    with pytest.raises(BorgctlError):
        checked(tree / "real", tree / "link/below", "/etc")


def test_nothing_stays_open(tree):
    before = len(os.listdir("/proc/self/fd"))
    for path in ("real/below/file", "link/below", "none/x", "real/below/file/x"):
        with contextlib.suppress(BorgctlError):
            checked(tree / path)
    assert len(os.listdir("/proc/self/fd")) == before
