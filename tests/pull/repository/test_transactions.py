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


def backed_up(world, borg: str, repository: Path) -> tuple[Path, int]:
    """Back up a file; return the hints, and how much of the quota is used by them."""
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(world.root / "init")}
    env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    before = transactions.last(str(repository))
    (world.root / "file").write_bytes(os.urandom(300_000))
    argv = [borg, "create", f"{repository}::one", str(world.root / "file")]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    number = transactions.last(str(repository))
    assert number > before
    path = repository / f"hints.{number}"
    return path, msgpack.unpackb(path.read_bytes(), raw=True, strict_map_key=False)[b"storage_quota_use"]


def test_the_numbers_are_borgs_own(world, borg: str, repository: Path) -> None:
    hints, counted = backed_up(world, borg, repository)
    largest = max(repository.glob("data/*/*"), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    os.truncate(largest, 0)  # so that the files are less than what borg counts
    assert transactions.used(str(repository)) == counted > 300_000
    largest.write_bytes(content)
    hints.write_bytes(b"")
    assert counted < transactions.used(str(repository)) < 2 * counted


def test_files_count_as_the_disk_has_them_where_that_is_more(world, borg: str, repository: Path) -> None:
    _, counted = backed_up(world, borg, repository)
    paths = [path for path in repository.glob("data/*/*") if path.name != "0"]
    with paths[0].open("ab") as file:
        file.write(bytes(1_000_000))
    taken = sum(512 * path.stat().st_blocks for path in repository.glob("data/*/*"))
    assert counted < 1_000_000 < taken == transactions.used(str(repository))


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
