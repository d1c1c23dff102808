"""Copies of a repository's config and nonce: kept for each change, bounded, and put back whole or not at all."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from machines import full_disk

from borgctl.pull.repository import copies, repo_config
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import state_file
from borgctl.pull.targets.paths import TargetName, host_id, lock

NAME = TargetName("web1")


@pytest.fixture
def target(world, borg, repository):
    """Give a target of a real repository, with a backup in it."""
    source = world.root / "data"
    source.mkdir()
    (source / "file").write_text("x")
    steps = [["start"], ["borg", borg, "create", "--json", "REPO::a", str(source)]]
    target = world.local(steps, borg=borg)
    assert world.run(target, Timeouts())[0].verdict.outcome == "ok"
    return target


def listed(world, file: str) -> list[copies.Copy]:
    return [copy for copy in copies.listed(world.folders, NAME) if copy.file == file]


def check(world, borg: str, repository: Path) -> int:
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init")}
    env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    return subprocess.run([borg, "list", str(repository)], env=env, capture_output=True, check=False).returncode


def test_each_change_is_copied_before_and_after_a_session(world, repository, target) -> None:
    (first,) = listed(world, "config")
    assert first.content.data == (repository / "config").read_bytes()
    assert os.stat(first.path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(first.path)).st_mode & 0o777 == 0o700
    world.run(target)
    assert len(listed(world, "config")) == 1
    (repository / "nonce").write_text("0000000000000010")
    with (repository / "config").open("a") as file:
        file.write("key = another\n")
    world.run(target)
    assert [copy.content.id for copy in listed(world, "config")] == [first.content.id] * 2
    assert [copy.content.data for copy in listed(world, "nonce")] == [b"0000000000000010"]
    numbers = [copy.number for copy in copies.listed(world.folders, NAME)]
    assert numbers == sorted(set(numbers))


def test_a_compact_copies_too(world, borgpull, repository, target) -> None:
    with (repository / "config").open("a") as file:
        file.write("key = another\n")
    assert borgpull("compact", "web1")[0] == 0
    assert len(listed(world, "config")) == 2


def test_the_last_ten_of_each_are_kept_and_the_first_config(world, tmp_path) -> None:
    for number in range(25):
        for file in copies.FILES:
            (tmp_path / file).write_text(f"{number}\n")
        assert copies.keep(world.folders, NAME, str(tmp_path), float(number)) == []
    told = {file: [copy.content.data.decode().strip() for copy in listed(world, file)] for file in copies.FILES}
    last = [str(number) for number in range(15, 25)]
    assert told == {"config": ["0", *last], "nonce": last}
    assert len(os.listdir(world.folders.copies(NAME))) == 21


def test_a_config_as_long_as_a_client_likes_is_not_copied_and_that_is_told(world, repository, target) -> None:
    with (repository / "config").open("a") as file:
        file.write(f"key = {'A' * repo_config.LARGEST}\n")
    (report,) = world.run(target)
    assert any("are not copied" in message.text for message in report.transcript.messages)
    assert len(listed(world, "config")) == 1
    assert report.verdict.reason != "repository-replaced" and "config-changed" in [one.reason for one in report.alerts]


def test_what_cannot_be_copied_is_told_and_the_old_ones_stay(world, tmp_path) -> None:
    (tmp_path / "config").write_text("one")
    copies.keep(world.folders, NAME, str(tmp_path), 1.0)
    (tmp_path / "config").write_text("two")
    with full_disk(), pytest.raises(OSError, match="too large"):
        copies.keep(world.folders, NAME, str(tmp_path), 2.0)
    assert [copy.content.data for copy in listed(world, "config")] == [b"one"]
    assert len(os.listdir(world.folders.copies(NAME))) == 1


@pytest.mark.parametrize("lost", ["gone", "empty", "another key"])
def test_a_config_that_was_lost_is_put_back_and_backups_go_on(world, borgpull, borg, repository, target, lost) -> None:
    whole = (repository / "config").read_bytes()
    if lost == "gone":
        (repository / "config").unlink()
    elif lost == "empty":
        (repository / "config").write_bytes(b"")
    else:
        (repository / "config").write_bytes(whole + b"key = evil\n")
    world.run(target)
    status, out, _ = borgpull("copies", "web1")
    assert status == 0 and f"{listed(world, 'config')[0].number:4} config" in out
    status, out, err = borgpull("copies", "web1", "--put-back", str(listed(world, "config")[0].number))
    assert status == 0, err
    assert (repository / "config").read_bytes() == whole
    assert os.stat(repository / "config").st_mode & 0o777 == 0o600
    assert not [name for name in os.listdir(repository) if name.endswith(".tmp") or name.startswith("lock")]
    assert check(world, borg, repository) == 0
    state = state_file.load(world.folders, NAME)
    state.alerts = {}
    state_file.save(world.folders, NAME, state)
    assert [alert.reason for alert in world.run(target)[0].alerts] == []  # a person did it: no alert for that
    if lost == "another key":
        assert any(b"evil" in copy.content.data for copy in listed(world, "config"))


def test_a_copy_is_put_back_only_where_nothing_runs(world, borgpull, repository, target) -> None:
    with (repository / "config").open("a") as file:
        file.write("key = another\n")
    there = (repository / "config").read_bytes()
    number = str(listed(world, "config")[0].number)
    with lock(world.folders, NAME):
        status, _, err = borgpull("copies", "web1", "--put-back", number)
    assert status == 2 and "is busy" in err
    (repository / "lock.exclusive").mkdir()
    (repository / "lock.exclusive/elsewhere@1.4711-0").touch()
    status, _, err = borgpull("copies", "web1", "--put-back", number)
    assert status == 2 and "a borg uses" in err
    shutil.rmtree(repository / "lock.exclusive")
    (repository / "lock.roster").write_text(json.dumps({"shared": [["elsewhere@1", 4711, 0]]}))
    status, _, err = borgpull("copies", "web1", "--put-back", number)
    assert status == 2 and "a borg uses" in err
    assert (repository / "config").read_bytes() == there and not (repository / "lock.exclusive").exists()
    (repository / "lock.roster").write_text(json.dumps({"shared": [[host_id(world.folders), 1, 0]]}))  # a dead one's
    assert borgpull("copies", "web1", "--put-back", number)[0] == 0


def test_nothing_is_put_where_no_disk_is_mounted_and_no_foreign_config(world, borgpull, repository, target) -> None:
    (mine,) = listed(world, "config")
    shutil.move(repository, world.root / "away")
    repository.mkdir()
    status, _, err = borgpull("copies", "web1", "--put-back", str(mine.number))
    assert status == 2 and "is its disk mounted?" in err and os.listdir(repository) == []
    repository.rmdir()
    shutil.move(world.root / "away", repository)
    there = (repository / "config").read_bytes()
    foreign = f"{world.folders.copies(NAME)}/99-config-1"
    Path(foreign).write_text(f"[repository]\nid = {'0' * 64}\n")
    status, _, err = borgpull("copies", "web1", "--put-back", "99")
    assert status == 2 and "is of repository 0000" in err
    Path(foreign).write_text("[repository]\n")
    for number in ("99", "100", "0"):
        assert borgpull("copies", "web1", "--put-back", number)[0] == 2
    assert (repository / "config").read_bytes() == there


def test_a_nonce_goes_forward_only(world, borgpull, repository, target) -> None:
    """A lower one than was used is what makes two texts have one key stream, where the client has lost its own."""
    for nonce in ("0000000000000010", "0000000000000020"):
        (repository / "nonce").write_text(nonce)
        copies.keep(world.folders, NAME, str(repository), 1.0)
    old, new = (str(copy.number) for copy in listed(world, "nonce"))
    (repository / "nonce").unlink()
    status, _, err = borgpull("copies", "web1", "--put-back", old)
    assert status == 2 and "was used already" in err and not (repository / "nonce").exists()
    assert borgpull("copies", "web1", "--put-back", new)[0] == 0
    assert (repository / "nonce").read_text() == "0000000000000020"
    (repository / "nonce").write_text("00000000000000ff")
    assert borgpull("copies", "web1", "--put-back", new)[0] == 2


def test_on_a_full_disk_the_config_that_is_there_stays(world, repository, target) -> None:
    with (repository / "config").open("a") as file:
        file.write("key = another\n")
    copies.keep(world.folders, NAME, str(repository), 1.0)
    there = (repository / "config").read_bytes()
    with full_disk(), pytest.raises(OSError, match="too large"):
        copies.put_back(world.folders, target, listed(world, "config")[0].number, 1.0)
    assert (repository / "config").read_bytes() == there
    assert not [name for name in os.listdir(repository) if name.endswith(".tmp") or name.startswith("lock")]


def test_programs_get_the_copies_as_json(world, borgpull, repository, target) -> None:
    found = [json.loads(line) for line in borgpull("copies", "web1", "--json")[1].splitlines()]
    (one,) = [entry for entry in found if entry["file"] == "config"]
    assert one["now"] is True and one["repository"] == repo_config.read(str(repository)).id
    assert Path(one["path"]).read_bytes() == (repository / "config").read_bytes()


def test_a_removed_target_takes_its_copies_along(world, borgpull, target) -> None:
    assert borgpull("remove", "web1")[0] == 0
    assert not os.path.exists(f"{world.folders.state}/web1")
