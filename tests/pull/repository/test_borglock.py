"""borg's lock: what dead processes left is removed by name, and nothing else; judged by real borg."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from borgctl.pull.repository.borglock import release, sweep
from borgctl.pull.repository.lock_holders import this_host
from borgctl.pull.targets.paths import TargetName, lock

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


def test_whoever_could_write_the_roster_goes_on_to_and_no_link_is_written_through(tmp_path: Path) -> None:
    roster = tmp_path / "lock.roster"
    roster.write_text(json.dumps({"shared": [[HOST, DEAD, 0]]}))
    roster.chmod(0o660)
    if os.geteuid() == 0:
        os.chown(roster, 65534, 65534)
    (tmp_path / "lock.roster.new").symlink_to(tmp_path / "elsewhere")
    before = roster.stat()
    assert release(str(tmp_path), HOST, lives) == 1
    after = roster.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert sorted(os.listdir(tmp_path)) == ["lock.roster", "lock.roster.new"]


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


# ---- locks of others


def ended() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_name_of_this_machine_is_borgs_own(borg, repository: Path) -> None:
    show = "import os, sys; print(os.listdir(sys.argv[1] + '/lock.exclusive')[0])"
    argv = [borg, "with-lock", str(repository), sys.executable, "-c", show, str(repository)]
    done = subprocess.run(argv, env={"PATH": "/usr/bin:/bin", "HOME": str(repository)}, capture_output=True, check=True)
    assert done.stdout.decode().rpartition(".")[0] == this_host()


def test_a_lock_that_an_admins_dead_borg_has_left_goes_with_the_next_run(world, repository: Path) -> None:
    target = world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    hold(repository, f"{this_host()}.{ended()}-0")
    (repository / "lock.roster").write_text(json.dumps({"exclusive": [[this_host(), ended(), 0]]}))
    assert world.run(target)[0].verdict.outcome == "ok"
    assert "the lock that it left was removed" in world.screen.getvalue()
    assert not (repository / "lock.exclusive").exists()


def test_a_lock_of_another_host_is_named_and_goes_when_a_person_says_so(world, borgpull, borg, repository) -> None:
    hold(repository, "nas\x1b@12.4711-0", "strange")
    (repository / "lock.roster").write_text(json.dumps({"shared": [["nas@12", 4712, 0], ["nas@12", 4713, 0]]}))
    os.utime(repository / "lock.exclusive" / "strange", (1, 1))
    steps = [["start"], ["exit", "failed", 2, None, "borg"]]
    (report,) = world.run(world.local(steps, borg=world.quiet_serve()))
    assert report.hint is not None and "borgpull unlock web1 --yes" in report.hint
    world.local({"hello": [["hello", "default"]]}, borg=borg)
    found = [json.loads(line) for line in borgpull("test", "web1", "--json")[1].splitlines()]
    locks = [check for check in found if check["check"] == "lock"]
    assert [check["level"] for check in locks] == ["error"] * 4 and "borgpull unlock web1" in locks[0]["hint"]
    for _ in range(2):
        status, out, _ = borgpull("unlock", "web1")
        assert status == 1 and "process 4711 of host 'nas\\x1b@12', for" in out.replace("\\\\", "\\")
        assert "'strange', which borg did not write" in out and "process 4713 of host 'nas@12'" in out
    assert borgpull("unlock", "web1", "--yes")[0] == 0
    assert not (repository / "lock.exclusive").exists()
    assert json.loads((repository / "lock.roster").read_text()) == {"shared": []}
    assert borgpull("unlock", "web1") == (0, f"web1: nobody holds the lock of {repository}\n", "")


def test_the_lock_of_a_borg_that_lives_here_stays_although_a_person_says_so(world, borgpull, borg, repository) -> None:
    world.local([["start"]], borg=borg)
    words = f"{sys.executable} -c import time; time.sleep(60) borg"
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "borg"])
    try:
        hold(repository, f"{this_host()}.{living.pid}-0")
        status, out, _ = borgpull("unlock", "web1")
        assert status == 1 and f"process {living.pid} of this machine ({words}), for" in out
        status, _, err = borgpull("unlock", "web1", "--yes")
        assert status == 2 and "is a borg that runs" in err and os.listdir(repository / "lock.exclusive")
    finally:
        living.kill()
        living.wait()
    assert borgpull("unlock", "web1", "--yes")[0] == 0 and not (repository / "lock.exclusive").exists()


def test_what_is_at_work_on_a_target_keeps_its_lock(world, borgpull, borg, repository) -> None:
    world.local([["start"]], borg=borg)
    hold(repository, "nas@12.4711-0")
    with lock(world.folders, TargetName("web1")):
        assert borgpull("unlock", "web1", "--yes")[0] == 2
    assert os.listdir(repository / "lock.exclusive")
