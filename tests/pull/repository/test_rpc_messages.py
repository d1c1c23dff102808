"""A client's messages: borg's own are read to the byte, everything else is refused as early as possible."""

import pytest
import rpc

from borgctl.pull.repository import rpc_messages
from borgctl.pull.repository.rpc_messages import LARGEST_BODY, RpcMessage, read
from borgctl.pull.repository.rpc_reader import RpcRefused

ID = bytes(range(32))
PATH = "/srv/borg/web1"
EVERY = {
    "negotiate": (rpc.negotiate(), ()),
    "open": (rpc.opening(PATH), (PATH.encode(), False, 1, True, True, False, False)),
    "load_key": (rpc.call(3, "load_key"), ()),
    "save_key": (rpc.call(4, "save_key", keydata=b"aGVsbG8="), (b"aGVsbG8=",)),
    "get": (rpc.call(5, "get", id=ID), (ID,)),
    "delete": (rpc.call(7, "delete", id=ID), (ID,)),
    "delete, waited for": (rpc.call(7, "delete", id=ID, wait=True), (ID,)),
    "list": (rpc.call(8, "list", limit=100000, marker=None), (100000, None)),
    "scan": (rpc.call(9, "scan", limit=100, marker=ID), (100, ID)),
    "__len__": (rpc.call(200, "__len__"), ()),
    "check": (rpc.call(65535, "check", repair=False, save_space=False, max_duration=0), (False, False, 0)),
    "commit": (rpc.commit(70000), (False, False, None, False)),
    "rollback": (rpc.call(1 << 32, "rollback"), ()),
    "get_free_nonce": (rpc.call(3, "get_free_nonce"), ()),
    "commit_nonce_reservation": (
        rpc.call(4, "commit_nonce_reservation", next_unreserved=1 << 63, start_nonce=None),
        (1 << 63, None),
    ),
}


def test_every_method_that_borg_uses_is_here_with_all_that_serve_knows():
    assert {name.split(",")[0] for name in EVERY} | {"put"} | set(rpc_messages.NEVER) == set(rpc_messages.METHODS)


@pytest.mark.parametrize("name", EVERY)
def test_a_message_of_borgs_is_read_whole_and_never_before_its_last_byte(name):
    packed, arguments = EVERY[name]
    message = read(packed + b"\x83")
    assert (message.method, message.arguments, message.size) == (name.split(",")[0], arguments, len(packed))
    assert [read(packed[:end]) for end in range(len(packed))] == [None] * len(packed)


@pytest.mark.parametrize("size", [0, 31, 32, 65535, 65536, LARGEST_BODY])
@pytest.mark.parametrize("number", [6, 127, 128, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32])
def test_a_put_is_read_with_its_head(size, number):
    packed = rpc.put(number, ID, bytes(size))
    head = len(packed) - size
    assert read(packed[:head]) == RpcMessage("put", number, (ID, size), len(packed))
    assert [read(packed[:end]) for end in range(head)] == [None] * head


def test_a_put_that_borg_waits_for_ends_with_that_word():
    packed = rpc.put(6, ID, b"data", wait=True)
    message = read(packed)
    assert packed == packed[: message.size] + message.tail
    assert message.tail == b"\xa4wait\xc3"


def test_the_short_way_for_puts_is_the_long_way():
    for number in (1, 127, 128, 256, 65536):
        for size in (0, 31, 32, 65535, 65536):
            for more in ({}, {"wait": True}):
                packed = rpc.put(number, ID, bytes(size), **more)
                assert rpc_messages._call(rpc_messages.Reader(packed, 0)) == read(packed)


@pytest.mark.parametrize("method", rpc_messages.NEVER)
def test_what_no_session_may_say_is_told_by_its_name(method):
    with pytest.raises(RpcRefused) as refused:
        read(rpc.call(3, method))
    assert (refused.value.method, refused.value.rule) == (method, "never")


