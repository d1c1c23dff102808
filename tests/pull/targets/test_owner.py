"""The owner of the launcher's directories: root leaves nothing there that they cannot use, and sees who they are."""

import os
import pwd
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from borgctl.pull.targets import owner
from borgctl.pull.targets.owner import typed

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be in another user's place")
SERVICE = "daemon"


@ROOT
@pytest.mark.parametrize("folder", ["state", "config"])
@pytest.mark.parametrize(
    "words", [("run", "--all"), ("add", "web2", "root@h"), ("trust", "web1", "ssh-ed25519 AAAA"), ("test", "a")]
)
def test_root_is_refused_before_a_file_is_written_and_shown_the_whole_command(world, borgpull, folder, words) -> None:
    for path in (world.folders.config, world.folders.state):
        os.makedirs(path)
    os.chown(getattr(world.folders, folder), pwd.getpwnam(SERVICE).pw_uid, -1)
    before = sorted(map(str, world.root.rglob("*")))
    status, out, err = borgpull(*words)
    assert (status, out) == (2, "") and sorted(map(str, world.root.rglob("*"))) == before
    (hint,) = [line for line in err.splitlines() if line.startswith("hint: ")]
    assert hint.startswith(f"hint: runuser -u {SERVICE} -- borgpull --config-dir {world.folders.config} ")
    assert hint.endswith(" ".join(f"'{word}'" if " " in word else word for word in words))


@ROOT
@pytest.mark.parametrize(
    "words",
    [("run", "web1", "--", "-h"), ("accept", "web1", "--reason", "-h"), ("borg", "web1", "--", "list", "--help")],
)
def test_root_is_refused_also_where_a_word_only_looks_like_a_question_about_help(world, borgpull, words) -> None:
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    os.chown(world.folders.config, pwd.getpwnam(SERVICE).pw_uid, -1)
    before = sorted(map(str, world.root.rglob("*")))
    status, out, err = borgpull(*words)
    assert (status, out) == (2, "") and "who could not use what root leaves there" in err
    assert sorted(map(str, world.root.rglob("*"))) == before


@ROOT
def test_root_may_read_whoever_the_folders_belong_to(world, borgpull) -> None:
    world.local([])
    Path(world.folders.state).mkdir()
    os.chown(world.folders.state, pwd.getpwnam(SERVICE).pw_uid, -1)
    before = sorted(map(str, world.root.rglob("*")))
    assert borgpull("run", "--help")[0] == 0
    assert "web1" in borgpull("status")[1] and "web1" in borgpull("targets")[1]
    assert sorted(map(str, world.root.rglob("*"))) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("borgpull add web1 HOST", "BECOMEborgpull add web1 HOST"),
        ("is its disk mounted? borgpull run", "is its disk mounted? borgpull run"),
        (
            "then: borgpull run a --job init, and borgpull run a",
            "then: BECOMEborgpull run a --job init, and BECOMEborgpull run a",
        ),
        ("see 'borgpull run --json'", "see 'BECOMEborgpull run --json'"),
        ("another borgpull works on it", "another borgpull works on it"),
        ("say there: borgctl moved POLICY", "say there: borgctl moved POLICY"),
    ],
)
@pytest.mark.parametrize(("uid", "become"), [(0, ""), (1, "runuser -u daemon -- "), (1000, ""), (998_001, "")])
def test_commands_are_shown_as_they_are_typed_on_this_server(monkeypatch, text, expected, uid, become) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert typed(text) == expected.replace("BECOME", become)


@pytest.mark.parametrize(
    "words", [("run", "web9"), ("run", "--all"), ("test", "web9"), ("status",), ("targets",), ("add", "a", "root@h")]
)
def test_what_each_command_says_to_do_next_is_typed_so(world, borgpull, monkeypatch, words) -> None:
    monkeypatch.setattr(owner, "os", SimpleNamespace(geteuid=lambda: 1))
    repository = ("--repository", str(world.root / "repo/a")) if words[0] == "add" else ()
    said = "\n".join(borgpull(*words, *repository)[1:])
    assert re.findall(r"(.{15})borgpull (?:add|trust|run|test) ", said), said
    assert set(re.findall(r"(.{15})borgpull (?:add|trust|run|test) ", said)) == {"er -u daemon -- "[1:]}
