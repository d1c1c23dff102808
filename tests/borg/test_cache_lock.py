"""The lock that a killed borg left on its cache is removed, and nothing else."""

import os

import pytest

from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

A, B = RepositoryPath("/srv/a"), RepositoryPath("/srv/b")
ID = "ab" * 32


@pytest.fixture
def base(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "base"))
    pins.set_pin(base, "repository", A, ID)
    yield base
    os.close(base.fd)


@pytest.fixture
def cache(base, tmp_path):
    cache = tmp_path / "base/borg/.cache/borg" / ID
    (cache / "lock.exclusive").mkdir(parents=True)
    (cache / "lock.exclusive" / f"{base.host_id()}.1-0").touch()
    (cache / "lock.roster").write_text(f'{{"exclusive": [["{base.host_id()}", 1, 0]]}}')
    (cache / "config").write_text("kept")
    return cache


def left(cache):
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*"))


def test_our_own_locks_go_whatever_process_has_their_number(base, cache):
    pins.clear_cache_lock(base, A)
    assert left(cache) == ["config"]


def test_a_lock_of_another_host_stays_with_the_roster_that_names_it(base, cache):
    (cache / "lock.exclusive/web2@1.7-0").touch()
    pins.clear_cache_lock(base, A)
    assert left(cache) == ["config", "lock.exclusive", "lock.exclusive/web2@1.7-0", "lock.roster"]


def test_a_roster_that_names_another_host_stays(base, cache):
    (cache / "lock.roster").write_text('{"shared": [["web2@1", 1, 0]]}')
    pins.clear_cache_lock(base, A)
    assert left(cache) == ["config", "lock.roster"]


def test_what_may_be_in_use_by_a_run_at_another_path_stays(base, cache):
    pins.set_pin(base, "repository", B, ID)
    before = left(cache)
    pins.clear_cache_lock(base, A)
    assert left(cache) == before


@pytest.mark.parametrize("name", ["lock.exclusive", "lock.roster", ""])
def test_no_link_is_followed(base, cache, tmp_path, name):
    (tmp_path / "precious").mkdir()
    (tmp_path / f"precious/{base.host_id()}.1-0").touch()
    place = cache / name if name else cache
    place.rename(tmp_path / "away")
    place.symlink_to(tmp_path / "precious")
    pins.clear_cache_lock(base, A)
    assert len(list((tmp_path / "precious").iterdir())) == 1


def test_a_base_that_knows_nothing_has_nothing_to_clear(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "new"))
    pins.clear_cache_lock(base, A)
    os.close(base.fd)
