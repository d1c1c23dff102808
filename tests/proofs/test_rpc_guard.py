"""Streams that no client of borg's sends: the guard passes nothing that a reader made with real msgpack would not.

The streams are sessions of borg's, changed: bytes flipped, taken out, put in, doubled, whole messages moved, other
types and lengths, other methods and arguments, or no session at all. Most go through the judge in this process, piece
by piece; some thousands through the guard's process with a socket on one side and a pipe on the other.
"""

import os
import random
import re
import socket
import subprocess
import threading

import msgpack
import pytest
import rpc
from rpc_streams import MAY, PATH, WRITE, draw_stream

from borgctl.pull.repository.rpc_messages import METHODS
from borgctl.pull.repository.rpc_rules import Judge
from borgctl.pull.repository.rpc_screen import RpcScreen
from borgctl.pull.repository.rpc_sessions import RULES, SESSIONS, SessionLimits

LIMITS = SessionLimits(PATH, quota=50_000, puts=8, commits=3, deletes=2)
WORDS = ("--quota", "50000", "--puts", "8", "--commits", "3", "--deletes", "2")
ORDER = {
    "open": ("path", "create", "lock_wait", "lock", "exclusive", "append_only", "make_parent_dirs"),
    "get": ("id",),
    "put": ("id", "data"),
    "delete": ("id",),
    "list": ("limit", "marker"),
    "scan": ("limit", "marker"),
    "check": ("repair", "save_space", "max_duration"),
    "save_key": ("keydata",),
    "commit": ("save_space", "compact", "threshold", "cleanup_commits"),
    "commit_nonce_reservation": ("next_unreserved", "start_nonce"),
}
BASE64 = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


