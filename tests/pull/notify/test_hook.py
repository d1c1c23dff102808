"""The hook of a failed run: a real program, with nothing but what it is given, for a limited time."""

from pathlib import Path

import machines
import pytest

from borgctl.process.hook_environment import PATH
from borgctl.pull.notify.hook import LARGEST, environment, run

ENV = environment("web1", "default", "failed", "ssh-failed", "0a1b2c3d4e5f6071")


@pytest.fixture
def program(tmp_path: Path):
    """Give a function that writes a shell script."""

    def write(text: str) -> tuple[str, ...]:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return (str(path),)

    return write


def test_it_gets_its_words_and_an_environment_built_from_nothing(program, monkeypatch) -> None:
    monkeypatch.setenv("SECRET", "of the launcher's")
    said = run((*program('echo "$@"; pwd; umask'), "a b", "$(id)", "*"), ENV, 10)
    assert said == (None, ["a b $(id) *", "/", "0077"])
    found = dict(line.split("=", 1) for line in run(program("exec /usr/bin/env"), ENV, 10)[1])
    assert {name for name in found if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == set(ENV)
    assert {name: found[name] for name in found if name.startswith("BORGPULL_")} == {
        "BORGPULL_TARGET": "web1",
        "BORGPULL_JOB": "default",
        "BORGPULL_OUTCOME": "failed",
        "BORGPULL_REASON": "ssh-failed",
        "BORGPULL_RUN": "0a1b2c3d4e5f6071",
    }
    assert found["PATH"] == PATH


def test_what_a_client_may_have_chosen_is_short_and_harmless() -> None:
    env = environment("web1", None, "failed", "\x1b[2J$(id)\n\0" * 50, None)
    assert env["BORGPULL_REASON"].startswith("__2J__id___") and len(env["BORGPULL_REASON"]) == 64
    assert (env["BORGPULL_JOB"], env["BORGPULL_RUN"]) == ("", "")


def test_a_status_that_is_not_0_and_a_program_that_is_missing_are_said(program) -> None:
    assert run(program("echo no such number >&2; exit 3"), ENV, 10) == ("ended with status 3", ["no such number"])
    assert run(("/nonexistent/page",), ENV, 10) == ("cannot be started: No such file or directory", [])
    assert run(program("kill -9 $$"), ENV, 10)[0] == "ended with status -9"


def test_output_is_escaped_and_bounded(program) -> None:
    assert run(program(r"printf '\033[2J\377\n'"), ENV, 10) == (None, ["\\x1b[2J\ufffd"])
    error, lines = run(program("head -c 1000000 /dev/zero | tr '\\0' a; echo"), ENV, 10)
    assert error is None and len(lines) == 1 and len(lines[0]) <= 500
    assert len(run(program("seq 1000"), ENV, 10)[1]) == 10
    assert LARGEST < 10_000


def test_it_is_killed_with_all_that_it_started_once_its_time_is_over(program, tmp_path) -> None:
    script = f"trap '' TERM; sleep 300 & echo $! >{tmp_path}/pid; echo begun; wait; wait"
    assert run(program(script), ENV, 0.5) == ("was killed after 0 s", ["begun"])
    machines.wait_for(lambda: _is_dead(tmp_path), 10)


def test_what_it_leaves_running_holds_nobody_up_and_is_ended(program, tmp_path) -> None:
    assert run(program(f"sleep 300 & echo $! >{tmp_path}/pid; echo done"), ENV, 10) == (None, ["done"])
    machines.wait_for(lambda: _is_dead(tmp_path), 10)


def _is_dead(directory: Path) -> bool:
    """Tell whether the process whose number is in `pid` is gone, or waits to be reaped."""
    try:
        status = Path(f"/proc/{(directory / 'pid').read_text().strip()}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"
