"""What reaches the admin's terminal: words, lines and nothing that moves the cursor."""

import os
import pty
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.cli.common.sanitize import SanitizedOutput, Sanitizer


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


@given(st.lists(st.binary(max_size=20)))
def test_nothing_but_printable_characters_and_ends_of_lines_comes_out(pieces):
    sanitizer = Sanitizer()
    said = b"".join(map(sanitizer.feed, [*filter(None, pieces), b""])).decode()
    assert all(one.isprintable() or one in "\n\r\t" for one in said)


@given(st.text(), st.data())
def test_what_is_printable_comes_out_as_it_was_however_it_is_cut(text, data):
    text = "".join(one for one in text if one.isprintable())
    raw, sanitizer = text.encode(), Sanitizer()
    at = data.draw(st.integers(0, len(raw)))
    assert b"".join(map(sanitizer.feed, [*filter(None, (raw[:at], raw[at:])), b""])) == raw


def test_a_servers_escapes_do_not_reach_a_terminal(terminal):
    shown = SanitizedOutput(None, terminal[1])
    argv = ["printf", r"\033]0;owned\007\033[2J\302\233Jgood: \342\200\256evil\nReally? [yN]: "]
    with subprocess.Popen(argv, stdout=shown.target) as process:
        shown.begin()
    shown.finish()
    assert process.returncode == 0
    said = os.read(terminal[0], 4096).decode().replace("\r\n", "\n")
    assert said == "\\x1b]0;owned\\x07\\x1b[2J\\x9bJgood: \\u202eevil\nReally? [yN]: "


def test_a_file_gets_the_very_bytes(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        assert SanitizedOutput(None, file.fileno()).target is None
        assert SanitizedOutput(file, 1).target is file


def test_a_terminal_that_is_gone_ends_the_program_and_not_us():
    master, slave = pty.openpty()
    shown = SanitizedOutput(None, slave)
    with subprocess.Popen(["yes"], stdout=shown.target) as process:
        os.close(master)
        shown.begin()
        assert process.wait(60) != 0
    shown.finish()
    os.close(slave)
