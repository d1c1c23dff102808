"""Is the repository there, and is it the one with the backups? Judged with real borg and its real config."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from machines import full_disk

from borgctl.pull.repository import inspection as repositories
from borgctl.pull.repository import repo_config
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName

NAME = TargetName("web1")


@pytest.fixture
def target(world, borg, repository):
    """Give a target that has made a backup into a real repository, and notes each gate that is started."""
    source = world.root / "data"
    source.mkdir()
    (source / "file").write_text("x")
    steps = [["note", f"{world.root}/started"], ["start"], ["borg", borg, "create", "--json", "REPO::a", str(source)]]
    target = world.local(steps, borg=borg)
    assert world.run(target, Timeouts())[0].verdict.outcome == "ok"
    os.unlink(f"{world.root}/started")
    return target


def kept(world) -> State:
    return state_file.load(world.folders, NAME)


def another(world, borg: str, place: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "other")}
    subprocess.run([borg, "init", "-e", "none", str(place)], env=env, check=True, capture_output=True)


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def without_config(path: Path) -> None:
    (path / "config").unlink()


def linked(path: Path) -> None:
    (path / "config").rename(path / "other")
    (path / "config").symlink_to("other")


def with_a_directory(path: Path) -> None:
    without_config(path)
    (path / "config").mkdir()


def with_a_fifo(path: Path) -> None:
    without_config(path)
    os.mkfifo(path / "config")


GONE = [shutil.rmtree, emptied, without_config, linked, with_a_directory, with_a_fifo]


def test_the_id_is_kept_and_told_at_first_sight(world, repository, target) -> None:
    assert kept(world).repository == repo_config.read(str(repository)).id
    assert f"is repository {kept(world).repository} from now on" in world.screen.getvalue()
    world.run(target)
    assert world.screen.getvalue().count("from now on") == 1


@pytest.mark.parametrize("damage", GONE, ids=lambda damage: damage.__name__)
def test_a_repository_that_is_gone_ends_everything_before_it_starts(
    world, borgpull, target, repository, damage
) -> None:
    (world.root / "kept").mkdir()
    shutil.copytree(repository, world.root / "kept/web1")
    damage(repository)
    (report,) = world.run(target)
    assert (report.verdict.outcome, report.verdict.reason) == ("failed", "repository-gone")
    assert [alert.reason for alert in report.alerts] == ["repository-gone"]
    assert "is its disk mounted" in world.screen.getvalue()
    assert not os.path.exists(f"{world.root}/started")
    status, out, _ = borgpull("status")
    assert status == 2 and "web1: ALERT: repository-gone" in out and "web1: unusable, repository-gone" in out
    status, _, err = borgpull("compact", "web1")
    assert status == 2 and "web1 compact: failed (launcher: repository-gone)" in err
    status, _, err = borgpull("window", "web1", "--for", "30s")
    assert status == 2 and "web1 window: failed (launcher: repository-gone)" in err
    assert not os.path.exists(f"{world.root}/started")
    status, out, _ = borgpull("test", "web1", "--json")
    (check,) = [one for one in map(json.loads, out.splitlines()) if one["check"] == "repository"]
    assert (status, check["level"]) == (2, "error") and "is its disk mounted" in check["hint"]
    os.unlink(f"{world.root}/started")  # only the test has asked the client
    status, out, _ = borgpull("run", "--json", "web1", "--job", "init")
    assert (status, json.loads(out)["reason"]) == (2, "repository-gone")
    assert not os.path.exists(f"{world.root}/started")
    shutil.rmtree(repository, ignore_errors=True)
    shutil.move(world.root / "kept/web1", repository)  # the disk is mounted again
    assert borgpull("accept", "web1", "--reason", "mounted again")[0] == 0
    assert borgpull("compact", "web1")[0] == 0
    assert borgpull("status")[0] == 1  # the last attempt failed


def test_no_client_is_asked_what_it_offers_for_a_repository_that_is_gone(world, target, repository) -> None:
    without_config(repository)
    target = world.local({"hello": [["note", f"{world.root}/started"], ["hello", "default"]]}, jobs=None)
    (report,) = world.run(target)
    assert report.verdict.reason == "repository-gone" and report.alerts
    assert not os.path.exists(f"{world.root}/started")


@pytest.mark.parametrize("how", ["replaced", "no id", "two ids"])
def test_another_repository_is_none_until_the_known_one_is_forgotten(
    world, borgpull, borg, target, repository, how
) -> None:
    known = kept(world).repository
    text = (repository / "config").read_text()
    if how == "replaced":
        shutil.rmtree(repository)
        another(world, borg, repository)
    elif how == "no id":
        (repository / "config").write_text(text.replace("id = ", "di = "))
    else:  # as a carriage return in a key would have it
        (repository / "config").write_text(text + "key = x\rid = " + "0" * 64 + "\n")
    for count in (1, 2):
        (report,) = world.run(target)
        assert report.verdict.reason == "repository-replaced" and not os.path.exists(f"{world.root}/started")
        assert kept(world).alerts["repository-replaced"].count == count
    assert known in kept(world).alerts["repository-replaced"].text and kept(world).repository == known
    assert borgpull("accept", "web1", "--reason", "looked")[0] == 0
    assert borgpull("status")[0] == 2  # accepted is not adopted
    status, out, _ = borgpull("forget", "web1", "--repository")
    assert status == 0 and f"forgot repository {known}" in out
    assert kept(world).repository is None
    assert any(known in what for one in kept(world).accepted for what in one.alerts)
    assert borgpull("forget", "web1", "--repository")[0] == 2
    if how == "replaced":
        (report,) = world.run(target)
        assert kept(world).repository == repo_config.read(str(repository)).id != known
        assert "config-changed" not in kept(world).alerts


def test_init_is_started_only_where_no_repository_is_known(world, borgpull, target) -> None:
    status, _, err = borgpull("run", "web1", "--job", "init")
    assert status == 2 and "web1 init: refused (launcher: repository-known)" in err and "forget web1" in err
    assert not os.path.exists(f"{world.root}/started")
    state = kept(world)
    state.jobs["make"] = JobRecord(Past(1.0, "failed"), None, "init")  # what it does is what its client said of it
    state_file.save(world.folders, NAME, state)
    assert json.loads(borgpull("run", "--json", "web1", "--job", "make")[1])["reason"] == "repository-known"
    borgpull("forget", "web1", "--repository")
    assert json.loads(borgpull("run", "--json", "web1", "--job", "init")[1])["reason"] == "repository-known"
    assert not os.path.exists(f"{world.root}/started")  # what is there was taken for it at once


def test_init_is_started_where_there_is_no_repository_yet_and_its_id_is_kept(world, borg) -> None:
    steps = [["start", "init"], ["borg", borg, "init", "-e", "none", "REPO"]]
    target = world.local(steps, jobs="[init]", borg=borg)
    shutil.rmtree(str(target.repository))  # where the world puts one for whoever needs it
    (report,) = world.run(target, Timeouts())
    assert report.verdict.outcome == "ok", world.screen.getvalue()
    assert kept(world).repository == repo_config.read(f"{world.root}/repo/web1").id is not None


def broken_off(path: Path, kept_segment: int) -> None:
    """Leave what an init leaves that could not write on: settings with an id, and no transaction."""
    for name in ("index.1", "hints.1", "integrity.1", "nonce"):
        (path / name).unlink(missing_ok=True)
    for segment in (path / "data/0").iterdir():
        segment.write_bytes(segment.read_bytes()[:kept_segment])


@pytest.mark.parametrize("kept_segment", [0, 16])
def test_an_init_that_broke_off_is_told_and_nothing_of_it_is_known(
    world, borgpull, borg, repository, kept_segment
) -> None:
    broken_off(repository, kept_segment)
    world.local([["note", f"{world.root}/started"], ["start"]], borg=borg, jobs="[default, init]")
    for job in ("default", "init"):
        status, _, err = borgpull("run", "web1", "--job", job)
        assert status == 2 and f"web1 {job}: failed (launcher: repository-unfinished)" in err
        assert f"rm -r {repository}/*" in err and "borgpull run web1 --job init" in err
    assert not os.path.exists(f"{world.root}/started")
    assert borgpull("test", "web1")[0] == borgpull("compact", "web1")[0] == borgpull("status", "web1")[0] == 2
    assert not kept(world).knows_repository and not kept(world).alerts
    subprocess.run(["sh", "-c", f"rm -r {repository}/*"], check=True)
    steps = [["start", "init"], ["borg", borg, "init", "-e", "none", "REPO"]]
    (report,) = world.run(world.local(steps, jobs="[init]", borg=borg), Timeouts())
    assert report.verdict.outcome == "ok" and kept(world).repository == repo_config.read(str(repository)).id


def test_a_repository_whose_index_is_lost_is_none_that_broke_off(world, borg, repository) -> None:
    for name in ("index.1", "hints.1", "integrity.1"):
        (repository / name).unlink()
    seen = repositories.inspect(world.folders, world.local([["start"]], borg=borg), 1.0)
    assert seen.verdict is None and kept(world).repository is not None


def test_a_repository_that_goes_away_during_a_run_makes_that_run_a_failure(world, borg, target, repository) -> None:
    serve = world.root / "serve"
    serve.write_text(f"#!/bin/sh\ncat >/dev/null\nrm {repository}/config\n")
    serve.chmod(0o755)
    (report,) = world.run(world.local([["start"], ["exit", "ok", 0]], borg=serve))
    assert (report.verdict.outcome, report.verdict.reason) == ("failed", "repository-gone")
    assert "repository-gone" in kept(world).alerts and kept(world).jobs["default"].last.outcome == "failed"


def test_a_state_of_an_earlier_version_knows_that_there_was_a_repository(world, target, repository) -> None:
    state = kept(world)
    state.repository = None
    state_file.save(world.folders, NAME, state)
    without_config(repository)
    assert world.run(target)[0].verdict.reason == "repository-gone"


def test_the_same_repository_at_another_path_is_the_same(world, borg, target, repository) -> None:
    repository.rename(world.root / "repo/moved")
    steps = [["start"], ["exit", "ok", 0]]
    moved = world.local(steps, repository=world.root / "repo/moved", borg=world.quiet_serve())
    assert world.run(moved)[0].verdict.outcome == "ok"


def test_whoever_may_not_look_at_a_repository_does_not_call_it_gone(world, borgpull, target, monkeypatch) -> None:
    def hidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(repo_config, "read", hidden)
    assert "unusable" not in borgpull("status")[1]
    assert repositories.problem(target, kept(world)).reason == "repository-gone"


def test_on_a_full_disk_the_backup_is_made_and_that_nothing_was_kept_is_told(world, borg, repository) -> None:
    target = world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    (world.root / "state/web1/borg").mkdir(parents=True)
    with full_disk():
        seen = repositories.inspect(world.folders, target, 1.0)
    assert seen.verdict is None and [alert.reason for alert in seen.alerts] == ["state-unwritable"]
    assert kept(world).repository is None and not os.path.exists(world.folders.copies(NAME) + "/new")
    seen = repositories.inspect(world.folders, target, 1.0)
    assert not seen.alerts and kept(world).repository == repo_config.read(str(repository)).id


def test_a_state_that_cannot_be_read_is_told_although_the_id_is_kept_anew(world, target) -> None:
    Path(world.folders.memory(NAME)).write_bytes(b"{")
    (report,) = world.run(target)
    assert "state-lost" in [alert.reason for alert in report.alerts]
    assert kept(world).repository is not None and "state-lost" in kept(world).alerts


def test_forget_names_what_it_forgets(world, borgpull, target) -> None:
    assert borgpull("forget", "web1")[0] == 2
    assert borgpull("forget", "web1", "--job", "default", "--job", "none")[0] == 2
    assert list(kept(world).jobs) == ["default"]
    status, out, _ = borgpull("forget", "web1", "--job", "default")
    assert (status, out, list(kept(world).jobs)) == (0, "web1: forgot job 'default'\n", [])
    assert kept(world).accepted[-1].alerts == ("forgot job 'default'",)


def test_how_far_a_check_came_is_no_change_of_the_config(tmp_path) -> None:
    """`borg check --max-duration` notes it there, and takes it away when it has come to the end."""
    settings = b"[repository]\nversion = 1\nkey = aGVsbG8\n\taGVsbG8=\n\n"
    (tmp_path / "config").write_bytes(settings)
    before = repo_config.read(str(tmp_path))
    for noted in (b"last_segment_checked = 7\n", b"last_segment_checked = 12345\n"):
        (tmp_path / "config").write_bytes(settings.replace(b"key", noted + b"key"))
        assert repo_config.read(str(tmp_path)).lasting == before.lasting == before.digest
    for more in (b"key = other\n", b"\tlast_segment_checked = 7\n", b"last_segment_checked = 7 \n"):
        (tmp_path / "config").write_bytes(settings + more)
        assert repo_config.read(str(tmp_path)).lasting != before.lasting
