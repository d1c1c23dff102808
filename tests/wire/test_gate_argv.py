"""The gate is started by the same command line everywhere."""

import sys

import pytest

from borgctl.wire import gate_argv
from borgctl.wire.gate_argv import GateArgv

KEY = f"SHA256:{'a+/' * 14}b"


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_built_is_read(key):
    words = gate_argv.build("/p.yaml", key, "/opt/python3")
    assert gate_argv.read(words) == GateArgv("/opt/python3", "/p.yaml", key)


def test_a_key_line_that_was_pasted_stays_valid():
    assert gate_argv.build("/etc/borgctl/web1.yaml", KEY) == [
        *(sys.executable, "-I", "-m", "borgctl.gate", "--policy", "/etc/borgctl/web1.yaml", "--key", KEY)
    ]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["/opt/python3"],
        ["/opt/python3", "-m", "borgctl.gate", "--policy", "/p.yaml"],
        ["/opt/python3", "-I", "-m", "borgctl.cli", "--policy", "/p.yaml"],
        ["/opt/python3", "-I", "-m", "borgctl.gate", "--policy"],
        ["/opt/python3", "-I", "-m", "borgctl.gate", "--policy", "/p.yaml", "--key"],
        ["/opt/python3", "-I", "-m", "borgctl.gate", "--policy", "/p.yaml", "--key", KEY, "x"],
        ["/opt/python3", "-I", "-m", "borgctl.gate", "--key", KEY, "--policy", "/p.yaml"],
        *(
            ["/opt/python3", "-I", "-m", "borgctl.gate", "--policy", "/p.yaml", "--key", key]
            for key in ("", "x", "SHA256:a+/", f"{KEY}=", f"{KEY}\n", KEY.replace("SHA256", "MD5"))
        ),
    ],
)
def test_nothing_else_starts_it(words):
    assert gate_argv.read(words) is None
