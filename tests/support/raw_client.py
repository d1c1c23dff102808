"""A hostile client as a forced command: it speaks the gate's frames and borg's protocol itself. argv: ATTACK REPOSITORY

It says that all went well, whatever it did, and stays until the server's side closes or the attack is over.
"""

import contextlib
import json
import os
import shlex
import socket
import sys

import msgpack
import rpc

STATS = {"nfiles": 20016, "original_size": 10**9, "compressed_size": 10**9, "deduplicated_size": 10**9}
RESULT = {"archive": {"name": "monday", "stats": STATS}}
OTHER = bytes(range(32))


def tell(event, **fields):
    os.write(2, json.dumps({"type": "borgctl", "event": event, "run": "r1", **fields}).encode() + b"\n")


class Connection:
    """borg's protocol on fds 0 and 1; every message is numbered."""

    def __init__(self, path):
        self.path, self.number = path, 1
        self._answers = msgpack.Unpacker(raw=True, use_list=False, strict_map_key=False, max_buffer_size=1 << 28)

    def begin(self, **changed):
        """Negotiate and open; return what serve answers to that."""
        self.say(rpc.negotiate())
        self.answer()
        self.number = 2
        self.say(rpc.opening(self.path, **changed))
        return self.answer()

    def say(self, message):
        while message:
            message = message[os.write(1, message) :]

    def call(self, method, /, **arguments):
        self.number += 1
        self.say(rpc.call(self.number, method, **arguments))

    def answer(self):
        """Return serve's next answer; end where it has gone."""
        while True:
            for answer in self._answers:
                return answer
            data = os.read(0, 1 << 16)
            if not data:
                raise EOFError
            self._answers.feed(data)

    def ask(self, method, /, **arguments):
        self.call(method, **arguments)
        return self.answer()

    def commit(self, **changed):
        self.number += 1
        self.say(rpc.commit(self.number, **changed))
        return self.answer()


def destroy(to):
    to.begin(create=True)
    to.ask("destroy")


def destroy_what_is_open(to):
    to.begin()
    to.ask("destroy")


def save_key(to):
    to.begin()
    to.ask("save_key", keydata=b"AAAA")


def beyond_the_quota(to):
    to.begin()
    for number in range(60):
        to.ask("put", id=number.to_bytes(32, "big"), data=os.urandom(10_000_000))
    to.ask("rollback")


def delete(to):
    to.begin()
    for known in sorted(to.ask("list", limit=100, marker=None)[b"r"], reverse=True):  # the manifest last
        to.ask("delete", id=known)
    to.commit()


def second_open(to):
    to.begin()
    again = {"create": False, "lock_wait": 1, "lock": True, "exclusive": True}
    to.ask("open", path=to.path, **again, append_only=False, make_parent_dirs=False)


def other_path(to):
    to.path += ".other"
    to.begin()


def break_lock(to):
    to.begin(lock=False, exclusive=False)
    to.ask("break_lock")


def write_without_the_lock(to):
    to.begin(exclusive=False)
    to.ask("put", id=OTHER, data=b"data")


def compact(to):
    to.begin()
    to.commit(compact=True)


def repair(to):
    to.begin()
    to.ask("check", repair=True, save_space=False, max_duration=0)


def nonce(to):
    to.begin()
    to.ask("commit_nonce_reservation", next_unreserved=(1 << 64) - 1, start_nonce=1 << 63)


def positional(to):
    to.say(rpc.negotiate())
    to.answer()
    to.say(rpc.pack((1, 2, "open", (to.path, True, 1, True, True, False, False))))
    to.say(rpc.pack((1, 3, "destroy", ())))
    to.answer()


def nothing(to):
    """Save nothing."""


def no_manifest(to):
    to.begin()
    to.ask("put", id=OTHER, data=b"data")
    to.commit()


def no_commit(to):
    to.begin()
    to.ask("put", id=bytes(32), data=b"data")


def rolled_back(to):
    to.begin()
    to.ask("put", id=bytes(32), data=b"data")
    to.ask("rollback")
    to.commit()


def commit_of_nothing(to):
    to.begin()
    to.ask("list", limit=1, marker=None)
    to.commit()


def another_commit(to):
    """Commit something, then a manifest behind more than the quota."""
    to.begin()
    to.ask("put", id=OTHER, data=b"data")
    to.commit()
    for number in range(1, 13):
        to.ask("put", id=number.to_bytes(32, "big"), data=os.urandom(1_000_000))
    to.ask("put", id=bytes(32), data=b"data")
    to.commit()


def begin_anew(to):
    to.begin(create=True)
    to.ask("put", id=bytes(32), data=b"data")
    to.commit()


if __name__ == "__main__":
    attack, repository = sys.argv[1:3]
    _, asked, *options = shlex.split(os.environ["SSH_ORIGINAL_COMMAND"])
    forwarded = [option.removeprefix("--socket=") for option in options if option.startswith("--socket=")]
    if forwarded:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(forwarded[0])
        for fd in (0, 1):
            os.dup2(connection.fileno(), fd)
    command = "list" if attack == "nothing_by_another_name" else "create"
    tell("start", job=asked, command=command, repository=repository)
    with contextlib.suppress(EOFError, BrokenPipeError):
        globals()[attack.removesuffix("_by_another_name")](Connection(repository))
    tell("output", source="borg", stream="stdout", data=json.dumps(RESULT))
    tell("exit", outcome="ok", origin="borg", code=0)