STRANGE = {
    "another method": rpc.call(3, "compact"),
    "a private one": rpc.call(3, "_resolve_path", path="/"),
    "one of the class": rpc.call(3, "__init__"),
    "a long name": rpc.call(3, "x" * 32),
    "an empty name": rpc.call(3, ""),
    "negotiate as a map": rpc.call(1, "negotiate", client_data={b"client_version": (1, 4, 5, -1)}),
    "the positional form": rpc.pack((1, 3, "destroy", ())),
    "the positional form of open": rpc.pack((1, 2, "open", (PATH, True, 1, True, True, False))),
    "negotiate of borg 1.0": rpc.pack((1, 1, "negotiate", (2,))),
    "a version of three parts": rpc.negotiate((1, 4, 5)),
    "a version of texts": rpc.negotiate(("1", "4", "5", "")),
    "another order of keys": rpc.pack({b"m": "load_key", b"i": 3, b"a": {}}),
    "one key more": rpc.pack({b"i": 3, b"m": "load_key", b"a": {}, b"x": 1}),
    "one key twice": b"\x84\xa1i\x03\xa1m\xa8load_key\xa1m\xa7destroy\xa1a\x80",
    "two methods": b"\x83\xa1i\x03\xa1m\xa8load_key\xa1m\xa7destroy",
    "arguments as an array": rpc.pack({b"i": 3, b"m": "get", b"a": [ID]}),
    "an argument more": rpc.call(3, "load_key", x=1),
    "an argument less": rpc.call(3, "list", limit=1),
    "an argument of another name": rpc.call(3, "get", key=ID),
    "arguments in another order": rpc.call(3, "list", marker=None, limit=1),
    "data before the id": rpc.call(3, "put", data=b"x", id=ID),
    "a get that is waited for": rpc.call(3, "get", id=ID, wait=True),
    "a delete that is not waited for": rpc.call(3, "delete", id=ID, wait=False),
    "an id of 31 bytes": rpc.call(3, "get", id=ID[:31]),
    "an id of 33 bytes": rpc.call(3, "get", id=ID + b"x"),
    "an id that is nil": rpc.call(3, "get", id=None),
    "an id with the new types": rpc.call(3, "get", id=b"").replace(b"\xa0", b"\xc4\x20" + ID),
    "a name with the new types": b"\x83\xa1i\x03\xa1m\xd9\x08load_key\xa1a\x80",
    "a long form of a number": b"\x83\xa1i\xcc\x03\xa1m\xa8load_key\xa1a\x80",
    "a longer form of a number": b"\x83\xa1i\xcd\x00\x80\xa1m\xa8load_key\xa1a\x80",
    "a long form of a length": b"\x83\xa1i\x03\xa1m\xda\x00\x08load_key\xa1a\x80",
    "a long form of a map": b"\xde\x00\x03\xa1i\x03\xa1m\xa8load_key\xa1a\x80",
    "a negative number": rpc.call(-1, "load_key"),
    "a number that is a text": rpc.call("3", "load_key"),
    "a number that is a boolean": rpc.call(True, "load_key"),
    "a limit below zero": rpc.call(3, "list", limit=-1, marker=None),
    "no limit": rpc.call(3, "list", limit=None, marker=None),
    "a limit beyond borg's": rpc.call(3, "list", limit=100001, marker=None),
    "a limit that is a float": rpc.call(3, "scan", limit=1.0, marker=None),
    "a wait for ever": rpc.opening(PATH, lock_wait=None),
    "a long wait": rpc.opening(PATH, lock_wait=86401),
    "open with six arguments": rpc.pack({b"i": 2, b"m": "open", b"a": {"path": PATH}}),
    "a lock that is a number": rpc.opening(PATH, lock=1),
    "a path that is an array": rpc.opening("x").replace(b"\xa1x", b"\x91\xa1x"),
    "a path that is too long": rpc.opening("x" * 4097),
    "a key that is too long": rpc.call(3, "save_key", keydata=b"x" * 8193),
    "repair as a number": rpc.call(3, "check", repair=1, save_space=False, max_duration=0),
    "a short commit of borg 1.1": rpc.call(3, "commit", save_space=False),
    "another threshold": rpc.commit(3, threshold=0.2),
    "a nonce of more than 64 bits": rpc.call(3, "commit_nonce_reservation", next_unreserved=-1, start_nonce=None),
    "a put that is too large": rpc.put(3, ID, b"")[:-1] + b"\xdb\x01\x40\x00\x01",
    "nil": b"\xc0",
    "zeros": bytes(100),
    "a shell": b"SSH-2.0-x\r\n",
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_borg_does_not_say_is_refused(name):
    with pytest.raises(RpcRefused) as refused:
        read(STRANGE[name])
    assert refused.value.rule in {"encoding", "size"}
    assert refused.value.method in {*rpc_messages.METHODS, "unknown"}


@pytest.mark.parametrize("place", range(len(rpc.put(300, ID, b"")) - 1))
def test_a_put_whose_head_is_changed_is_another_put_or_none(place):
    packed = rpc.put(300, ID, b"")
    for byte in set(range(256)) - {packed[place]}:
        changed = packed[:place] + bytes([byte]) + packed[place + 1 :]
        try:
            message = read(changed)
        except RpcRefused:
            continue
        waited = {"wait": True} if message and message.tail else {}
        assert message is None or rpc.put(message.number, message.arguments[0], b"", **waited).startswith(changed)
