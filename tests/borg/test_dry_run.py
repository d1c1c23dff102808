"""The list of a dry run is counted."""

import json

import pytest

from borgctl.borg.dry_run import DryRun


def status(letter, path="/etc/x"):
    return json.dumps({"type": "file_status", "status": letter, "path": path})


@pytest.mark.parametrize("shown", [True, False])
def test_what_is_listed_is_counted_and_passed_on_only_where_it_is_shown(shown):
    listed = DryRun(shown)
    for letter in "--x-":
        assert listed.take(status(letter), None) == (status(letter) if shown else None)
    assert (listed.saved, listed.left_out) == (3, 1)
    assert "3 files and directories would be saved, 1 are left out" in str(listed)
    assert "not opened" in str(listed)


@pytest.mark.parametrize(
    "line", ['{"type": "log_message", "message": "x"}', "file_status", '"file_status"', '["file_status"]', "", "{"]
)
def test_another_line_is_what_is_made_of_it(line):
    listed = DryRun(shown=False)
    assert listed.take(line, None) == line
    assert listed.take(line, lambda text: f"<{text}>") == f"<{line}>"
    assert listed.take(line, lambda _: None) is None
    assert (listed.saved, listed.left_out) == (0, 0)


def test_a_line_that_is_nested_without_end_is_no_status():
    line = '{"file_status": ' + "[" * 100_000
    assert DryRun(shown=False).take(line, lambda _: None) is None


def test_where_a_filter_hides_some_there_is_no_count():
    assert "would be saved" not in str(DryRun(shown=False, counted=False))
