"""Read what a borg client sends to `borg serve`: the messages of borg 1.2 to 1.4, to the byte, and nothing else.

borg packs a message as the map {i: number, m: method, a: arguments} with msgpack's old raw types, every number and
length in the shortest form, the arguments in the order of its own signatures (borg/remote.py: `api`, `call_many`);
only `negotiate` comes as an array. Anything packed in another way is refused, even if `borg serve` would read it. This
module knows no session and decides nothing: that is `rpc_rules`.

    message = read(data, at)      None where more bytes are needed to tell
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from borgctl.pull.repository.rpc_reader import Reader, RpcRefused, Short

ID = 32  # bytes
MANIFEST = bytes(ID)  # the id of the manifest
# Bytes of one put's data (borg's MAX_DATA_SIZE). Of a larger one serve deletes the object that had this id, and fails.
LARGEST_BODY = (20 << 20) - 41
LONGEST_PATH = 4096  # bytes (PATH_MAX)
LONGEST_KEY = 8192  # bytes; borg's own have less than 1000
LARGEST_LIST = 100_000  # ids asked for at once (borg's LIST_SCAN_LIMIT)
LONGEST_WAIT = 86_400  # seconds of --lock-wait
_LONGEST_NAME = 31  # bytes of a method's name

Value = bool | int | bytes | None


class RpcMessage(NamedTuple):
    """One message: its arguments in borg's order; those of a put are the id and the number of bytes of its data.

    A put is read as far as its head. Where borg waits for the answer, `tail` comes behind the data and ends it.
    """

    method: str
    number: int
    arguments: tuple[Value, ...]
    size: int  # bytes, with a put's data and without the tail
    tail: bytes = b""


Take = Callable[[Reader], Value]


def _boolean(reader: Reader) -> bool:
    first = reader.take(1)
    if first not in {b"\xc2", b"\xc3"}:
        reader.refuse("not a boolean")
    return first == b"\xc3"


def _id(reader: Reader) -> bytes:
    reader.literal(b"\xda\x00\x20")
    return reader.take(ID)


def _path(reader: Reader) -> bytes:
    return reader.take(reader.length(LONGEST_PATH))


def _key(reader: Reader) -> bytes:
    return reader.take(reader.length(LONGEST_KEY))


def _body(reader: Reader) -> int:
    return reader.length(LARGEST_BODY)


def _threshold(reader: Reader) -> None:
    reader.literal(b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a")  # 0.1, which only `compact` can change


def _number(most: int) -> Take:
    def take(reader: Reader) -> int:
        number = reader.number()
        if number > most:
            reader.refuse(f"{number}, {most} at most", "size")
        return number

    return take


def _or_none(other: Take) -> Take:
    def take(reader: Reader) -> Value:
        if reader.data[reader.at : reader.at + 1] == b"\xc0":
            reader.at += 1
            return None
        return other(reader)

    return take


_NONCE = _number((1 << 64) - 1)
_LISTED = (("limit", _number(LARGEST_LIST)), ("marker", _or_none(_id)))
# Every method that a session of some kind may name, with the arguments that borg sends, in its order.
_SHAPES: dict[str, tuple[tuple[str, Take], ...]] = {
    "open": (
        *(("path", _path), ("create", _boolean), ("lock_wait", _number(LONGEST_WAIT)), ("lock", _boolean)),
        *(("exclusive", _boolean), ("append_only", _boolean), ("make_parent_dirs", _boolean)),
    ),
    "load_key": (),
    "save_key": (("keydata", _key),),
    "get": (("id", _id),),
    "put": (("id", _id), ("data", _body)),
    "delete": (("id", _id),),
    "list": _LISTED,
    "scan": _LISTED,
    "__len__": (),
    "check": (("repair", _boolean), ("save_space", _boolean), ("max_duration", _number((1 << 32) - 1))),
    "commit": (
        *(("save_space", _boolean), ("compact", _boolean)),
        *(("threshold", _threshold), ("cleanup_commits", _boolean)),
    ),
    "rollback": (),
    "get_free_nonce": (),
    "commit_nonce_reservation": (("next_unreserved", _NONCE), ("start_nonce", _or_none(_NONCE))),
}
NEVER = ("destroy", "break_lock", "inject_exception")  # `borg serve` knows them, too
METHODS = ("negotiate", *_SHAPES, *NEVER)


def _packed(text: str) -> bytes:
    """Return a short text as borg packs it."""
    return bytes([0xA0 + len(text)]) + text.encode()


_HEADS = {method: tuple((_packed(name), take) for name, take in shape) for method, shape in _SHAPES.items()}
_WAIT = _packed("wait") + b"\xc3"  # borg's default, which it packs as well; what it does not wait for has no such word
_WAITED = ("put", "delete")
_NAMES = {method.encode(): method for method in METHODS}
_NEGOTIATE = b"\x94\x01\x01" + _packed("negotiate") + b"\x91\x81" + _packed("client_version")
# The one that comes in millions, in one step; all that it matches, the reader below would take as well.
_PUT = re.compile(
    rb"\x83\xa1i([\x00-\x7f]|\xcc[\x80-\xff]|\xcd(?!\x00)..|\xce(?!\x00\x00)....)\xa1m\xa3put\xa1a([\x82\x83])"
    rb"\xa2id\xda\x00\x20(.{32})\xa4data(?:([\xa0-\xbf])|\xda((?!\x00[\x00-\x1f])..)|\xdb((?!\x00\x00)....))",
    re.DOTALL,
)


def read(data: bytes, at: int = 0) -> RpcMessage | None:
    """Read the message at `at`; None where more bytes are needed to tell. Raise Refused where it cannot be borg's.

    Of a put its head is enough; of any other message at most LONGEST_KEY bytes and a few are waited for.
    """
    if put := _PUT.match(data, at):
        packed, members, id_, short, middle, long = put.groups()
        length = short[0] & 0x1F if short else int.from_bytes(middle or long, "big")
        if length > LARGEST_BODY:
            raise RpcRefused("put", "size", f"{length} bytes, {LARGEST_BODY} at most")
        number = packed[0] if len(packed) == 1 else int.from_bytes(packed[1:], "big")
        return RpcMessage("put", number, (id_, length), put.end() - at + length, _WAIT if members == b"\x83" else b"")
    reader = Reader(data, at)
    try:
        return _negotiate(reader) if data[at : at + 1] == b"\x94" else _call(reader)
    except Short:
        return None


def _call(reader: Reader) -> RpcMessage:
    start = reader.at
    reader.literal(b"\x83\xa1i")
    number = reader.number()
    reader.literal(b"\xa1m")
    name = reader.take(reader.length(_LONGEST_NAME))
    reader.method = method = _NAMES.get(name, "unknown")
    if method in NEVER:
        reader.refuse("no session may say it", "never")
    if method not in _HEADS:
        reader.refuse("not as borg packs it" if method == "negotiate" else "no method of borg's")
    reader.literal(b"\xa1a")
    shape = _HEADS[method]
    members = reader.take(1)[0] - 0x80
    waited = method in _WAITED and members == len(shape) + 1
    if not waited and members != len(shape):
        reader.refuse("not borg's arguments")
    arguments = []
    for word, take in shape:
        reader.literal(word)
        arguments.append(take(reader))
    if method == "put":
        (_, length), tail = arguments, _WAIT if waited else b""
        assert isinstance(length, int)
        return RpcMessage(method, number, tuple(arguments), reader.at - start + length, tail)
    if waited:
        reader.literal(_WAIT)
    return RpcMessage(method, number, tuple(arguments), reader.at - start)


def _negotiate(reader: Reader) -> RpcMessage:
    start = reader.at
    reader.literal(_NEGOTIATE)
    reader.method = "negotiate"
    parts = reader.take(1)[0] - 0x90
    if parts not in {4, 5}:
        reader.refuse("not a version of borg's")
    for _ in range(parts):
        if reader.take(1)[0] >= 0xE0:
            continue  # a release's last part is -1
        reader.at -= 1
        reader.number()
    return RpcMessage("negotiate", 1, (), reader.at - start)
