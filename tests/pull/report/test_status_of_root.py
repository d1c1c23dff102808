"""Root's look at targets follows nothing that the repositories' user has put into a repository."""

import os
from pathlib import Path

import pytest

from borgctl.pull.report import status
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.paths import TargetName

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
THEM = 64123
COMMIT = bytes.fromhex("40f43c250900000002")


@pytest.fixture
def repository(world) -> Path:
    """Give what an init that broke off leaves, which is theirs; every user can reach it."""
    world.root.chmod(0o755)
    world.local([])
    path = world.root / "repo/web1"
    path.mkdir(parents=True)
    (path / "config").write_text("[repository]\n")
    for one in (path, path / "config"):
        os.chown(one, THEM, THEM)
    return path


def rows(world) -> list[str]:
    (standing,) = status.standings(world.folders, ["web1"], 0.0)
    return [f"{row.state}: {row.text}" for row in standing.rows]


def unfinished(world) -> bool:
    return rows(world)[0].startswith("unusable: repository-unfinished: ")


def test_a_link_of_theirs_leads_root_to_nothing_that_they_cannot_read(world, repository) -> None:
    """It would be taken for a repository with a commit, if root read what the link leads to."""
    segments = world.root / "roots/0"
    segments.mkdir(parents=True)
    (segments / "1").write_bytes(COMMIT)
    (world.root / "roots").chmod(0o700)
    (repository / "data").symlink_to(world.root / "roots")
    assert unfinished(world)
    assert os.geteuid() == 0
    (world.root / "roots").chmod(0o755)
    assert not unfinished(world), "they can read it now"


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_where_anybody_may_have_put_it_there_root_looks_as_the_launchers_user(world, repository, mode) -> None:
    (repository / "config").chmod(0o600)
    (world.root / "repo").chmod(mode)
    os.chown(world.root / "config", THEM + 1, THEM + 1)
    assert not unfinished(world), "that user cannot read it"
    (repository / "config").chmod(0o644)
    assert unfinished(world)


def test_a_repository_that_is_gone_is_told_to_root(world) -> None:
    world.root.chmod(0o755)
    world.local([])
    state_file.save(world.folders, TargetName("web1"), State(repository="a" * 64))
    assert rows(world)[0].startswith("unusable: repository-gone: ")
