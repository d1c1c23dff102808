"""What is printed on the recovery page: no key that somebody else has put in the way, and nothing but a key."""

import os

import pytest
import stage

from borgctl.base import Base
from borgctl.cli.recovery import printed_page
from borgctl.errors import BadValue, BorgctlError
from borgctl.values import RepositoryPath

PATH = RepositoryPath("/srv/borg/web1")
ONE = "a" * 64
POLICY = """\
version: 1
repositories: {{/srv/borg/web1: {{encryption: required}}}}
passphrase: {{file: {place}/passphrase}}
base: {place}/base
window: 30m
jobs: {{default: {{paths: [/etc]}}}}
"""


@pytest.fixture
def policy(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text("secret\n")
    return stage.written(tmp_path, POLICY.format(place=tmp_path), "web1.yaml")


@pytest.fixture
def base(policy):
    base = Base.open(policy.base)
    base.keep("repository", PATH, ONE)
    yield base
    os.close(base.fd)


def planted(base, text):
    directory = f"{base.borg}/.config/borg/keys"
    os.makedirs(directory)
    with open(f"{directory}/key", "w") as file:
        file.write(f"BORG_KEY {ONE}\n{text}\n")


def test_a_keyfile_is_on_the_page(policy, base):
    planted(base, "hqlhbGdvcml0aG2m\nc2hh+/A=")
    page = printed_page(policy, PATH, 0)
    assert "hqlhbGdvcml0aG2m\nc2hh+/A=\n" in page and "key import :: FILE" in page


@pytest.mark.parametrize("text", ["\x1b]0;title\x07abc", "ab\rcd", "rm -rf /"])
def test_what_no_key_holds_reaches_no_terminal(policy, base, text):
    planted(base, text)
    with pytest.raises(BadValue, match="other characters"):
        printed_page(policy, PATH, 0)


def test_a_keyfile_is_not_believed_where_the_gate_knows_the_key_in_the_repository(policy, base):
    """A borg that was taken over could put a useless one there, and the page in the safe would be worth nothing."""
    base.keep("key", PATH, "b" * 64)
    planted(base, "hqlhbGdvcml0aG2m")
    with pytest.raises(BorgctlError) as caught:
        printed_page(policy, PATH, 0)
    assert caught.value.reason.code == "window-closed"  # it asks borg
