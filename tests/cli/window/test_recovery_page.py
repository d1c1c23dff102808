"""The recovery page has the repository's own key, and nothing that is not a key."""

import base64
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import stage
from typer.testing import CliRunner

from borgctl.cli.app import app
from borgctl.cli.common import policy_argument
from borgctl.cli.window import recovery_page as printing
from borgctl.cli.window.known_server import Server
from borgctl.cli.window.recovery_page import recovery_page
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import locations, sent_environment
from borgctl.state import pins, recovery
from borgctl.state.state_dir import StateDir
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
    base = StateDir.open(policy.base)
    pins.set_pin(base, "repository", PATH, ONE)
    yield base
    os.close(base.fd)


def planted(base, text):
    directory = f"{base.borg}/.config/borg/keys"
    os.makedirs(directory)
    with open(f"{directory}/key", "w") as file:
        file.write(f"BORG_KEY {ONE}\n{text}\n")


def test_a_keyfile_is_on_the_page(policy, base):
    planted(base, "hqlhbGdvcml0aG2m\nc2hh+/A=")
    page = recovery_page(policy, PATH, 0)
    assert "\n 1: 86a961 6c676f 726974 686da6 736861 fbf0 - " in page and "key import --paper ::" in page


def test_the_page_names_the_server_and_what_it_calls_this_machine(policy, base, monkeypatch):
    planted(base, "hqlhbGdvcml0aG2m")
    assert "server      __________, where this machine is the target __________\n" in recovery_page(policy, PATH, 0)
    monkeypatch.setattr(printing, "known_server", lambda _: Server("192.0.2.7", "db2"))
    page = recovery_page(policy, PATH, 0)
    assert "server      192.0.2.7, where this machine is the target db2\n" in page
    assert "borgpull window db2 --for" in page and "borgpull trust --replace db2 " in page and "____" not in page


@pytest.mark.parametrize("kept", ["here", "in the repository"])
def test_the_page_is_76_columns_wide(policy, base, monkeypatch, kept):
    """With names as the README's, the longest passphrase of ours, and a key as borg writes it."""
    secret = base64.b64encode(bytes(33)).decode()
    Path(policy.passphrase.file).write_text(f"{secret}\n")
    monkeypatch.setattr(locations, "policy_directory", lambda: "/etc/borgctl")
    monkeypatch.setattr(sent_environment, "hostname", lambda: "backup-client-17")
    key = "\n".join(["A" * 70] * 8)
    planted(base, key)
    if kept != "here":
        monkeypatch.setattr(recovery, "keyfile", lambda *_: None)
        monkeypatch.setattr(printing, "_exported", lambda *_: f"BORG_KEY {ONE}\n{key}\n".encode())
    printed = recovery_page(replace(policy, file="/etc/borgctl/web1.yaml"), PATH, 0)
    assert secret in printed and "\n23: " in printed and ("key import --paper ::" in printed) == (kept == "here")
    assert [line for line in printed.splitlines() if len(line) > 76] == []
    assert max(map(len, printed.splitlines())) == 76


def test_on_the_server_borg_runs_as_the_user_who_owns_the_repository(policy, base):
    """borg writes there also where it only reads, and follows the links of whoever has taken that user over."""
    planted(base, "hqlhbGdvcml0aG2m")
    page = recovery_page(policy, PATH, 0)
    commands = [line.strip() for line in page.splitlines() if re.search("borg .*/srv/borg/web1", line)]
    for words in ("list /srv", "extract /srv", "key import --paper /srv"):
        assert [line for line in commands if f"borg {words}" in line], words
    assert [line for line in commands if "sample" not in line and not line.startswith("runuser -u borgpull -- ")] == []


def test_whoever_restores_by_the_page_does_so_in_a_new_directory(policy, base):
    """Another user may have made one with a known name, with links in it; borgpull has to write into the server's."""
    planted(base, "hqlhbGdvcml0aG2m")
    begun = re.findall(r"(?m)^ +cd (.+)\n +(.*borg extract)", recovery_page(policy, PATH, 0))
    runuser = "runuser -u borgpull -- "
    assert begun == [
        ('"$(mktemp -d)"', "borgctl window -- borg extract"),
        (f'"$({runuser}mktemp -d)"', f"{runuser}borg extract"),
    ]


def test_what_the_page_says_of_a_new_machine_makes_a_policy_with_windows(policy, base, tmp_path):
    """Where the page's own user keeps policies, and with no line of it to add that the sample has already."""
    planted(base, "hqlhbGdvcml0aG2m")
    page = recovery_page(policy, PATH, 0)
    directory = "/etc/borgctl" if stage.ROOT else f"{locations.home()}/.config/borgctl"
    assert f"make {directory} (0700)" in page and f" into {directory}/passphrase (0600)" in page
    (words,) = re.findall(r"borgctl sample (.*) \\\n +> ", page)
    made = CliRunner().invoke(app, ["sample", *words.split()])
    assert stage.written(tmp_path, made.stdout).window > 0
    assert "window: 30m" not in page


@pytest.mark.parametrize("text", ["\x1b]0;title\x07abc", "ab\rcd", "rm -rf /"])
def test_what_no_key_holds_reaches_no_terminal(policy, base, text):
    planted(base, text)
    with pytest.raises(BadValue, match="characters that no key has"):
        recovery_page(policy, PATH, 0)


def test_a_keyfile_is_not_believed_where_the_gate_knows_the_key_in_the_repository(policy, base):
    """A hostile borg could put a useless one there, and the page in the safe would be worthless."""
    pins.set_pin(base, "key", PATH, "b" * 64)
    planted(base, "hqlhbGdvcml0aG2m")
    with pytest.raises(BorgctlError) as caught:
        recovery_page(policy, PATH, 0)
    assert caught.value.reason.code == "window-closed"  # it asks borg


@pytest.mark.parametrize(
    ("repositories", "words"),
    [
        ("/srv/a: {encryption: none}", ""),
        ("/srv/a: {encryption: none}, /srv/b: {encryption: none}", " --repository /srv/a"),
    ],
)
def test_whoever_is_told_to_print_the_page_is_told_the_whole_command(tmp_path, repositories, words):
    policy = stage.written(
        tmp_path, f"version: 1\nrepositories: {{{repositories}}}\njobs: {{}}\nbase: {tmp_path}/base\n"
    )
    assert (
        policy_argument.recovery_command(policy, RepositoryPath("/srv/a")) == f"borgctl recovery {policy.file}{words}"
    )
