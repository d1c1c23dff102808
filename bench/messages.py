"""What a `borg create` says to its server, made up: legal messages to the byte, with random data, and their answers.

It knows borg's protocol and nothing of who carries the bytes.

    talk = Talk("/srv/borg/web1", "small")
    for ask, answer in talk.opening: …
    for parts, answer in talk.puts(): os.writev(fd, parts)
"""

import itertools
import os
import random
from collections.abc import Iterator

Parts = tuple[bytes, memoryview]

BIG = {"small": (32, 2 << 20), "full": (512, 2 << 20)}  # puts, bytes of each: as borg cuts large files
LITTLE = {"small": 1_000, "full": 20_000}  # puts of 0.1 to 9 KB: small files
IDENTITY = bytes(range(32))  # the repository's
_DATA = 16 << 20  # bytes, of which all data is cut


def text(length: int) -> bytes:
    """Return what msgpack's old form has before a text of so many bytes."""
    if length < 32:
        return bytes([0xA0 + length])
    return b"\xda" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdb" + length.to_bytes(4, "big")


def integer(value: int) -> bytes:
    """Return a number in msgpack's shortest form."""
    if value < 128:
        return bytes([value])
    return b"\xcc" + bytes([value]) if value < 256 else b"\xcd" + value.to_bytes(2, "big")


def word(value: bytes) -> bytes:
    """Return a text in msgpack's old form."""
    return text(len(value)) + value


def call(number: int, method: bytes, members: int) -> bytes:
    """Return a message's head, up to its arguments."""
    return b"\x83\xa1i" + integer(number) + b"\xa1m" + word(method) + b"\xa1a" + bytes([0x80 + members])


def answer(number: int, value: bytes = b"\xc0") -> bytes:
    """Return an answer; by default that of a put."""
    return b"\x82\xa1i" + integer(number) + b"\xa1r" + value


class Talk:
    """The messages of one backup of this size; each call of `puts` yields the same ones."""

    def __init__(self, repository: str, size: str) -> None:
        number, length = BIG[size]
        draw = random.Random(8)  # noqa: S311
        self._lengths = [length] * number + [draw.randrange(100, 9_000) for _ in range(LITTLE[size])]
        draw.shuffle(self._lengths)
        self._data = memoryview(os.urandom(_DATA))
        negotiate = (
            b"\x94\x01\x01" + word(b"negotiate") + b"\x91\x81" + word(b"client_version") + b"\x94\x01\x04\x05\xff"
        )
        flags = ((b"create", b"\xc2"), (b"lock_wait", b"\x01"), (b"lock", b"\xc3"), (b"exclusive", b"\xc3"))
        more = ((b"append_only", b"\xc2"), (b"make_parent_dirs", b"\xc2"))
        path = word(b"path") + word(os.fsencode(repository))
        opening = call(2, b"open", 7) + path + b"".join(word(name) + value for name, value in (*flags, *more))
        self.opening = ((negotiate, b"\x94\x01\x01\xc0\x80"), (opening, answer(2, word(IDENTITY))))

    def puts(self) -> Iterator[tuple[Parts, bytes]]:
        """Yield each put, in two parts, and its answer."""
        for number, length in zip(itertools.count(3), self._lengths, strict=False):
            id_ = word(b"id") + word(number.to_bytes(32, "big"))
            at = number * 4096 % (_DATA - length)
            head = call(number, b"put", 2) + id_ + word(b"data") + text(length)
            yield (head, self._data[at : at + length]), answer(number)
