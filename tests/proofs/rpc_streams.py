"""Streams that no client of borg's sends: sessions of borg's, changed, or no session at all.

draw_stream(random.Random(1), "create")       spoil(random.Random(1), [message, …])
"""

import rpc

from borgctl.pull.repository.rpc_messages import METHODS

PATH = b"/srv/borg/web1"
READ = {"load_key", "get", "list", "scan", "__len__", "check", "rollback", "get_free_nonce", "commit_nonce_reservation"}
WRITE = READ | {"put", "commit", "delete"}
MAY = {
    "read": READ,
    "window-read": READ,
    "window-passphrase": READ | {"save_key"},
    "prune": WRITE - {"check"},
    "init": WRITE - {"check", "delete"} | {"save_key"},
}
IDS = [bytes([number]) * 32 for number in range(4)]


def draw_message(draw, number, ids=IDS):
    """Return a message of borg's, good or nearly."""
    id_ = draw.choice(ids)
    nonce = draw.choice([None, 0, 5, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
    makers = (
        lambda: rpc.call(number, "get", id=id_),
        lambda: rpc.call(number, "load_key"),
        lambda: rpc.call(number, "__len__"),
        lambda: rpc.call(
            number, draw.choice(["list", "scan"]), limit=draw.choice([1, 100, 100000, 100001]), marker=None
        ),
        lambda: rpc.call(number, "list", limit=100, marker=id_),
        lambda: rpc.put(number, id_, bytes(draw.choice([0, 5, 31, 32, 40, 300, 9000]))),
        lambda: rpc.put(number, rpc.MANIFEST, bytes(draw.choice([0, 40, 300])), wait=draw.choice([True, True, False])),
        lambda: rpc.call(number, "delete", id=id_),
        lambda: rpc.commit(number, compact=draw.random() < 0.05),
        lambda: rpc.call(number, "rollback"),
        lambda: rpc.call(number, "get_free_nonce"),
        lambda: rpc.call(
            number, "commit_nonce_reservation", next_unreserved=nonce, start_nonce=draw.choice([None, nonce])
        ),
        lambda: rpc.call(number, "check", repair=draw.random() < 0.2, save_space=False, max_duration=0),
        lambda: rpc.call(number, "save_key", keydata=draw.choice([b"YWJj", b"YWJj\nYWI=", b"a\rb", b""])),
        lambda: rpc.call(number, draw.choice(["destroy", "break_lock", "inject_exception", "nothing"])),
    )
    return draw.choice(makers)()


def draw_allowed(draw, number, session, ids=IDS):
    """Return a message that this kind of session may say, most of the time."""
    for _ in range(3):
        message = draw_message(draw, number, ids)
        if message.split(b"\xa1a")[0].split(b"\xa1m")[-1][1:].decode() in MAY.get(session, WRITE):
            break
    return message


def draw_stream(draw, session, path=PATH, ids=IDS):
    """Return a session, changed a little, or much, or not at all."""
    odd = {
        key: value for key, value in (("lock", False), ("exclusive", False), ("create", True)) if draw.random() < 0.04
    }
    messages = [rpc.negotiate(), rpc.opening(path.decode(), **({"create": session == "init"} | odd))]
    messages += [draw_allowed(draw, number, session, ids) for number in range(3, 3 + draw.randrange(8))]
    return spoil(draw, messages, path, ids)


def spoil(draw, messages, path=PATH, ids=IDS):
    """Return the stream of these messages, some of them perhaps doubled, lost or others, and some bytes, too."""
    messages = list(messages)
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        place = draw.randrange(len(messages))
        change = draw.randrange(4)
        if change == 0:
            messages.insert(place, messages[draw.randrange(len(messages))])
        elif change == 1:
            messages[place] = draw_message(draw, draw.choice([1, 2, 3, place + 1, 200, 1 << 16]), ids)
        elif change == 2:
            messages[place] = rpc.pack((1, place + 1, draw.choice(METHODS), (path,)))
        else:
            del messages[place]
            messages = messages or [b""]
    data = bytearray(b"".join(messages))
    for _ in range(draw.choice([0, 0, 1, 1, 3])):
        place, change = draw.randrange(len(data) + 1), draw.randrange(5)
        if change == 0:
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif change == 1:
            data[place : place + draw.randrange(1, 9)] = b""
        elif change == 2:
            data[place:place] = draw.randbytes(draw.randrange(1, 5))
        elif change == 3:
            data[place : place + 1] = draw.choice(
                [b"\xc0", b"\xc2", b"\xc3", b"\xc4", b"\xd9", b"\xda", b"\xdb", b"\xcf"]
            )
        else:
            del data[place:]
    return bytes(data) if draw.random() < 0.97 else draw.randbytes(draw.randrange(200))
