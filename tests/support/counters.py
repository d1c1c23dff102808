"""Which nonces a repository's texts were encrypted with: read from its segments, with no key. argv: none, a module.

An encrypted object is: type (1), MAC (32), the first block's counter (8), text. borg counts blocks of 16 bytes.
"""

import struct
from collections import Counter
from pathlib import Path

_HEADER = struct.Struct("<IIB")  # CRC, size, tag (borg/repository.py)
_PUT, _PUT2 = 0, 3


def spans(repository):
    """Return the blocks of every object in the repository as {(first, behind the last), …}."""
    found = set()
    for segment in sorted(Path(repository, "data").glob("*/*"), key=lambda path: int(path.name)):
        data, at = segment.read_bytes(), 8
        while at < len(data):
            _, size, tag = _HEADER.unpack_from(data, at)
            start = at + _HEADER.size + 32 + (8 if tag == _PUT2 else 0)
            if tag in (_PUT, _PUT2):
                found.add(_span(data[start : at + size]))
            at += size
    return found


def _span(text):
    first = int.from_bytes(text[33:41], "big")
    return first, first + -(-(len(text) - 41) // 16), hash(text)


def twice(*repositories):
    """Return the blocks that two different texts were encrypted with."""
    texts = set().union(*map(spans, repositories))
    used = Counter(block for first, end, _ in texts for block in range(first, end))
    return {block for block, times in used.items() if times > 1}
