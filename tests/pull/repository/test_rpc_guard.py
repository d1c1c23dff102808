"""The guard as a process: what it passes byte for byte, what it reports, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import threading

import pytest
import rpc

from borgctl.pull.repository import rpc_guard
from borgctl.pull.repository.rpc_messages import LARGEST_BODY

ID = b"1" * 32
NOTHING = {"puts": 0, "put_bytes": 0, "deletes": 0, "commits": 0, "manifests": 0, "committed_manifests": 0, "keys": 0}
NOTHING |= {"overwrites": 0}


class Process:
    """A guard between a client's end and a sink that we read; `kind` is what its fd 0 is."""

    def __init__(self, path="/r", session="create", kind="socket", words=rpc.PLENTY):
        argv = [*rpc.GUARD, "--repository", str(path), "--session", session, *words]
        self.sink, out = os.pipe()
        if kind == "socket":
            ours, theirs = socket.socketpair()
            source, self.client = theirs.detach(), ours.detach()
        else:
            source, self.client = os.pipe()
        self.process = subprocess.Popen(argv, stdin=source, stdout=out, stderr=subprocess.PIPE)
        os.close(source)
        os.close(out)
        self.passed = bytearray()
        self.came = threading.Condition()
        self.reader = threading.Thread(target=self._read)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.hang_up()
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()
        os.close(self.sink)

    def _read(self):
        while data := os.read(self.sink, 1 << 20):
            with self.came:
                self.passed += data
                self.came.notify()

    def wait_for(self, size):
        """Wait until so many bytes have passed."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.passed) >= size, rpc.PATIENCE)

    def say(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self.client, view) :]

    def hang_up(self):
        if self.client is not None:
            os.close(self.client)
            self.client = None

    def end(self):
        """Wait for its end; return its exit status and events."""
        events = [json.loads(line) for line in self.process.stderr.read().splitlines()]
        status = self.process.wait(rpc.PATIENCE)
        self.reader.join(rpc.PATIENCE)
        return status, events


def stream(*sizes, path="/r"):
    """Return a create session with puts of these sizes."""
    messages = [rpc.negotiate(), rpc.opening(path)]
    messages += [rpc.put(number, os.urandom(32), os.urandom(size)) for number, size in enumerate(sizes, 3)]
    last = len(sizes) + 3
    return b"".join((*messages, rpc.put(last, rpc.MANIFEST, b"manifest", wait=True), rpc.commit(last + 1)))


@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_what_may_pass_passes_byte_for_byte_and_is_counted(kind):
    sizes = (0, 1, 31, 32, 4096, 16384, 65535, 65536, 3 << 20, 5)
    said = stream(*sizes)
    with Process(kind=kind) as guard:
        guard.say(said)
        guard.hang_up()
        status, events = guard.end()
        assert (status, guard.passed) == (0, said)
    counted = {"puts": len(sizes) + 1, "put_bytes": sum(sizes) + 8, "commits": 1}
    counted |= {"manifests": 1, "committed_manifests": 1, "messages": len(sizes) + 4, "bytes": len(said)}
    assert events == [{"event": "end", **NOTHING, **counted, "cut": False}]


@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_what_comes_byte_by_byte_passes_as_well(kind):
    said = stream(0, 100, 700)
    with Process(kind=kind) as guard:
        for place in range(len(said)):
            guard.say(said[place : place + 1])
        guard.hang_up()
        status, _ = guard.end()
        assert (status, guard.passed) == (0, said)


@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_a_refused_message_ends_the_session_and_none_of_it_passes(kind):
    before = rpc.negotiate() + rpc.opening("/r") + rpc.put(3, ID, os.urandom(100_000))
    with Process(kind=kind) as guard:
        guard.say(before + rpc.call(4, "destroy") + rpc.call(5, "load_key"))
        status, events = guard.end()
        assert (status, guard.passed) == (3, before)
    refused, end = events
    assert refused | {"detail": ""} == {
        "event": "refused",
        "method": "destroy",
        "session": "create",
        "rule": "never",
        "detail": "",
    }
    assert end == {
        "event": "end",
        **NOTHING,
        "puts": 1,
        "put_bytes": 100_000,
        "messages": 3,
        "bytes": len(before),
        "cut": False,
    }


def test_a_method_that_borg_does_not_know_is_not_repeated():
    with Process() as guard:
        guard.say(rpc.negotiate() + rpc.opening("/r") + rpc.call(3, "\x1b[2Jwipe"))
        status, events = guard.end()
    assert (status, events[0]["method"], events[0]["rule"]) == (3, "unknown", "encoding")
    assert "wipe" not in json.dumps(events)


@pytest.mark.parametrize("first", [b"hi\n", b"x" * 100_000, b"\xff\x00\n"])
def test_text_that_comes_before_borg_is_told_by_its_beginning_and_none_of_it_passes(first):
    with Process() as guard:
        guard.say(first)
        status, (refused, end) = guard.end()
    assert (status, refused["rule"], end["bytes"]) == (3, "stray", 0)
    assert refused["detail"] == first[:200].decode("ascii", "backslashreplace").rstrip()


FIRST = [b"\x80", b"\x84", b"\x8f", b"\xde\0\3", b"\xdf\0\0\0\3", b"\x90", b"\xdc\0\4", b"\xdd"]


@pytest.mark.parametrize("first", FIRST)
def test_a_message_that_is_packed_otherwise_than_borg_does_is_none_of_a_logins(first):
    with Process() as guard:
        guard.say(first + rpc.call(1, "destroy")[1:])
        status, (refused, end) = guard.end()
    assert (status, refused["rule"], end["bytes"]) == (3, "encoding", 0)


def test_text_that_comes_after_a_message_is_none_of_a_logins():
    with Process() as guard:
        guard.say(rpc.negotiate() + b"hi\n")
        status, events = guard.end()
    assert (status, events[0]["rule"]) == (3, "encoding")


@pytest.mark.parametrize("place", [5, 60, 150, 250, 270, 2000])
def test_a_stream_that_ends_inside_a_message_is_told(place):
    said = stream(1000, 1000)
    with Process() as guard:
        guard.say(said[:place])
        guard.hang_up()
        status, events = guard.end()
        assert status == 0
        assert events[-1]["cut"] is True
        assert said.startswith(guard.passed)
        assert events[-1]["bytes"] == len(guard.passed) <= place


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_the_streams_end_would(number):
    said = rpc.negotiate() + rpc.opening("/r")
    with Process() as guard:
        guard.say(said)
        guard.wait_for(len(said))
        guard.process.send_signal(number)
        status, events = guard.end()
    assert status == 0
    assert events == [{"event": "end", **NOTHING, "messages": 2, "bytes": len(said), "cut": False}]


def test_a_signal_ends_it_also_while_serve_takes_nothing():
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    argv = [*rpc.GUARD, "--repository", "/r", "--session", "create", *rpc.PLENTY]
    with ours, theirs, subprocess.Popen(argv, stdin=theirs, stdout=writer, stderr=subprocess.PIPE) as guard:
        os.close(writer)
        theirs.close()
        ours.setblocking(False)
        said = memoryview(stream(5 << 20))
        poll = rpc.select.poll()
        poll.register(ours, rpc.select.POLLOUT)
        while poll.poll(1000):  # until the pipe and the socket are full
            said = said[ours.send(said) :]
        guard.send_signal(signal.SIGTERM)
        assert json.loads(guard.stderr.read())["cut"] is True
        assert guard.wait(rpc.PATIENCE) == 0
        os.close(reader)


@pytest.mark.parametrize("when", ["before a word", "inside the data of a put"])
def test_it_ends_when_serve_has_gone(when):
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    argv = [*rpc.GUARD, "--repository", "/r", "--session", "create", *rpc.PLENTY]
    with ours, theirs, subprocess.Popen(argv, stdin=theirs, stdout=writer, stderr=subprocess.PIPE) as guard:
        os.close(writer)
        theirs.close()
        if when != "before a word":
            ours.sendall(stream(1 << 20)[:100_000])
        os.close(reader)
        events = [json.loads(line) for line in guard.stderr.read().splitlines()]
        assert guard.wait(rpc.PATIENCE) == 0
    assert [event["event"] for event in events] == ["end"]


def test_a_launcher_that_has_gone_does_not_keep_it():
    reader, writer = os.pipe()
    os.close(reader)
    ours, theirs = socket.socketpair()
    argv = [*rpc.GUARD, "--repository", "/r", "--session", "create"]
    with ours, theirs, subprocess.Popen(argv, stdin=theirs, stdout=subprocess.DEVNULL, stderr=writer) as guard:
        os.close(writer)
        ours.sendall(rpc.negotiate() + b"\0")
        assert guard.wait(rpc.PATIENCE) == 3


def test_its_memory_is_small_whatever_comes():
    sizes = (LARGEST_BODY,) * 3
    said = stream(*sizes)
    with Process() as guard:
        guard.say(said)
        guard.say(rpc.call(8, "save_key", keydata=b"x" * 8192)[:8000])
        guard.wait_for(len(said))
        with open(f"/proc/{guard.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        guard.hang_up()
        assert guard.end()[0] == 0
    assert peak <= 20 << 10


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--repository", "/r"],
        ["--session", "read"],
        ["--repository", "/r", "--session", "write"],
        ["--repository", "/r", "--session", "read", "--quota"],
        ["--repository", "/r", "--session", "read", "--quota", "-1"],
        ["--repository", "/r", "--session", "read", "--quota", "any"],
        ["--repository", "/r", "--session", "read", "--deletes", "all"],
        ["--repository", "/r", "--session", "read", "--lock", "1"],
        ["--repository", "/r", "--session", "read", "--session", "window-delete"],
        ["--repository", "/r", "--session", "read", "--puts", "١"],
    ],
)
def test_words_that_are_not_the_launchers_are_an_error(words):
    with pytest.raises((ValueError, KeyError)):
        rpc_guard.parse(words)
