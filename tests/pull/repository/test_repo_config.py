"""A repository's config is read as far as it is one."""

import hashlib
import os
from contextlib import nullcontext

import pytest
from machines import seeing_opens

from borgctl.pull.repository import contents, objects, repo_config, transactions


def test_of_a_config_without_an_end_no_more_than_its_first_mebibyte_is_read(tmp_path) -> None:
    """A file with a hole of terabytes takes no room, and hours to read."""
    path, size = tmp_path / "config", 4 * repo_config.LARGEST
    path.write_bytes(b"[repository]\n" + b"#" * repo_config.LARGEST)
    files = []
    for byte in (b"a", b"b"):
        with path.open("r+b") as file:
            file.seek(size - 1)
            file.write(byte)
        os.utime(path, (5, 5))
        files.append(repo_config.read(str(tmp_path)))
    assert files[0] == files[1]
    assert (files[0].size, files[0].whole, len(files[0].data)) == (size, False, repo_config.LARGEST)


def test_a_large_config_is_another_one_with_another_beginning_size_or_time(tmp_path) -> None:
    path, digests = tmp_path / "config", []
    for byte, size, time in ((b"a", 1, 5), (b"b", 1, 5), (b"b", 2, 5), (b"b", 2, 6)):
        path.write_bytes(byte * (repo_config.LARGEST + size))
        os.utime(path, (time, time))
        digests += [repo_config.read(str(tmp_path)).digest, repo_config.read(str(tmp_path)).lasting]
    assert len(set(digests)) == 4


@pytest.mark.parametrize("size", [0, 5, repo_config.LARGEST])
def test_a_whole_config_has_its_own_hash(tmp_path, size) -> None:
    (tmp_path / "config").write_bytes(b"a" * size)
    file = repo_config.read(str(tmp_path))
    assert file.whole and file.digest == hashlib.sha256(b"a" * size).hexdigest()


@pytest.mark.parametrize("name", ["config", "index.1", "hints.1", "integrity.1", "data/0/1"])
def test_what_is_no_file_in_the_place_of_a_repositorys_file_is_not_even_opened(tmp_path, name) -> None:
    """A FIFO waits for a writer, and the next terminal that a process without one opens interrupts it (open(2))."""
    (tmp_path / "data/0").mkdir(parents=True)
    for other in ("config", "index.1", "hints.1", "integrity.1", "data/0/1"):
        (tmp_path / other).write_bytes(b"x")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with seeing_opens(f"{tmp_path}/{name}") as opened:
        with nullcontext() if name != "config" else pytest.raises(OSError, match="no regular file"):
            repo_config.read(str(tmp_path))
        transactions.used(str(tmp_path))
        contents.contents(str(tmp_path))
        transactions.void(str(tmp_path))
        with objects.objects(str(tmp_path)):
            pass
        if name == "data/0/1":
            (tmp_path / "index.1").unlink()
        transactions.committed(str(tmp_path))
        assert not opened()
