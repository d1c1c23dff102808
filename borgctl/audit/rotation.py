"""Find a log's older parts, as logrotate(8) leaves them, and read them from the end or from the start.

    NAME.1  NAME.2.gz  NAME-20261123  NAME-20261123.gz, and the same before NAME's own ending (audit-20261123.jsonl)

Names and times only suggest the order of the parts; which one holds a record shows when it is read. This module writes
nothing, and ignores files that another user could have put there. It does not know what a line says.
"""

import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from borgctl.fs.secure_path import ourselves

LONGEST = 1 << 20  # bytes of one line; a record has at most 16 KiB
_BLOCK = 64 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DATED = r"[.-][0-9][0-9._-]{0,30}"


def older(directory: int | str, name: str) -> list[str]:
    """Return the names of the older parts of the log `name`, newest first by their times."""
    stem, ending = os.path.splitext(name)
    pattern = rf"{re.escape(name)}{_DATED}(?:\.gz)?|{re.escape(stem)}{_DATED}{re.escape(ending)}(?:\.gz)?"
    parts = [part for part in os.listdir(directory) if re.fullmatch(pattern, part)]
    dated = [(time, part) for part in parts if (time := _time(directory, part)) is not None]
    return [part for _, part in sorted(dated, reverse=True)]


def _time(directory: int | str, name: str) -> float | None:
    """Return when a part was last written; None where it is no regular file, or others own or may write it."""
    try:
        at = directory if isinstance(directory, int) else None
        status = os.stat(name if at is not None else f"{directory}/{name}", dir_fd=at, follow_symlinks=False)
    except OSError:
        return None
    ours = stat.S_ISREG(status.st_mode) and status.st_uid in ourselves() and not status.st_mode & 0o022
    return status.st_mtime if ours else None


@contextmanager
def reading(directory: int | None, name: str) -> Iterator[int]:
    """Open a part for reading; raise OSError."""
    fd = os.open(name, _FLAGS, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def backwards(fd: int, most: int, skip: Callable[[bytes], bool] = lambda _: False) -> Iterator[bytes]:
    """Yield a file's lines from the last to the first, without newlines, from at most `most` bytes.

    A last line without a newline is yielded as it is. A line longer than LONGEST ends the iteration. Where `skip` is
    true of the earliest whole line of a block, all whole lines of that block are left out.
    """
    at, rest, newest = os.fstat(fd).st_size, b"", True
    while at and most > 0 and len(rest) <= LONGEST:
        start = max(0, at - _BLOCK)
        block = os.pread(fd, at - start, start)
        if len(block) != at - start:  # the file was cut meanwhile
            return
        rest, *lines = (block + rest).split(b"\n")
        if newest and lines and not lines[-1]:
            lines.pop()
        newest, at, most = newest and not lines and not rest, start, most - len(block)
        if lines and not skip(lines[0]):
            yield from reversed(lines)
    if not at and not newest:
        yield rest


def forwards(fd: int, *, packed: bool, most: int | None = None) -> Iterator[bytes]:
    """Yield a file's lines with their newlines, from at most `most` bytes; raise OSError where unpacking fails.

    A line longer than LONGEST comes in several pieces, and the last line may have no newline.
    """
    rest = b""
    for block in _unpacked(fd) if packed else iter(lambda: os.read(fd, _BLOCK), b""):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(rest) > LONGEST:
            yield rest
            rest = b""
        if most is not None:
            most -= len(block)
            if most < 0:
                return
    if rest:
        yield rest


def _unpacked(fd: int) -> Iterator[bytes]:
    """Yield the content of a gzip(1) file, in pieces of bounded size."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        while data := unpack.unconsumed_tail or unpack.unused_data or os.read(fd, _BLOCK):
            if unpack.eof:
                unpack = zlib.decompressobj(wbits=31)
            if piece := unpack.decompress(data, _BLOCK):
                yield piece
    except zlib.error as error:
        raise OSError(0, f"not a gzip file: {error}") from None
    if not unpack.eof:
        raise OSError(0, "the end of the gzip file is missing")


def packed(name: str) -> bool:
    """Tell by its name whether a part is compressed."""
    return name.endswith(".gz")
