"""The passphrase: from a file or a program, through a pipe, in nothing that others can see."""

import os

import programs
import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.policy.model import Passphrase
from borgctl.state import passphrase

SECRET = "correct horse"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def refused(secret, env=None):
    with pytest.raises(BorgctlError) as caught:
        passphrase.obtain(secret, env or {})
    assert caught.value.reason.code == "passphrase-unusable"
    assert SECRET not in caught.value.detail + str(caught.value)
    return caught.value.detail


def test_no_passphrase_is_none():
    assert passphrase.obtain(Passphrase(), {}) is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_holds_one_line(file, end):
    file.write_bytes((SECRET + end).encode())
    assert passphrase.obtain(Passphrase(str(file)), {}) == SECRET.encode()


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\n\n", b"a\0b", b"\r\n", b"x" * 5000])
def test_what_is_not_one_line_is_refused(file, content):
    file.write_bytes(content)
    refused(Passphrase(str(file)))


def test_any_other_bytes_are_a_passphrase(file):
    file.write_bytes(b"\xff \t\xc3\xa9\n")
    assert passphrase.obtain(Passphrase(str(file)), {}) == b"\xff \t\xc3\xa9"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o660])
def test_a_file_that_others_may_read_is_refused(file, mode):
    file.chmod(mode)
    assert "mode" in refused(Passphrase(str(file)))


def test_a_file_in_a_directory_that_others_may_write_is_refused(file):
    file.parent.chmod(0o777)
    refused(Passphrase(str(file)))


@pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(file):
    os.chown(file, 54321, 54321)
    refused(Passphrase(str(file)))


def test_a_missing_file_a_fifo_and_a_directory_are_refused(file, tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "none", tmp_path / "fifo", tmp_path):
        refused(Passphrase(str(path)))


def test_a_program_prints_one_line(tmp_path):
    program = programs.script(tmp_path / "pass", 'echo "$A $1"')
    assert passphrase.obtain(Passphrase(None, (program, "x y")), {"A": "b"}) == b"b x y"


def test_what_a_program_says_on_stderr_is_no_passphrase(tmp_path):
    program = programs.script(tmp_path / "pass", f"echo {SECRET} >&2")
    refused(Passphrase(None, (program,)))


@pytest.mark.parametrize("code", ["echo x; exit 1", "kill -9 $$", "yes", "exit 0", "printf 'a\\nb'"])
def test_a_program_that_fails_or_floods_is_refused(tmp_path, code):
    refused(Passphrase(None, (programs.script(tmp_path / "pass", code),)))


def test_a_program_that_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(passphrase, "_SECONDS", 0.3)
    refused(Passphrase(None, (programs.script(tmp_path / "pass", "exec sleep 60"),)))


def test_a_program_that_others_may_write_is_never_started(tmp_path):
    program = programs.script(tmp_path / "pass", f"touch {tmp_path}/started; echo x")
    os.chmod(program, 0o777)
    refused(Passphrase(None, (program,)))
    refused(Passphrase(None, (str(tmp_path / "none"),)))
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("size", [1, 4096])
def test_the_pipe_holds_the_passphrase_and_ends(size):
    fd = passphrase.pipe(b"x" * size)
    assert not os.get_inheritable(fd)
    assert programs.read_all(fd) == b"x" * size
    os.close(fd)


def test_what_can_be_used_is_told_without_reading_or_starting_it(file, tmp_path):
    proof = tmp_path / "proof"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o755)
    for good in (Passphrase(), Passphrase(str(file)), Passphrase(None, (str(program),))):
        passphrase.require(good)
    assert not proof.exists()
    file.chmod(0o640)
    program.chmod(0o777)
    for bad in (Passphrase(str(file)), Passphrase(None, (str(program),)), Passphrase(str(tmp_path / "none"))):
        with pytest.raises(BorgctlError) as caught:
            passphrase.require(bad)
        assert caught.value.reason.code == "passphrase-unusable"


def test_what_a_program_is_given_to_read_must_be_nobody_elses(file, tmp_path):
    obtain = Passphrase(program=("/bin/cat", str(file)))
    passphrase.require(obtain)
    assert passphrase.obtain(obtain, {}) == SECRET.encode()
    file.chmod(0o622)
    for call in (passphrase.require, lambda secret: passphrase.obtain(secret, {})):
        with pytest.raises(BorgctlError) as caught:
            call(obtain)
        assert caught.value.reason.code == "passphrase-unusable" and "0622" in caught.value.detail
