"""What an admin's program and a gate say to each other."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.state import window_protocol
from borgctl.state.window_protocol import WindowRequest

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20).map(tuple)


@pytest.fixture
def ends():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        yield one, other


@given(WORDS, st.none() | st.integers(0, 2**32 - 2), st.none() | st.just("/srv/borg/web1"), st.booleans())
def test_a_claim_is_read_back_as_it_was_sent(argv, login, repository, renew):
    sent = WindowRequest(argv, login, repository, renew)
    assert WindowRequest.read(sent.message) == sent


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"argv": "borg list", "login": None, "repository": None, "renew": False},
        {"argv": [], "login": "0", "repository": None, "renew": False},
        {"argv": [], "login": None, "repository": 1, "renew": False},
        {"argv": [], "login": None, "repository": None, "renew": 1},
        {"status": 0},
    ],
)
def test_what_is_no_claim_is_none(message):
    assert WindowRequest.read(message) is None


def test_an_argv_that_is_too_long_for_a_record_says_how_many_words_are_left_out():
    words = tuple(f"path/{number}" for number in range(5000))
    kept = WindowRequest(words).message["argv"]
    assert sum(map(len, kept)) < 8200
    assert kept[:-1] == list(words[: len(kept) - 1])
    assert kept[-1] == f"… ({5000 - len(kept) + 1} more words)"
    assert WindowRequest(("x" * 100_000,)).message["argv"] == ["… (1 more words)"]


def test_one_message_is_one_object_and_anything_else_is_none(ends):
    one, other = ends
    assert window_protocol.send(one, {"argv": ["ü\n\udc80"]})
    assert window_protocol.receive(other) == {"argv": ["ü\n\udc80"]}
    for data in (b"[]", b"7", b"{", b"\xff", b"[" * 60_000):
        one.send(data)
        assert window_protocol.receive(other) is None
    one.close()
    assert window_protocol.receive(other) is None
    assert not window_protocol.send(other, {})


def test_a_silent_peer_is_none_after_its_time(ends):
    ends[0].settimeout(0.05)
    assert window_protocol.receive(ends[0]) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_window_where_another_user_listens_is_passed_over(tmp_path):
    """borg's user may write below a run's directory: what listens there is no gate, and is told nothing."""
    (tmp_path / "runs").mkdir()
    for run in ("ours", "theirs"):
        (tmp_path / "runs" / run).mkdir()
    listeners = [window_protocol.listen(str(tmp_path / "runs/ours"))]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(tmp_path / "runs/theirs" / window_protocol.SOCKET))
    os.seteuid(64123)  # the kernel tells who called listen(2)
    try:
        listener.listen(8)
    finally:
        os.seteuid(0)
    listeners.append(listener)
    base = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = list(window_protocol.windows(base))
        assert [run for run, _ in found] == ["ours"]
    finally:
        os.close(base)
        for connection in (*listeners, *(connection for _, connection in found)):
            connection.close()


def test_windows_are_found_among_whatever_else_lies_there(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than a socket's path may be
    for run in ("open", "dead", "none", "link"):
        (deep / "runs" / run).mkdir(parents=True)
    (deep / "runs/file").touch()
    with window_protocol.listen(str(deep / "runs/open")) as listener:
        window_protocol.listen(str(deep / "runs/dead")).close()
        base = os.open(deep, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = list(window_protocol.windows(base))
        finally:
            os.close(base)
        assert [run for run, _ in found] == ["open"]
        listener.accept()[0].close()
        found[0][1].close()


def test_every_word_of_an_argv_becomes_text():
    assert window_protocol.words(["borg", "a\udcff", "ü"]) == ("borg", "a\\xff", "ü")


def test_nobody_is_known_to_have_logged_in_where_the_kernel_does_not_know():
    known = window_protocol.login_uid()
    assert known is None or 0 <= known < 0xFFFFFFFF
