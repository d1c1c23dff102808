"""The objects of a repository, by its index."""

import struct

import pytest

from borgctl.pull.repository.objects import objects

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
NEVER, FREED = 0xFFFFFFFF, 0xFFFFFFFE


def index(*buckets: tuple[bytes, int], magic: bytes = b"BORG_IDX", more: bytes = b"") -> bytes:
    """Return an index of these buckets: each an id, and the segment, or what stands there instead."""
    body = b"".join(id_ + struct.pack("<II", segment, 8) for id_, segment in buckets)
    return struct.pack("<8siibb", magic, len(buckets), len(buckets), 32, 8) + body + more


@pytest.mark.parametrize("place", range(4))
def test_an_id_stands_in_its_bucket_or_behind_it_also_over_the_end(place, tmp_path):
    wanted = place.to_bytes(4, "little") + bytes(28)
    buckets = [(bytes(32), NEVER)] * 4
    buckets[place], buckets[(place + 1) % 4] = (ONE, FREED), (wanted, 7)
    (tmp_path / "index.9").write_bytes(index(*buckets))
    with objects(str(tmp_path)) as known:
        assert known(wanted)
        assert not known(wanted[:4] + THREE[4:])
        assert not known(ONE)


def test_a_full_index_ends_the_search(tmp_path):
    (tmp_path / "index.9").write_bytes(index((ONE, 1), (TWO, 2)))
    with objects(str(tmp_path)) as known:
        assert known(ONE) and known(TWO) and not known(THREE)


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
