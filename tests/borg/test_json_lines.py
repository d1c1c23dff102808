"""A line of borg's --log-json is an object of the wanted name, or nothing."""

import pytest

from borgctl.borg.json_lines import read


def test_an_object_of_this_name_is_read():
    assert read('{"type": "file_status", "status": "A"}', "type", "file_status") == {
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
    assert read(line, "type", "file_status") is None
