"""The text of a new target file: whole, short, and without what the defaults say."""

import re

from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.targets import defaults, template
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import read

NAME, FOLDERS = TargetName("web1"), Folders("/etc/borgpull", "/var/lib/borgpull")
WORDS = {"host": "web1", "repository": "/srv/x", "quota": "1T"}


@given(st.sets(st.sampled_from(defaults.KEYS)))
def test_a_new_file_is_read_and_says_nothing_that_the_defaults_say(said: set[str]) -> None:
    text = template.text(NAME, WORDS, said, local=False)
    assert read(text, NAME, FOLDERS).host == "web1"
    keys = set(re.findall(r"(?m)^#?([a-z_]+):", text))
    assert keys & {"jobs", "expect"} == {"jobs", "expect"} - said


def test_what_is_commented_out_can_be_used_as_it_stands() -> None:
    lines = template.text(NAME, WORDS, (), local=False).splitlines()
    for index, line in enumerate(lines):
        if line.startswith("#") and not line.startswith(("# ", "#host_key")):
            bare = [*lines[:index], line.removeprefix("#"), *lines[index + 1 :]]
            assert read("\n".join(bare), NAME, FOLDERS), line


def test_a_local_target_has_no_line_for_a_host_key() -> None:
    words = {"transport": "local", "policy": "/etc/x.yaml", "repository": "/srv/x", "quota": "1T"}
    text = template.text(NAME, words, (), local=True)
    assert "host_key" not in text and read(text, NAME, FOLDERS).transport == "local"
