"""The objects of a repository, by its index."""

import os
import struct
from pathlib import Path

import pytest

from borgctl.pull.repository.objects import objects, place

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
NEVER, FREED = 0xFFFFFFFF, 0xFFFFFFFE


def index(*buckets: tuple[bytes, int], magic: bytes = b"BORG_IDX", more: bytes = b"") -> bytes:
    """Return an index of these buckets: each an id, and the segment, or what stands there instead."""
    body = b"".join(id_ + struct.pack("<II", segment, 8) for id_, segment in buckets)
    return struct.pack("<8siibb", magic, len(buckets), len(buckets), 32, 8) + body + more


@pytest.mark.parametrize("here", range(4))
def test_an_id_stands_in_its_bucket_or_behind_it_also_over_the_end(here, tmp_path):
    wanted = here.to_bytes(4, "little") + bytes(28)
    buckets = [(bytes(32), NEVER)] * 4
    buckets[here], buckets[(here + 1) % 4] = (ONE, FREED), (wanted, 7)
    (tmp_path / "index.9").write_bytes(index(*buckets))
    with objects(str(tmp_path)) as known:
        assert known(wanted)
        assert not known(wanted[:4] + THREE[4:])
        assert not known(ONE)


def test_a_full_index_ends_the_search(tmp_path):
    (tmp_path / "index.9").write_bytes(index((ONE, 1), (TWO, 2)))
    with objects(str(tmp_path)) as known:
        assert known(ONE) and known(TWO) and not known(THREE)


@pytest.mark.parametrize("begin", [0, 10, 60, 99])
def test_an_id_may_stand_far_behind_its_place(begin, tmp_path):
    buckets = [(b"\xff" * 4 + bytes(28), NEVER)] * 100
    ids = [begin.to_bytes(4, "little") + number.to_bytes(28, "little") for number in range(70)]
    for number, id_ in enumerate(ids):
        buckets[(begin + number) % 100] = (id_, number)
    (tmp_path / "index.9").write_bytes(index(*buckets))
    with objects(str(tmp_path)) as known:
        assert all(map(known, ids)) and not known(ids[0][:4] + THREE[4:])
    assert place(str(tmp_path), ids[69]) == struct.pack("<II", 69, 8)


def test_a_large_index_is_no_memory_of_the_guards(tmp_path):
    (tmp_path / "index.9").write_bytes(index((ONE, 1), (TWO, 2)))
    with objects(str(tmp_path)) as known:
        assert known(ONE) and "index.9" not in Path("/proc/self/maps").read_text()


def test_where_an_index_became_shorter_nothing_is_taken_to_be_new(tmp_path):
    (tmp_path / "index.9").write_bytes(index((ONE, 1), (TWO, 2)))
    with objects(str(tmp_path)) as known:
        os.truncate(tmp_path / "index.9", 30)
        with pytest.raises(ValueError, match="shorter"):
            known(THREE)


@pytest.mark.parametrize(
    "content",
    [b"", b"BORG_IDX", index((ONE, 1), magic=b"BORG2IDX"), index((ONE, 1), more=b"x"), index()],
    ids=["empty", "cut", "another", "longer", "no buckets"],
)
def test_where_the_index_cannot_be_read_every_object_may_be_there(content, tmp_path):
    (tmp_path / "index.9").write_bytes(content)
    with objects(str(tmp_path)) as known:
        assert known(THREE)


def test_no_link_is_followed_to_an_index(tmp_path):
    (tmp_path / "other").write_bytes(index((ONE, 1)))
    (tmp_path / "index.9").symlink_to("other")
    with objects(str(tmp_path)) as known:
        assert known(THREE)


def test_a_repository_without_a_commit_has_objects_only_where_it_has_segments(tmp_path):
    for make, there in (("", False), ("data", False), ("data/0", True)):
        (tmp_path / make).mkdir(exist_ok=True)
        with objects(str(tmp_path)) as known:
            assert known(ONE) is there