class Reference:
    """What may pass, told from whole messages that msgpack read and packs again to the same bytes."""

    def __init__(self, session):
        self.session, self.number, self.exclusive = session, 0, False
        self.own, self.others, self.puts, self.manifests, self.size, self.commits = set(), 0, 0, 0, 0, 0
        self.since, self.wrote, self.checked = [], False, False

    def passes(self, data):
        """Return how many bytes of the whole stream may pass; those of a last put count as far as they have come."""
        at = 0
        while at < len(data):
            unpacker = msgpack.Unpacker(raw=True, use_list=False, strict_map_key=False, object_pairs_hook=tuple)
            unpacker.feed(data[at:])
            try:
                message = unpacker.unpack()
            except Exception:  # also where there are too few bytes
                return at + self.partial(data[at:])
            end = at + unpacker.tell()
            if not self.admit(message, data[at:end]):
                return at + self.partial(data[at:end])
            at = end
        return at

    def partial(self, data):
        """Return what may pass of a put whose head alone is good: all until the word behind the data."""
        head = re.match(
            rb"\x83\xa1i(.{1,9}?)\xa1m\xa3put\xa1a[\x82\x83]\xa2id\xda\x00\x20.{32}\xa4data", data, re.DOTALL
        )
        if not head:
            return 0
        for packed in (1, 3, 5):
            sized = data[head.end() : head.end() + packed]
            size = self.raw(sized)
            if size is None:
                continue
            whole = data[: head.end()] + sized + bytes(size)
            for tail in (b"", b"\xa4wait\xc3"):
                try:
                    message = msgpack.unpackb(
                        whole + tail, raw=True, use_list=False, strict_map_key=False, object_pairs_hook=tuple
                    )
                except Exception:
                    continue
                if self.admit(message, whole + tail):
                    return min(len(whole), len(data))
        return 0

    @staticmethod
    def raw(head):
        """Return the length that a raw head in its shortest form says."""
        for size in (int.from_bytes(head[1:], "big"), head[0] & 0x1F if head else 0):
            if size <= 1 << 22 and msgpack.packb(bytes(size), use_bin_type=False)[: len(head)] == head:
                expected = len(msgpack.packb(bytes(size), use_bin_type=False)) - size
                if expected == len(head):
                    return size
        return None

    def admit(self, message, data):
        """Return whether a whole message may pass."""
        session = self.session
        if self.number == 0:
            good = isinstance(message, tuple) and len(message) == 4 and message[:3] == (1, 1, b"negotiate")
            if not good or not isinstance(message[3], tuple) or len(message[3]) != 1:
                return False
            version = dict(message[3][0]).get(b"client_version") if self.pairs(message[3][0]) else None
            good = (
                isinstance(version, tuple)
                and len(version) in {4, 5}
                and all(type(part) is int and part >= -32 for part in version)
            )
            if not good or rpc.negotiate(version) != data:
                return False
            self.number = 1
            return True
        if not self.pairs(message) or [key for key, _ in message] != [b"i", b"m", b"a"]:
            return False
        number, method, pairs = (value for _, value in message)
        if type(number) is not int or number != self.number + 1 or not isinstance(method, bytes):
            return False
        name = method.decode(errors="replace")
        if name not in METHODS or not (pairs == () or self.pairs(pairs)):
            return False
        keys = [key.decode(errors="replace") if isinstance(key, bytes) else "" for key, _ in pairs]
        arguments = dict(zip(keys, (value for _, value in pairs), strict=True))
        if name in {"put", "delete"} and "wait" in arguments and arguments["wait"] is not True:
            return False
        expected = ORDER.get(name, ())
        if tuple(keys) not in {expected, (*expected, "wait") if name in {"put", "delete"} else expected}:
            return False
        if rpc.call(number, name, **arguments) != data:
            return False
        if (name == "open") != (number == 2) or (name != "open" and name not in MAY.get(session, WRITE)):
            return False
        if not self.allowed(name, arguments):
            return False
        self.number = number
        return True

    @staticmethod
    def pairs(value):
        return isinstance(value, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)

    def allowed(self, name, a):
        whole = lambda value, most: type(value) is int and 0 <= value <= most  # noqa: E731
        is_id = lambda value: isinstance(value, bytes) and len(value) == 32  # noqa: E731
        booleans = ("create", "lock", "exclusive", "repair", "save_space", "compact", "append_only", "make_parent_dirs")
        if any(type(a[key]) is not bool for key in booleans if key in a):
            return False
        if any(not is_id(a["id"]) for _ in [0] if "id" in a):
            return False
        writes = {"put", "delete", "commit", "check", "commit_nonce_reservation", "get_free_nonce"}
        if name in writes and not self.exclusive:
            return False
        if name in {"put", "delete"}:
            if self.checked:
                return False
            self.wrote, self.since = True, [*self.since, name]
        match name:
            case "open":
                begins, window = self.session == "init", self.session.startswith("window")
                good = a["path"] == PATH and whole(a["lock_wait"], 86400) and a["create"] == begins
                good = good and not a["append_only"] and not a["make_parent_dirs"] and (a["lock"] or window)
                self.exclusive = a["lock"] and a["exclusive"]
                return good and (not begins or self.exclusive)
            case "list" | "scan":
                return whole(a["limit"], 100000) and (a["marker"] is None or is_id(a["marker"]))
            case "check":
                self.checked = True
                return not self.wrote and a["repair"] is False and whole(a["max_duration"], (1 << 32) - 1)
            case "rollback":
                self.since = []
            case "commit_nonce_reservation":
                end, start, below = a["next_unreserved"], a["start_nonce"], (1 << 63) - 1
                if not whole(end, below) or not (start is None or whole(start, below)):
                    return False
                return end <= 5 << 60 or (start is not None and end - start <= 1 << 29)
            case "save_key":
                key = a["keydata"]
                if not isinstance(key, bytes) or len(key) > 8192:
                    return False
                *lines, last = key.removesuffix(b"\n").split(b"\n")
                last = last[: len(last) - min(2, len(last) - len(last.rstrip(b"=")))]
                return all(1 <= len(line) <= 100 and not set(line) - BASE64 for line in (*lines, last))
            case "put":
                data = a["data"]
                manifest = a["id"] == rpc.MANIFEST
                size = self.size + len(data) + 41 + 8192 * manifest if isinstance(data, bytes) else 1 << 64
                if self.puts >= 8 or size > 50_000 or (manifest and self.manifests >= 3):
                    return False
                self.puts, self.size, self.manifests = self.puts + 1, size, self.manifests + manifest
                self.own |= {a["id"]} - {rpc.MANIFEST}
            case "delete":
                if a["id"] == rpc.MANIFEST:
                    return False
                if a["id"] in self.own or self.session == "window-delete":
                    return True
                self.others += 1
                return self.session == "prune" and self.others <= 2
            case "commit":
                self.commits, self.size = self.commits + 1, self.size + 8192
                good = not a["compact"] and a["cleanup_commits"] is False and a["threshold"] == 0.1 and self.since
                self.since = []
                return bool(good) and self.size <= 50_000 and isinstance(a["threshold"], float) and self.commits <= 3
        return True


