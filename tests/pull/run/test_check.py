"""`borgpull test`: what it says of a client that answers well, badly or not at all."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from borgctl.pull.run.check_result import status


def offer(world, **changes: object) -> list:
    """Return the steps of a client that offers what the target wants, with changes."""
    fields = {
        "protocol": 1,
        "version": "0.1.0",
        "policy": "sha256:00",
        "jobs": [{"name": "default", "command": "create"}],
        "transports": ["local"],
        "repositories": [str(world.root / "repo/web1")],
        "borg": "1.4.5",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "obstacles": [],
    } | changes
    kept = {key: value for key, value in fields.items() if value is not None}
    return [["start"], ["say", "hello", kept], ["exit", "ok", 0]]


@pytest.fixture
def asked(world, borgpull, borg):
    """Give a function that tests a client of these steps, and returns the status and the checks by name."""

    def ask(steps: list, **keys: object) -> tuple[int, dict[str, dict]]:
        world.local({"hello": [step for step in steps if step != ["start"]]}, borg=borg, **keys)
        code, out, _ = borgpull("test", "--json", "web1")
        found = [json.loads(line) for line in out.splitlines()]
        assert code == status([check["level"] for check in found])
        return code, {check["check"]: check for check in found}

    return ask


def test_a_client_that_is_ready_is_ok_all_over(world, asked, repository) -> None:
    code, found = asked(offer(world))
    assert {check["level"] for check in found.values()} == {"ok"}, found
    assert code == 0
    assert set(found) == {
        "serve",
        "repository",
        "space",
        "hello",
        "policy",
        "jobs",
        "transport",
        "ready",
        "borg",
        "clock",
    }
    assert found["policy"]["text"] == "sha256:00"


def test_a_repository_that_is_not_made_yet_is_a_warning(world, asked) -> None:
    code, found = asked(offer(world))
    assert (code, found["repository"]["level"]) == (1, "warn")
    assert "borgpull run web1 --job init" in found["repository"]["hint"]


@pytest.mark.parametrize(("has", "level"), [(0, "warn"), (0.5, "warn"), (1.5, "ok")])
def test_a_quota_beyond_what_is_free_and_what_the_repository_has_is_a_warning(
    world, asked, repository, has, level
) -> None:
    """The quota is twice what is free on this disk; the repository's files are holes, of that many times as much."""
    disk = os.statvfs(repository)
    free = disk.f_bavail * disk.f_frsize
    with open(repository / "data/0/7", "wb") as file:
        file.truncate(int(free * has))
    (repository / "data/0/8").symlink_to(repository / "data/0/7")
    (repository / "data/1").symlink_to(repository / "data/0")
    code, found = asked(offer(world), quota=f"{2 * free // 1000}K")
    assert (code, found["space"]["level"]) == (int(level == "warn"), level), found["space"]
    assert ("lower 'quota'" in (found["space"]["hint"] or "")) == (level == "warn")


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({"jobs": []}, "jobs", "error"),
        ({"jobs": [{"name": "other", "command": "create"}]}, "jobs", "error"),
        ({"transports": ["stdio"]}, "transport", "error"),
        ({"repositories": ["/srv/other"]}, "path", "error"),
        ({"obstacles": ["passphrase-unusable"]}, "ready", "error"),
        ({"skipped_mounts": {"default": 2}}, "mounts", "warn"),
        ({"borg": None}, "borg", "error"),
        ({"time": None}, "clock", "warn"),
        ({"time": "2001-01-01T00:00:00Z"}, "clock", "warn"),
        ({"time": "9999-12-31T23:59:59Z"}, "clock", "warn"),
    ],
)
def test_what_would_keep_a_pull_from_working_is_told(world, asked, repository, changes, check, level) -> None:
    hello = offer(world, **{key: value for key, value in changes.items() if key != "obstacles"})
    if "obstacles" in changes:
        hello = offer(world, borg=None, **changes)
    code, found = asked(hello)
    assert found[check]["level"] == level
    assert code == (2 if level == "error" else 1)
    assert found[check]["hint"]


def test_clocks_a_minute_apart_are_told_with_their_direction(world, asked, repository) -> None:
    when = (datetime.now(UTC) + timedelta(minutes=5)).isoformat(timespec="seconds").replace("+00:00", "Z")
    _, found = asked(offer(world, time=when))
    assert "ahead" in found["clock"]["text"]


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([["say", "hello", {"protocol": 2, "jobs": []}], ["exit", "ok", 0]], "unknown-protocol"),
        ([["refuse", "refused", 78, "policy-invalid"]], "policy-invalid"),
        ([["raw", "bash: no such\x1b[2J thing\n"], ["status", 127]], "no-hello"),
        ([["status", 0]], "no-hello"),
    ],
)
def test_a_client_that_does_not_answer_is_an_error_with_its_words(asked, steps, word) -> None:
    code, found = asked(steps)
    assert code == 2
    assert word in found["hello"]["text"]
    assert found["hello"]["hint"]


def test_what_a_client_says_reaches_the_terminal_escaped(world, borgpull, borg, repository) -> None:
    evil = "evil\x1b[2J\u202e\nline"
    world.local({"hello": offer(world, version=evil, borg=evil, repositories=[evil], transports=[evil])[1:]}, borg=borg)
    code, out, _ = borgpull("test", "web1")
    assert code == 2
    assert "\\x1b[2J\\u202e\\nline" in out
    assert all(line.isprintable() and line.startswith("web1: ") for line in out.splitlines())


def test_a_target_without_a_host_key_is_not_called(world, borgpull, borg) -> None:
    world.target(host="nobody@127.0.0.1", port=1, borg=borg)
    code, out, _ = borgpull("test", "web1")
    assert code == 2
    assert "borgpull trust" in out


def test_a_borg_that_is_none_and_a_folder_that_cannot_be_written_are_errors(world, borgpull) -> None:
    world.local(offer(world)[1:], borg=shutil.which("true"))
    code, out, _ = borgpull("test", "--json", "web1")
    found = {check["check"]: check for check in map(json.loads, out.splitlines())}
    assert (code, found["serve"]["level"]) == (2, "error")


def test_nothing_is_left_and_nothing_made(world, borgpull, borg) -> None:
    world.local({"hello": offer(world)[1:]}, borg=borg)
    borgpull("test", "web1")
    assert not (world.root / "repo/web1").exists()
    assert not Path(f"{world.folders.state}/web1").exists()
