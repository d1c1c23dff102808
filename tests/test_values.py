"""Values that cross a border: what each type refuses, and that nothing else gets in."""

import re

import pytest
import stage
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.values import (
    ArchiveName,
    Head,
    JobName,
    RepositoryPath,
    SocketPath,
    SourcePath,
    boolean,
    choice,
    duration,
    integer,
)

HEAD = "0123456789abcdef" * 4
TYPES = (JobName, RepositoryPath, SocketPath, ArchiveName, SourcePath, Head.read, duration, boolean)
NOT_ASCII_DIGITS = ["١", "１", "²", "߀"]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "text", ["", "\n", "\0", "{", "a\n", "/a\n", "1h\n", "yes\n", f"1:{HEAD}\n", "/a\0", "/{x}", "-"]
)
def test_no_type_takes_nothing_line_ends_nuls_or_braces(kind, text):
    with pytest.raises(BadValue):
        kind(text)


@pytest.mark.parametrize("kind", TYPES)
@given(text=st.text(max_size=40) | st.text("/.ab-:", max_size=12))
def test_a_type_holds_the_very_text_or_raises_bad_value(kind, text):
    value = stage.outcome(BadValue, kind, text)
    if isinstance(value, BadValue):
        assert str(value).isprintable()
        return
    assert "\0" not in text and "{" not in text and "\n" not in text
    if hasattr(value, "text"):
        assert str(value) == value.text == text


@pytest.mark.parametrize("text", ["default", "a", "0", "a.b_c-D", "x" * 64])
def test_job_names_that_are_taken(text):
    assert str(JobName(text)) == text


@pytest.mark.parametrize("text", ["x" * 65, ".a", "-a", "_a", "a b", "a/b", "ä", "a:b", "..", *NOT_ASCII_DIGITS])
def test_job_names_that_are_refused(text):
    with pytest.raises(BadValue):
        JobName(text)


@pytest.mark.parametrize("kind", [RepositoryPath, SocketPath, SourcePath])
@pytest.mark.parametrize(
    "text", ["a", "./a", "~", "~/a", "//a", "/a//b", "/a/", "/.", "/..", "/a/./b", "/a/../b", "/./a"]
)
def test_a_path_is_absolute_and_equal_to_its_normal_form(kind, text):
    with pytest.raises(BadValue):
        kind(text)


@pytest.mark.parametrize("kind", [RepositoryPath, SocketPath])
@pytest.mark.parametrize(
    "text", ["/a b", "/a:b", "/a::b", "/~", "/a'b", '/a"', "/$x", "/a\\b", "/ä", "/a,b", "/a;b", "/a?"]
)
def test_a_path_of_the_server_holds_nothing_that_borg_ssh_or_a_shell_would_read(kind, text):
    with pytest.raises(BadValue):
        kind(text)


def test_lengths_count():
    assert RepositoryPath("/" + "a" * 999)
    assert SocketPath("/" + "a" * 106)
    assert ArchiveName("a" * 200)
    for kind, text in ((RepositoryPath, "/" + "a" * 1000), (SocketPath, "/" + "a" * 107), (ArchiveName, "a" * 201)):
        with pytest.raises(BadValue, match="too long"):
            kind(text)


@pytest.mark.parametrize(
    "text", ["a", "web1-2026-11-23T04:05:06", "a:b", "a.checkpoints", "a@b=c+d", "checkpoint", "a:"]
)
def test_archive_names_that_are_taken(text):
    assert str(ArchiveName(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("-a", ".a", ":a", "a/b", "a::b", "a b", "a*", "{now}", "a\u00e4", "~a", "a'b", "a\\b"),
        *("a.checkpoint", "a.checkpoint.1", "a.checkpoint.99"),
    ],
)
def test_archive_names_that_are_refused(text):
    with pytest.raises(BadValue):
        ArchiveName(text)


@pytest.mark.parametrize("text", ["/", "/etc", "/home/jörg", "/a b", "/a/-x", "/a'\"\\$(x)`", "/...", "/a*", "/日本"])
def test_sources_that_are_taken(text):
    assert str(SourcePath(text)) == text


@pytest.mark.parametrize(
    "text", ["/proc", "/proc/1", "/sys", "/dev/sda", "/a\tb", "/a\x85", "/a\u2028b", "/a\u202eb", "/a\udc80", "/a{b"]
)
def test_sources_that_are_refused(text):
    with pytest.raises(BadValue):
        SourcePath(text)


@pytest.mark.parametrize(
    ("one", "other", "inside"),
    [
        ("/", "/etc", True),
        ("/etc", "/etc", True),
        ("/etc", "/etc/ssh", True),
        ("/etc", "/etcetera", False),
        ("/etc/ssh", "/etc", False),
        ("/etc", "/", False),
        ("/", "/", True),
        ("/a", "/b/a", False),
    ],
)
def test_inside_is_meant_by_components(one, other, inside):
    assert SourcePath(one).contains(SourcePath(other)) == inside


@pytest.mark.parametrize("text", ["1", f"1:{HEAD[:-1]}", f"1:{HEAD}0", f"x:{HEAD}", f"1:{HEAD.upper()}", f"+1:{HEAD}"])
def test_a_mark_of_the_log_is_a_number_and_a_digest(text):
    with pytest.raises(BadValue):
        Head.read(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("30m", 1800), ("12h", 43200), ("366d", 31622400)]
)
def test_durations_are_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["0s", "367d", "1", "h", "1 h", "1H", "-1h", "1.5h", "1h30m", "999999999s", "١h", "1y"]
)
def test_durations_that_are_refused(text):
    with pytest.raises(BadValue):
        duration(text)


@pytest.mark.parametrize("text", ["1", "on", "True", "YES", "y", "null", "~"])
def test_yes_is_yes_and_nothing_else(text):
    assert boolean("yes") and boolean("true") and not boolean("no") and not boolean("false")
    with pytest.raises(BadValue):
        boolean(text)


@pytest.mark.parametrize("text", ["", "1.0", " 1", "1_0", "0x1", "1e1", "9" * 16, "-", *NOT_ASCII_DIGITS])
def test_numbers_that_are_refused(text):
    with pytest.raises(BadValue):
        integer(text, -10, 10)


@given(st.integers(-30, 30))
def test_a_number_is_within_its_bounds(number):
    if -10 <= number <= 10:
        assert integer(str(number), -10, 10) == number
    else:
        with pytest.raises(BadValue):
            integer(str(number), -10, 10)


@given(st.text(max_size=5))
def test_a_choice_is_one_of_the_choices(text):
    if text in ("a", "b"):
        assert choice(text, ("a", "b")) == text
    else:
        with pytest.raises(BadValue, match=re.escape("expected one of: a, b")):
            choice(text, ("a", "b"))
