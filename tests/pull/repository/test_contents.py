"""What a repository held after our last session, and what somebody else has done to it since. With real borg."""

import shutil
import subprocess
from pathlib import Path

import pytest

from borgctl.pull.repository.contents import contents
from borgctl.pull.repository.inspection import begin, inspect
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.paths import TargetName, lock

NAME = TargetName("web1")


def by_hand(world, borg: str, *words: object) -> None:
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init")}
    env |= {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_SELFTEST": "disabled"}
    subprocess.run([borg, *map(str, words)], env=env, check=True, capture_output=True)


def kept(world, name: str = "web1") -> State:
    return state_file.load(world.folders, TargetName(name))


@pytest.fixture
def target(world, borg, repository):
    """Give a target whose repository has two archives, as our last session left it."""
    (world.root / "file").write_text("content")
    for name in ("one", "two"):
        by_hand(world, borg, "create", f"{repository}::{name}", world.root / "file")
    target = world.local([["start"], ["exit", "ok", 0]], borg=borg)
    assert inspect(world.folders, target, 1.0).alerts == []
    return target


def archive_deleted(world, borg, repository: Path) -> None:
    by_hand(world, borg, "delete", f"{repository}::one")


def gone_back(_world, _borg, repository: Path) -> None:
    for name in ("index", "hints", "integrity"):
        (file,) = repository.glob(f"{name}.*")
        file.unlink()
    max(repository.glob("data/0/*"), key=lambda path: int(path.name)).unlink()


def segment_lost(_world, _borg, repository: Path) -> None:
    (repository / "data/0/1").unlink()


def segment_cut(_world, _borg, repository: Path) -> None:
    (repository / "data/0/1").write_bytes(b"")


@pytest.mark.parametrize(
    "deed", [archive_deleted, gone_back, segment_lost, segment_cut], ids=lambda deed: deed.__name__
)
def test_what_somebody_else_has_done_to_a_repository_is_an_alert_before_the_next_run(
    world, borg, repository, target, deed
) -> None:
    before = kept(world).contents
    deed(world, borg, repository)
    seen = inspect(world.folders, target, 2.0)
    assert seen.verdict is None and [alert.reason for alert in seen.alerts] == ["repository-changed"]
    assert before in seen.alerts[0].text and contents(str(repository)) in seen.alerts[0].text
    assert inspect(world.folders, target, 3.0).alerts == []  # once, and it stands
    assert kept(world).alerts["repository-changed"].count == 1


def test_what_was_deleted_is_not_compacted_until_somebody_has_looked(world, borgpull, borg, repository, target) -> None:
    archive_deleted(world, borg, repository)
    held = contents(str(repository))
    for _ in range(2):
        status, _, err = borgpull("compact", "web1")
        assert status == 2 and "web1 compact: refused (launcher: alert-stands)" in err
        assert err.count("ALERT: repository-changed") == 1 and "borgpull accept web1 --reason" in err
    assert contents(str(repository)) == held
    assert borgpull("accept", "web1", "--reason", "I deleted it")[0] == 0
    assert borgpull("compact", "web1")[0] == 0
    assert contents(str(repository)) == kept(world).contents != held
    assert borgpull("compact", "web1")[0] == 0 and not kept(world).alerts


def test_what_our_own_sessions_write_is_no_alarm(world, borg, repository, target) -> None:
    begin(world.folders, NAME)
    archive_deleted(world, borg, repository)
    assert inspect(world.folders, target, 2.0).alerts == []  # also where the launcher was killed
    by_hand(world, borg, "create", f"{repository}::three", world.root / "file")
    assert inspect(world.folders, target, 3.0, ours=True).alerts == []
    by_hand(world, borg, "check", repository)
    by_hand(world, borg, "list", repository)
    (repository / "data/0/999").write_bytes(b"BORG_SEG")  # not committed: a session that was cut short
    assert inspect(world.folders, target, 4.0).alerts == []
    by_hand(world, borg, "create", f"{repository}::four", world.root / "file")
    assert len(inspect(world.folders, target, 5.0).alerts) == 1


def test_two_targets_may_have_one_repository(world, borg, repository, target) -> None:
    other = world.target("web2", repository=repository, transport="local", policy="/-", borg=borg)
    inspect(world.folders, other, 2.0)
    by_hand(world, borg, "create", f"{repository}::three", world.root / "file")
    inspect(world.folders, other, 3.0, ours=True)
    assert inspect(world.folders, target, 4.0).alerts == []
    begin(world.folders, other.name)
    by_hand(world, borg, "create", f"{repository}::four", world.root / "file")
    with lock(world.folders, other.name):
        assert inspect(world.folders, target, 5.0).alerts == []
    by_hand(world, borg, "create", f"{repository}::five", world.root / "file")
    assert len(inspect(world.folders, target, 6.0).alerts) == 1  # a session of the other one's that was killed long ago


def test_what_is_there_is_told_without_any_of_borgs_files_too(tmp_path) -> None:
    assert contents(str(tmp_path)) == contents(str(tmp_path / "nowhere")) == "no transaction"
    (tmp_path / "index.7").touch()
    first = contents(str(tmp_path))
    assert first.startswith("transaction 7, 0 segments, ")
    (tmp_path / "integrity.7").symlink_to("/dev/zero")
    assert contents(str(tmp_path)) == first
    shutil.rmtree(tmp_path)
    assert contents(str(tmp_path)) == "no transaction"