def screened(draw, session, data):
    """Give the judge the stream in pieces, as the process does; return the screen and how many bytes passed."""
    screen = RpcScreen(Judge(SESSIONS[session], LIMITS, lambda: True, lambda _: False))
    held, passed, free, at = b"", 0, 0, 0
    while at < len(data) and screen.refusal is None:
        piece = data[at : at + draw.choice([1, 2, 7, 50, 1 << 14])]
        at += len(piece)
        through = min(free, len(piece))
        free, passed, held = free - through, passed + through, held + piece[through:]
        if held:
            passing = screen.measure(held)
            free = max(0, passing - len(held))
            passed += passing - free
            held = held[passing:]
            assert screen.refusal or len(held) < 9000
    return screen, passed


@pytest.mark.parametrize("part", range(4))
def test_the_judge_passes_what_the_reference_passes_and_not_a_byte_more(proof, part):
    draw = random.Random(f"{proof.seed} {part}")
    streams, refused, whole, sent = proof.size(1_000, 250_000), 0, 0, 0
    for _ in range(streams):
        session = draw.choice(list(SESSIONS))
        data = draw_stream(draw, session)
        screen, passed = screened(draw, session, data)
        may = Reference(session).passes(data)
        assert passed == may, (session, data.hex(), screen.refusal)
        if screen.refusal:
            refused += 1
            assert screen.refusal.rule in RULES and screen.refusal.method in {*METHODS, "unknown"}
        whole += passed == len(data)
        sent += len(data)
    assert refused > streams // 4
    assert whole > streams // 20
    proof.say(f"the judge, part {part}", streams=streams, refused=refused, passed_whole=whole, bytes=sent)


def through_the_process(draw, session, data):
    """Send the stream through a guard's process in pieces; return its exit status and what passed."""
    argv = [*rpc.GUARD, "--repository", PATH.decode(), "--session", session, *WORDS]
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    passed = []

    def collect():
        while piece := os.read(reader, 1 << 16):
            passed.append(piece)

    with ours, theirs, subprocess.Popen(argv, stdin=theirs, stdout=writer, stderr=subprocess.PIPE) as guard:
        os.close(writer)
        theirs.close()
        collecting = threading.Thread(target=collect)
        collecting.start()
        try:
            at = 0
            while at < len(data):
                at += ours.send(data[at : at + draw.choice([1, 5, 50, 300, 1 << 14])])
            ours.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused
        events = guard.stderr.read().splitlines()
        status = guard.wait(rpc.PATIENCE)
        collecting.join(rpc.PATIENCE)
        os.close(reader)
    assert len(events) == (2 if status else 1), events
    return status, b"".join(passed)


def test_the_process_passes_the_same(proof):
    draw = random.Random(proof.seed)
    streams, refused, sent = proof.size(40, 5_000), 0, 0
    for _ in range(streams):
        session = draw.choice([name for name in SESSIONS if name != "init"])  # which asks what is at the path
        data = draw_stream(draw, session)
        screen, may = screened(draw, session, data)
        status, passed = through_the_process(draw, session, data)
        assert passed == data[:may], (session, data.hex())
        assert status == (3 if screen.refusal else 0)
        refused += status != 0
        sent += len(data)
    assert 0 < refused < streams
    proof.say("the guard's process", streams=streams, refused=refused, bytes=sent)
