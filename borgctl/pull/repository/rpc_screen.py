"""Judge the client's bytes: how many of them may pass. Pure; the process around it is `rpc_guard`.

A message is judged when its last byte has come, a put when its head has, and before any of its bytes passes. Once a
message is refused no byte passes any more, its own included. A put that borg waits for ends with one more word after
its data. Where something else follows, serve has got a message without an end, which it never acts on.

    screen = RpcScreen(judge)
    passing = screen.measure(data)      data: what has come and not passed; may say more than came: a put's data to come
"""

from borgctl.pull.repository.rpc_messages import RpcMessage, read
from borgctl.pull.repository.rpc_reader import RpcRefused
from borgctl.pull.repository.rpc_rules import Judge

# With one of these bytes a map or a list begins (msgpack's specification), and serve hears nothing else
_FIRST = frozenset((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
_SHOWN = 200  # bytes


class RpcScreen:
    """One session; `refusal` is what ended it, or None; `tail` the word that must come next, if any."""

    __slots__ = ("judge", "refusal", "tail")

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.refusal: RpcRefused | None = None
        self.tail = b""

    def measure(self, data: bytes) -> int:
        """Return how many bytes may pass, from the first of `data`: judged ones, perhaps beyond its end."""
        passing = 0
        while self.refusal is None and passing < len(data):
            try:
                size = self._word(data, passing) if self.tail else self._message(read(data, passing))
            except RpcRefused as refusal:
                self.refusal = refusal if self._begun(data, passing) else RpcRefused("unknown", "stray", _escaped(data))
                break
            if not size:
                break
            passing += size
        return passing

    def _begun(self, data: bytes, passing: int) -> bool:
        """Tell whether borg speaks: a login's start-up file, or a shell that is none, prints text before it does."""
        return bool(self.judge.facts.messages or passing) or data[0] in _FIRST

    def _message(self, message: RpcMessage | None) -> int:
        """Return the size of a message that may pass, 0 where it has not come yet."""
        if message is None:
            return 0
        self.judge.admit(message)
        self.tail = message.tail
        return message.size

    def _word(self, data: bytes, at: int) -> int:
        """Return the size of the word that was to come, 0 where it has not come yet."""
        there = data[at : at + len(self.tail)]
        if not self.tail.startswith(there):
            raise RpcRefused("put", "encoding", "not as borg packs it")
        size = len(self.tail) if there == self.tail else 0
        self.tail = b"" if size else self.tail
        return size


def _escaped(data: bytes) -> str:
    return data[:_SHOWN].decode("ascii", "backslashreplace").rstrip()
