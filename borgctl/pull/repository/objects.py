"""Objects of a repository, by the index that borg wrote with its last commit. No key is needed.

index.N: the header (magic, entries, buckets, bytes of a key and of a value), then buckets of 40 bytes: the id, and
where it lies, as two little-endian numbers; the first is 2^32 - 1 in one that was never used and 2^32 - 2 in one
that was freed. An id stands in the bucket of its first four bytes, or in one behind it (borg/_hashindex.c, 1.x)

with objects("/srv/borg/web1") as known: known(id)
place("/srv/borg/web1", id)          8 bytes, other ones wherever the object is put again; None where it is not there
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from borgctl.fs import plain_file
from borgctl.pull.repository import transactions

_HEADER = struct.Struct("<8siibb")
_MAGIC = b"BORG_IDX"
_ID, _BUCKET = 32, 40  # bytes
_PIECE = 25  # buckets that are read at once; few ids stand farther behind their place
_UNUSED, _FREED = b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff"


@contextmanager
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
        index = _Index(f"{repository}/index.{number}")
    except (OSError, ValueError):
        yield lambda _: True
        return
    with contextlib.closing(index):
        yield lambda id_: index.place(id_) is not None


def place(repository: str, id_: bytes) -> bytes | None:
    """Return where the object lay at the last commit, as the index has it; None where that is not known."""
    number = transactions.last(repository)
    if number is None:
        return None
    try:
        with contextlib.closing(_Index(f"{repository}/index.{number}")) as index:
            return index.place(id_)
    except (OSError, ValueError):
        return None


def _has_segments(repository: str) -> bool:
    try:
        with os.scandir(f"{repository}/data") as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False
    except OSError:
        return True


class _Index:
    """An open index. It is read in pieces: mapped, the index of a large repository would be memory of ours."""

    def __init__(self, path: str) -> None:
        """Open an index; raise OSError or ValueError where it is not one."""
        self._fd = plain_file.descriptor(path)
        try:
            magic, _, self._buckets, key, value = _HEADER.unpack(self._read(0, _HEADER.size))
            size = _HEADER.size + self._buckets * _BUCKET
            if (magic, key, value) != (_MAGIC, _ID, _BUCKET - _ID) or self._buckets < 1:
                raise ValueError(path)
            if os.fstat(self._fd).st_size != size:
                raise ValueError(path)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        os.close(self._fd)

    def place(self, id_: bytes) -> bytes | None:
        """Look up an id as borg does; return where the object lies. Raise ValueError where the file became shorter."""
        bucket, left = int.from_bytes(id_[:4], "little") % self._buckets, self._buckets
        while left:
            count = min(_PIECE, left, self._buckets - bucket)
            piece = self._read(_HEADER.size + bucket * _BUCKET, count * _BUCKET)
            for at in range(0, len(piece), _BUCKET):
                state = piece[at + _ID : at + _ID + 4]
                if state == _UNUSED:
                    return None
                if state != _FREED and piece[at : at + _ID] == id_:
                    return piece[at + _ID : at + _BUCKET]
            bucket, left = (bucket + count) % self._buckets, left - count
        return None

    def _read(self, at: int, size: int) -> bytes:
        data = os.pread(self._fd, size, at)
        if len(data) < size:
            raise ValueError("not an index, or one that became shorter")
        return data
