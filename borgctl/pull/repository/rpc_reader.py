r"""Read numbers, lengths and texts as borg packs them with msgpack, to the byte; refuse every longer form.

It knows no method and no message: `rpc_messages` does.

    >>> Reader(b"\xcc\x80", 0).number()  # b"\xcc\x01" is refused: a longer form
    128
"""

from typing import NoReturn


class RpcRefused(Exception):  # noqa: N818 - reads as what it says
    """What a client said and may not; `method` is borg's name for it or "unknown", never the client's words."""

    def __init__(self, method: str, rule: str, detail: str = "") -> None:
        super().__init__(f"{method}: {rule}: {detail}")
        self.method, self.rule, self.detail = method, rule, detail


class Short(Exception):  # noqa: N818 - `rpc_messages.read` catches it
    """The bytes end before the message does."""


class Reader:
    """A place in the bytes; every step checks what it takes and goes on behind it."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.method = data, at, "unknown"

    def refuse(self, detail: str, rule: str = "encoding") -> NoReturn:
        """Refuse the message."""
        raise RpcRefused(self.method, rule, detail)

    def take(self, count: int) -> bytes:
        """Take so many bytes."""
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise Short
        self.at += count
        return taken

    def literal(self, expected: bytes) -> None:
        """Take these bytes; refuse as soon as one differs."""
        there = self.data[self.at : self.at + len(expected)]
        if not expected.startswith(there):
            self.refuse("not as borg packs it")
        self.take(len(expected))

    def number(self) -> int:
        """Take an unsigned number in its shortest form."""
        first = self.take(1)[0]
        if first < 0x80:
            return first
        if not 0xCC <= first <= 0xCF:
            self.refuse("not a number")
        width = 1 << first - 0xCC
        number = int.from_bytes(self.take(width), "big")
        if number < (0x80, 0x100, 0x10000, 0x100000000)[first - 0xCC]:
            self.refuse("a number in a longer form")
        return number

    def length(self, most: int) -> int:
        """Take the length of a text in its shortest form; refuse one that is too long before its bytes have come."""
        first = self.take(1)[0]
        if 0xA0 <= first <= 0xBF:
            length = first & 0x1F
        elif first in (0xDA, 0xDB):
            length = int.from_bytes(self.take(2 if first == 0xDA else 4), "big")
            if length < (0x20 if first == 0xDA else 0x10000):
                self.refuse("a length in a longer form")
        else:
            self.refuse("not a text")
        if length > most:
            self.refuse(f"{length} bytes, {most} at most", "size")
        return length
