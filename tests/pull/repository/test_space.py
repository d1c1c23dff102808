"""A repository's disk that is full, or nearly: the messages, and that it can be compacted again. With real borg."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from borgctl.pull.repository import repo_config, reserve, space, transactions
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.run import guarded_serve
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import state_file
from borgctl.pull.targets.paths import TargetName, host_id

MB = 1_000_000
USUAL = 64 * (1 << 20) // 20
CREATE, PRUNE = GuardSession("create"), GuardSession("prune")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")


@pytest.fixture
def disk(world):
    """Give a disk of 64 MiB, mounted where the repository is to be."""
    place = world.root / "repo/web1"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def made(world, borg, disk) -> Path:
    """Give the repository that our own `init` has made there."""
    steps = [["start", "init"], ["borg", borg, "init", "-e", "none", "REPO"]]
    (report,) = world.run(world.local({"run": steps}, jobs="[init]", borg=borg), Timeouts())
    assert report.verdict.outcome == "ok", world.screen.getvalue()
    return disk


def run(world, borg: str, source: Path, archive: str, *options: str, jobs: str = "[default]"):
    steps = [["start"], ["borg", borg, "create", "--json", *options, f"REPO::{archive}", str(source)]]
    return world.run(world.local({"run": steps}, borg=borg, jobs=jobs), Timeouts())[0]


def leave(disk: Path, count: int) -> None:
    """Leave so many bytes free."""
    with open(disk / "filler", "wb") as file:
        room = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - count)


def value(repository: Path) -> str:
    return next(line for line in (repository / "config").read_text().splitlines() if "additional_free" in line)


def test_a_new_repository_keeps_a_part_of_its_disk_free_and_that_raises_no_alarm(world, borg, made) -> None:
    assert value(made) == f"additional_free_space = {USUAL}" and reserve.reserve(str(made)) == USUAL
    assert "3.4 MB of the disk of" in world.screen.getvalue() and "stay free" in world.screen.getvalue()
    assert run(world, borg, Path(__file__), "one").verdict.outcome == "ok"
    assert not state_file.load(world.folders, TargetName("web1")).alerts
    kept = repo_config.read(str(made)).lasting
    with reserve.lowered(str(made)):
        assert reserve.reserve(str(made)) == 0 and repo_config.read(str(made)).lasting == kept
    assert value(made) == f"additional_free_space = {USUAL}"


@pytest.mark.parametrize("chosen", [str(USUAL), "2M", "1.5M"])
def test_a_reserve_that_a_killed_compact_has_lowered_is_put_up_by_the_next_session(
    world, borgpull, borg, made, chosen
) -> None:
    kept = f"additional_free_space = {chosen}"
    text = (made / "config").read_text().replace(value(made), kept)
    for act in (lambda: run(world, borg, Path(__file__), "one"), lambda: borgpull("compact", "web1")):
        (made / "config").write_text(text)
        with reserve.lowered(str(made)):
            lowered = (made / "config").read_text()
        (made / "config").write_text(lowered)
        assert reserve.reserve(str(made)) == 0
        act()
        assert value(made) == kept and reserve.reserve(str(made)) > 0


def test_a_reserve_that_an_admin_has_taken_away_stays_away(made) -> None:
    whole, usual = (made / "config").read_text(), value(made)
    for line in ("additional_free_space = 0", f"# {usual}", ""):
        (made / "config").write_text(text := whole.replace(usual, line))
        reserve.restore(str(made))
        with reserve.lowered(str(made)):
            assert (made / "config").read_text() == text
        assert (made / "config").read_text() == text


def test_a_run_that_cannot_commit_is_not_started_and_the_hint_names_compact(world, borgpull, borg, disk, made) -> None:
    leave(disk, 11 * MB)
    world.local({"hello": [["hello", "default"]]}, borg=borg)
    (check,) = [json.loads(line) for line in borgpull("test", "web1", "--json")[1].splitlines() if '"space"' in line]
    assert check["level"] == "error" and "borgpull compact web1" in check["hint"]
    report = run(world, borg, Path(__file__), "one")
    assert (report.verdict.outcome, report.verdict.reason) == ("failed", "server-full")
    assert "11.0 MB free" in world.screen.getvalue() and "borgpull compact web1" in world.screen.getvalue()
    assert report.transcript.start is None
    assert state_file.load(world.folders, TargetName("web1")).jobs["default"].last.reason == "server-full"
    assert (
        space.missing_space(str(made), PRUNE) is None and space.missing_space(str(made), GuardSession("read")) is None
    )
    (disk / "filler").unlink()
    assert run(world, borg, Path(__file__), "one").verdict.outcome == "ok"


def test_a_run_that_fills_the_disk_ends_before_nothing_is_left_and_leaves_no_rest(
    world, borg, disk, made, monkeypatch
) -> None:
    (world.root / "large").write_bytes(os.urandom(30 * MB))
    leave(disk, 24 * MB)
    monkeypatch.setattr(guarded_serve, "_SPACE_INTERVAL", 0.01)
    report = run(world, borg, world.root / "large", "large", "--upload-ratelimit=8000")  # so that a look comes in time
    assert report.verdict.reason == "server-full"
    assert transactions.void(str(made))
    (made / "lock.exclusive").mkdir()
    (made / f"lock.exclusive/{host_id(world.folders)}.{2**22}-0").touch()  # serve was killed
    assert run(world, borg, Path(__file__), "small").verdict.outcome == "ok", world.screen.getvalue()
    assert transactions.void(str(made)) == []


def test_what_somebody_is_at_is_never_removed_however_little_is_left(world, disk, made) -> None:
    (made / "data/0/9").write_bytes(b"BORG_SEG")
    (made / "lock.exclusive").mkdir()
    (made / "lock.exclusive/nas@1.2-0").touch()
    leave(disk, 0)
    space.clear(world.folders, str(made))
    assert (made / "data/0/9").exists()


def test_on_a_disk_without_a_byte_compact_says_why_and_goes_on_once_there_is_room(
    world, borgpull, borg, disk, made
) -> None:
    assert run(world, borg, Path(__file__), "one").verdict.outcome == "ok"
    leave(disk, 0)
    status, out, err = borgpull("compact", "web1")
    assert status == 2 and "Traceback" not in out + err and "  File" not in out + err, err
    assert "hint: only" in err and "move something else away" in err
    assert value(made) == f"additional_free_space = {USUAL}"
    (disk / "filler").unlink()
    assert borgpull("compact", "web1")[0] == 0
    assert borgpull("compact", "web1")[0] == 0


def test_what_was_never_committed_is_no_room_that_is_taken(world, borgpull, borg, disk, made) -> None:
    (made / "data/0/9").write_bytes(b"BORG_SEG" + bytes(50 * MB))
    leave(disk, 0)
    assert borgpull("compact", "web1")[0] == 0
    assert not (made / "data/0/9").exists() or (made / "data/0/9").stat().st_size < MB


def test_a_transaction_that_the_index_does_not_know_yet_is_none_to_remove(tmp_path) -> None:
    (tmp_path / "data/0").mkdir(parents=True)
    (tmp_path / "index.1").touch()
    end = bytes.fromhex("40f43c250900000002")
    for number, content in ((1, end), (2, b"BORG_SEG"), (3, b"BORG_SEG" + end), (10, b"BORG_SEG"), (11, b"")):
        (tmp_path / f"data/0/{number}").write_bytes(content)
    assert [Path(path).name for path in transactions.void(str(tmp_path))] == ["11", "10"]
