"""What a shell offers for TARGET; asked as its script asks, and by a real bash."""

import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest
from machines import program


@pytest.fixture
def fleet(world) -> str:
    """Give three targets with tags, one of them broken, and one that nobody may open; return their folder."""
    os.makedirs(world.folders.targets)
    for name, tags in (("db1", "[db]"), ("web1", "[web, berlin]"), ("web2", "[web")):
        Path(world.folders.targets, f"{name}.yaml").write_text(f"host: {name}\ntags: {tags}\n")
    os.mkfifo(Path(world.folders.targets, "pipe.yaml"))
    for name in ("*", "$(id)", "-x", "w x", "web\n3"):
        Path(world.folders.targets, f"{name}.yaml").touch()
    return world.folders.config


def ask(shell: str, typed: str) -> list[str]:
    """Return what the program answers to the script of zsh or fish."""
    env = {"_BORGPULL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": typed, "HOME": "/nonexistent"}
    env |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    done = subprocess.run([program("borgpull")], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.replace("_arguments '*: :((", "").replace('"', "").replace("))'", "").split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("run w", ["web1", "web2"]),
        ("run db1 web", ["web1", "web2"]),
        ("run @", ["@berlin", "@db", "@web"]),
        ("status db1 @b", ["@berlin"]),
        ("window d", ["db1"]),
        ("window @", []),
        ("copies p", ["pipe"]),
    ],
)
def test_names_and_tags_are_offered(fleet, shell: str, words: str, offered: list[str]) -> None:
    assert [word for word in ask(shell, f"borgpull --config-dir {fleet} {words}") if word != "_files"] == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_where_nothing_can_be_read_nothing_is_said(world, fleet, shell: str) -> None:
    Path(world.folders.defaults).write_text("quota: [")
    assert ask(shell, f"borgpull --config-dir {fleet} run @d") in ([], ["_files"])
    assert ask(shell, "borgpull --config-dir /nonexistent run w") in ([], ["_files"])


@pytest.mark.parametrize(
    ("typed", "completed"), [("run db", "run db1 "), ("run @w", "run @web "), ("run x @b", "@berlin ")]
)
def test_a_real_bash_puts_a_name_or_a_tag_in_the_place_of_what_was_typed(fleet, typed: str, completed: str) -> None:
    """In bash '@' ends a word, unlike in the other shells."""
    pid, terminal = pty.fork()
    if pid == 0:
        path = f"{Path(program('borgpull')).parent}:/usr/bin:/bin"
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {"PATH": path, "PS1": "$ ", "TERM": "dumb"})
    try:
        os.write(terminal, b'eval "$(borgpull --show-completion bash)"; echo rea""dy\n')
        assert read_until(terminal, "ready\r\n")
        os.write(terminal, f"borgpull --config-dir {fleet} {typed}\t".encode())
        assert read_until(terminal, completed)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)


def read_until(terminal: int, text: str) -> bool:
    """Return whether a terminal shows this before it is quiet for half a minute."""
    shown = b""
    while text not in shown.decode(errors="replace"):
        if not select.select([terminal], [], [], 30)[0]:
            return False
        shown += os.read(terminal, 65536)
    return True
