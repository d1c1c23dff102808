"""The files that a program needs to start are found."""

import os
import subprocess
import sys

import pytest

from borgctl.errors import BadValue
from borgctl.sandbox import program_files


def test_an_elf_file_needs_itself_and_its_loader():
    needed = program_files.needed("/bin/true")
    assert needed.files[0] == os.path.realpath("/bin/true")
    told = subprocess.run(["readelf", "-l", "/bin/true"], capture_output=True, text=True, check=True).stdout
    loader = told.partition("program interpreter: ")[2].partition("]")[0]
    assert needed.files[1:] == (os.path.realpath(loader),)


def test_a_script_of_a_virtual_environment_needs_the_real_python_and_both_libraries(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin/python").symlink_to(os.path.realpath(sys.executable))
    script = tmp_path / "bin/borg"
    script.write_text(f"#!{tmp_path}/bin/python -I\nprint()\n")
    (tmp_path / "link").symlink_to("bin/borg")
    needed = program_files.needed(str(tmp_path / "link"))
    assert needed.files[:2] == (str(script), os.path.realpath(sys.executable))
    assert str(tmp_path) in needed.libraries
    assert set(program_files.python(sys.executable).libraries) <= set(needed.libraries)
    assert os.path.realpath(os.path.dirname(os.__file__)).startswith(needed.libraries)


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n",
        b"#!/usr/bin/env python3\n",
        b"#!python3\n",
        b"#!\n",
        b"#! \n",
        b"\x7fELF",
        b"\x7fELF\x02\x01" + b"\xff" * 4000,
        b"",
        b"MZ",
        b"#!/usr/bin/python3x\n",
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, content):
    program = tmp_path / "program"
    program.write_bytes(content)
    with pytest.raises(BadValue):
        program_files.needed(str(program))


def test_a_missing_program_or_interpreter_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        program_files.needed(str(tmp_path / "none"))
    (tmp_path / "script").write_text(f"#!{tmp_path}/python3\n")
    with pytest.raises(FileNotFoundError):
        program_files.needed(str(tmp_path / "script"))
