"""Words in units and crontabs are read back as they were."""

import shlex

import pytest

from borgctl.errors import BadValue
from borgctl.pull.units.unit_syntax import command, crontab_command, value, words


def test_plain_words_stay_as_they_are():
    assert words(["-/srv/borg", "/var/lib/x@y"]) == "-/srv/borg /var/lib/x@y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", '"a b"'),
        ("50%", "50%%"),
        ("%i b", '"%%i b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("it's", '"it\'s"'),
        (";", '";"'),
        ("#", '"#"'),
        ("", '""'),
        ("é", '"é"'),
    ],
)
def test_what_systemd_would_take_for_something_else_is_quoted(text, expected):
    assert words([text]) == expected


def test_variables_are_replaced_in_words_and_not_in_the_program():
    assert command(["/opt/$x/borgpull", "$HOME", "${HOME} y"]) == '/opt/$x/borgpull $$HOME "$${HOME} y"'


@pytest.mark.parametrize("path", ["/a'b/borgpull", '/a"b/borgpull', "/a\\b/borgpull"])
def test_a_program_that_systemd_cannot_start_is_refused(path):
    with pytest.raises(BadValue, match="starts no program"):
        command([path, "run"])


def test_a_value_that_is_no_list_of_words_has_its_percents_doubled_and_no_quotes():
    assert value("borgpull:/etc/my keys/50%") == "borgpull:/etc/my keys/50%%"


@pytest.mark.parametrize("text", ["a\nExecStart=/bin/evil", "a\rb", "a\tb", "\0", "\x7f", "\udcff", "\u2028", "\u202e"])
@pytest.mark.parametrize("quote", [lambda text: words([text]), value, lambda text: crontab_command([text])])
def test_what_ends_a_line_or_cannot_be_read_is_refused(text, quote):
    with pytest.raises(BadValue, match="bad word"):
        quote(text)


def test_cron_reads_a_percent_that_is_escaped_and_the_shell_reads_the_rest():
    line = crontab_command(["/opt/my tools/100%/borgpull", "it's"])
    assert "\\%" in line and shlex.split(line.replace("\\%", "%")) == ["/opt/my tools/100%/borgpull", "it's"]
