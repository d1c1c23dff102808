"""borg's lock: what the dead have left goes, by name, and nothing else; judged by real borg."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from borgctl.pull.borglock import release, sweep

HOST = "borgpull@0af1"
DEAD, ALIVE = 4711, 4712


def lives(pid: int) -> bool:
    return pid == ALIVE


def hold(repository: Path, *names: str, directory: str = "lock.exclusive") -> None:
    (repository / directory).mkdir(exist_ok=True)
    for name in names:
        (repository / directory / name).touch()


def test_the_lock_of_a_dead_process_goes_although_another_program_has_its_number(tmp_path: Path) -> None:
    hold(tmp_path, f"{HOST}.{DEAD}-0")
    assert release(str(tmp_path), HOST, lives) == 1
    assert os.listdir(tmp_path) == []
    assert release(str(tmp_path), HOST, lives) == 0


@pytest.mark.parametrize(
    "name",
    [f"{HOST}.{ALIVE}-0", f"other@0af1.{DEAD}-0", f"{HOST}.{os.getpid()}-b0b", "strange", f"x{HOST}.{DEAD}-0"],
    ids=["alive", "another host", "a thread of ours", "strange", "another host's end"],
)
def test_the_lock_of_somebody_else_stays(tmp_path: Path, name: str) -> None:
    hold(tmp_path, name)
    assert release(str(tmp_path), HOST, lives) == 0
    assert os.listdir(tmp_path / "lock.exclusive") == [name]


def test_a_lock_of_a_launcher_that_was_killed_goes(tmp_path: Path) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    hold(tmp_path, f"{HOST}.{killed.pid}-b0b")
    assert release(str(tmp_path), HOST, lives) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_a_launchers_lock_is_not_kept_by_a_process_of_another_user(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], user=65534)
    hold(tmp_path, f"{HOST}.{other.pid}-b0b")
    try:
        assert release(str(tmp_path), HOST, lives) == 1
    finally:
        other.kill()
        other.wait()


def test_a_lock_that_was_taken_meanwhile_stays(tmp_path: Path) -> None:
    hold(tmp_path, f"{HOST}.{DEAD}-0", f"{HOST}.{ALIVE}-0")
    assert release(str(tmp_path), HOST, lives) == 1
    assert os.listdir(tmp_path / "lock.exclusive") == [f"{HOST}.{ALIVE}-0"]


def test_a_lock_on_its_way_to_its_place_goes_only_where_it_is_a_dead_ones(tmp_path: Path) -> None:
    hold(tmp_path, f"{HOST}.{DEAD}-0", directory="lock.exclusive.abc_1.tmp")
    hold(tmp_path, f"{HOST}.{ALIVE}-0", directory="lock.exclusive.abc_2.tmp")
    hold(tmp_path, directory="lock.exclusive.abc_3.tmp")
    release(str(tmp_path), HOST, lives)
    assert sorted(os.listdir(tmp_path)) == ["lock.exclusive.abc_2.tmp", "lock.exclusive.abc_3.tmp"]


def test_the_dead_are_taken_out_of_the_roster_and_nobody_else_is(tmp_path: Path) -> None:
    others = [[HOST, ALIVE, 0], ["elsewhere@1", DEAD, 0]]
    roster = tmp_path / "lock.roster"
    roster.write_text(json.dumps({"shared": [*others, [HOST, DEAD, 0]], "exclusive": [[HOST, DEAD, 0]]}))
    assert release(str(tmp_path), HOST, lives) == 2
    assert json.loads(roster.read_text()) == {"shared": others, "exclusive": []}
    assert os.listdir(tmp_path) == ["lock.roster"]


def test_a_roster_that_somebody_is_at_is_left_for_later(tmp_path: Path) -> None:
    text = json.dumps({"shared": [[HOST, DEAD, 0]]})
    (tmp_path / "lock.roster").write_text(text)
    hold(tmp_path, "elsewhere@1.4711-0")
    assert release(str(tmp_path), HOST, lives) == 0
    assert (tmp_path / "lock.roster").read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["lock.exclusive", "lock.roster"]


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", '{"shared": 1}', '{"shared": [1, [], [1, 2, 3], ["a", "b", "c"]]}', "9" * 5000, "[" * 100_000],
)
def test_a_roster_that_makes_no_sense_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.roster").write_text(text)
    assert release(str(tmp_path), HOST, lives) == 0
    assert (tmp_path / "lock.roster").read_text() == text


@pytest.mark.parametrize("depth", [100, 500, *range(850, 1000, 5), 2000, 100_000])
def test_no_depth_of_a_roster_keeps_a_run_from_starting(tmp_path: Path, depth: int) -> None:
    text = f'{{"shared": [{"[" * depth}{"]" * depth}], "exclusive": [["{HOST}", {DEAD}, 0]]}}'
    (tmp_path / "lock.roster").write_text(text)
    freed = release(str(tmp_path), HOST, lives)
    assert os.listdir(tmp_path) == ["lock.roster"]
    assert ((tmp_path / "lock.roster").read_text() == text) == (freed == 0)


def test_drafts_of_a_killed_serve_go_unless_somebody_has_the_lock(tmp_path: Path) -> None:
    drafts, kept = {"nonce-uyr_mv52.tmp", "config-abcdefgh.tmp"}, {"nonce", "config", "index.5.tmp", "x-abcdefgh.tmp"}
    for name in drafts | kept:
        (tmp_path / name).touch()
    hold(tmp_path, "elsewhere@1.4711-0")
    sweep(str(tmp_path), HOST)
    assert set(os.listdir(tmp_path)) == drafts | kept | {"lock.exclusive"}
    (tmp_path / "lock.exclusive" / "elsewhere@1.4711-0").unlink()
    sweep(str(tmp_path), HOST)
    assert set(os.listdir(tmp_path)) == kept


def test_a_repository_that_is_not_there_has_no_lock(tmp_path: Path) -> None:
    assert release(str(tmp_path / "none"), HOST, lives) == 0


def test_real_borg_takes_the_lock_again_where_its_own_way_to_tell_the_dead_fails(world, borg, repository: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init"), "BORG_HOST_ID": HOST}
    env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    reused = os.getpid()  # a process that lives, but is no borg
    hold(repository, f"{HOST}.{reused}-0")
    (repository / "lock.roster").write_text(json.dumps({"shared": [[HOST, reused, 0]]}))

    def check() -> int:
        argv = [borg, "--lock-wait=1", "check", "--repository-only", str(repository)]
        return subprocess.run(argv, env=env, capture_output=True, check=False).returncode

    assert check() != 0
    assert release(str(repository), HOST, lives) == 2
    assert check() == 0
