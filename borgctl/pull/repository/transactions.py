"""Transactions: the last one of a repository, and how much of the quota is used. No key is needed.

borg serve writes `index.N` and `hints.N` with each commit, N being the last segment of it (borg's internals, "Segments,
index and hints"). Hints are borg's to write, not the client's.

    last("/srv/borg/web1") == 42     used("/srv/borg/web1") == 12_345_678
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from borgctl.fs import plain_file

_LONGEST = 64 << 20  # bytes; hints have about 6 for each segment, and we need only their first part
_COMMIT = bytes.fromhex("40f43c250900000002")  # the entry that ends a transaction in a segment, checksum first
_QUOTA_KEY = b"storage_quota_use"
_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # msgpack's unsigned integers


def is_there(repository: str) -> bool:
    """Tell whether anything is at that path: yes for what cannot be read, no for an empty directory."""
    try:
        with os.scandir(repository) as entries:
            return next(entries, None) is not None or os.path.islink(repository)
    except FileNotFoundError:
        return os.path.islink(repository)
    except OSError:
        return True


def last(repository: str) -> int | None:
    """Return the number of the last transaction; None where there is none."""
    return max(_numbers(repository, "index"), default=None)


def committed(repository: str) -> bool:
    """Tell whether anything was ever committed, also where the index is lost, which borg makes again."""
    return last(repository) is not None or any(map(_ends_with_commit, segments(repository)))


def void(repository: str) -> list[str]:
    """Return the paths of segments after the last committed one; borg replays those that the index lacks."""
    newest, paths = last(repository), []
    for path in sorted(segments(repository), key=lambda path: int(os.path.basename(path)), reverse=True):
        if newest is None or int(os.path.basename(path)) <= newest or _ends_with_commit(path):
            break
        paths.append(path)
    return paths


def segments(repository: str) -> Iterator[str]:
    """Yield the path of each segment; its name is its number."""
    for folder, folders, files in os.walk(f"{repository}/data"):
        folders[:] = [name for name in folders if name.isdecimal()]
        yield from (f"{folder}/{name}" for name in files if name.isdecimal())


def _ends_with_commit(path: str) -> bool:
    with suppress(OSError), open(plain_file.descriptor(path), "rb") as file:
        file.seek(-len(_COMMIT), os.SEEK_END)
        return file.read() == _COMMIT
    return False


def used(repository: str) -> int:
    """Return how many bytes of the quota are used: as borg counts them, or what its files take of the disk, if more.

    borg counts no files: thousands of small commits take far more of the disk. And its hints may be lost, or too low.
    """
    number = last(repository)
    if number is None:
        return 0
    taken = _taken(repository, number)
    try:
        with open(plain_file.descriptor(f"{repository}/hints.{number}"), "rb") as file:
            return max(taken, quota_use(file.read(_LONGEST)))
    except (OSError, ValueError, IndexError):
        return taken


def quota_use(hints: bytes) -> int:
    """Read `storage_quota_use` from hints, a msgpack map whose maps before that key have integers only.

    Raise ValueError or IndexError for anything else.
    """
    count, at = _head(hints, 0, fix=0x80, wide={0xDE: 2, 0xDF: 4})
    for _ in range(count):
        length, at = _head(hints, at, fix=0xA0, wide={0xD9: 1, 0xDA: 2})
        key, at = hints[at : at + length], at + length
        if key == _QUOTA_KEY:
            return _integer(hints, at)[0]
        at = _skip(hints, at)
    raise ValueError("no quota in the hints")


def _skip(data: bytes, at: int) -> int:
    """Return where the value ends that begins at `at`: an integer, or a map of integers."""
    if not (0x80 <= data[at] <= 0x8F or data[at] in (0xDE, 0xDF)):
        return _integer(data, at)[1]
    pairs, at = _head(data, at, fix=0x80, wide={0xDE: 2, 0xDF: 4})
    for _ in range(2 * pairs):
        at = _integer(data, at)[1]
    return at


def _head(data: bytes, at: int, *, fix: int, wide: dict[int, int]) -> tuple[int, int]:
    """Read a length: in the low bits of the first byte, or in as many bytes after it."""
    first = data[at]
    if first in wide:
        end = at + 1 + wide[first]
        return int.from_bytes(data[at + 1 : end], "big"), end
    mask = 0x0F if fix == 0x80 else 0x1F
    if first & ~mask != fix:
        raise ValueError("not the hints that borg writes")
    return first & mask, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Read a number that is not negative; return it and where it ends."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first not in _WIDTHS or at + 1 + _WIDTHS[first] > len(data):
        raise ValueError("not the hints that borg writes")
    end = at + 1 + _WIDTHS[first]
    return int.from_bytes(data[at + 1 : end], "big"), end


def _taken(repository: str, newest: int) -> int:
    """Return what all segments that are committed take of the disk; borg removes the others before it writes."""
    total = 0
    for path in segments(repository):
        if int(os.path.basename(path)) <= newest:
            with suppress(OSError):
                status = os.lstat(path)
                total += 512 * status.st_blocks if stat.S_ISREG(status.st_mode) else 0
    return total


def _numbers(repository: str, kind: str) -> list[int]:
    try:
        names = os.listdir(repository)
    except OSError:
        return []
    return [int(found[1]) for name in names if (found := re.fullmatch(rf"{kind}\.([0-9]{{1,18}})", name))]
