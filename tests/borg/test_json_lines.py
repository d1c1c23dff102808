"""Lines of borg's --log-json: an object of the name that is wanted, or nothing."""

import pytest

from borgctl.borg.json_lines import named


def test_an_object_of_this_name_is_read():
    assert named('{"type": "file_status", "status": "A"}', "type", "file_status") == {
        "type": "file_status",
        "status": "A",
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "file_status",
        '"file_status"',
        '["file_status"]',
        '{"type": "file_status"',
        '{"type": "other", "status": "file_status"}',
        '{"type": ["file_status"]}',
        '{"name": "file_status"}',
        "[" * 100_000 + '"file_status"',
    ],
    ids=lambda line: line[:20],
)
def test_any_other_line_is_none(line):
    assert named(line, "type", "file_status") is None
