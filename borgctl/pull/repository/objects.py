"""Objects of a repository, by the index that borg wrote with its last commit. No key is needed.

index.N: the header (magic, entries, buckets, bytes of a key and of a value), then buckets of 40 bytes: the id, and
where it lies, as two little-endian numbers; the first is 2^32 - 1 in one that was never used and 2^32 - 2 in one
that was freed. An id stands in the bucket of its first four bytes, or in one behind it (borg/_hashindex.c, 1.x)

with objects("/srv/borg/web1") as known: known(id)
place("/srv/borg/web1", id)          8 bytes, other ones wherever the object is put again; None where it is not there
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator

from borgctl.pull.repository import transactions

_HEADER = struct.Struct("<8siibb")
_MAGIC = b"BORG_IDX"
_ID, _BUCKET = 32, 40  # bytes
_UNUSED, _FREED = b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff"


@contextlib.contextmanager
def objects(repository: str) -> Iterator[Callable[[bytes], bool]]:
    """Give a function that tells whether the repository had an object at its last commit.

    Where there are segments but no readable index, every object is taken to be there. borg never writes into an
    existing index: it makes a new one.
    """
    number = transactions.last(repository)
    if number is None:
        there = _has_segments(repository)
        yield lambda _: there
        return
    try:
        index = _open(f"{repository}/index.{number}")
    except (OSError, ValueError):
        yield lambda _: True
        return
    with index:
        yield lambda id_: _find(index, id_) is not None


def place(repository: str, id_: bytes) -> bytes | None:
    """Return where the object lay at the last commit, as the index has it; None where that is not known."""
    number = transactions.last(repository)
    if number is None:
        return None
    try:
        index = _open(f"{repository}/index.{number}")
    except (OSError, ValueError):
        return None
    with index:
        at = _find(index, id_)
        return None if at is None else index[at + _ID : at + _BUCKET]


def _has_segments(repository: str) -> bool:
    try:
        with os.scandir(f"{repository}/data") as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _open(path: str) -> mmap.mmap:
    """Map an index; raise OSError or ValueError where it is not one."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        index = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)
    if len(index) >= _HEADER.size:
        magic, _, buckets, key, value = _HEADER.unpack_from(index)
        size = _HEADER.size + buckets * _BUCKET
        if (magic, key, value) == (_MAGIC, _ID, _BUCKET - _ID) and buckets > 0 and len(index) == size:
            return index
    index.close()
    raise ValueError(path)


def _find(index: mmap.mmap, id_: bytes) -> int | None:
    """Look up an id as borg does; return where its bucket begins."""
    buckets = (len(index) - _HEADER.size) // _BUCKET
    bucket = int.from_bytes(id_[:4], "little") % buckets
    for _ in range(buckets):
        at = _HEADER.size + bucket * _BUCKET
        state = index[at + _ID : at + _ID + 4]
        if state == _UNUSED:
            return None
        if state != _FREED and index[at : at + _ID] == id_:
            return at
        bucket = (bucket + 1) % buckets
    return None
