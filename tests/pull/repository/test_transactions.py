"""What a repository's files say, compared with what borg itself says of them."""

import contextlib
import os
import subprocess
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.repository import transactions

NUMBERS = st.integers(0, 2**64 - 1)
MAPS = st.dictionaries(NUMBERS, NUMBERS, max_size=40)


def test_the_numbers_are_borgs_own(world, borg: str, repository: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init")}
    env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    before = transactions.last(str(repository))
    (world.root / "file").write_bytes(os.urandom(300_000))
    argv = [borg, "create", f"{repository}::one", str(world.root / "file")]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    assert transactions.last(str(repository)) > before
    number = transactions.last(str(repository))
    hints = msgpack.unpackb((repository / f"hints.{number}").read_bytes(), raw=True, strict_map_key=False)
    assert transactions.used(str(repository)) == hints[b"storage_quota_use"] > 300_000
    segments = sum(path.stat().st_size for path in repository.glob("data/*/*"))
    (repository / f"hints.{number}").write_bytes(b"")
    assert hints[b"storage_quota_use"] < transactions.used(str(repository)) <= segments


@given(MAPS, MAPS, NUMBERS, st.dictionaries(st.binary(min_size=32, max_size=32), st.lists(NUMBERS), max_size=5))
def test_hints_are_read_as_msgpack_reads_them(segments, compact, used, shadow) -> None:
    told = {b"version": 2, b"segments": segments, b"compact": compact, b"storage_quota_use": used}
    packed = msgpack.packb(told | {b"shadow_index": shadow}, use_bin_type=False)
    assert transactions.quota_use(packed) == used


@given(st.binary(max_size=200))
def test_reading_is_total(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError):
        assert transactions.quota_use(data) >= 0


@pytest.mark.parametrize("names", [[], ["index.", "index.x", "index.12.tmp", "hints.9", "index.-1"]])
def test_without_an_index_there_is_no_transaction(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert transactions.last(str(tmp_path)) is None
    assert transactions.used(str(tmp_path)) == 0


def test_only_what_does_not_exist_and_an_empty_directory_is_not_there(tmp_path: Path) -> None:
    place = str(tmp_path)
    assert not transactions.is_there(place)
    assert not transactions.is_there(place + "/missing")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/config").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert not transactions.is_there(place + "/empty")
    for name in ("/dangling", "/file", "/file/below", "/full", "/link", ""):
        assert transactions.is_there(place + name), name
