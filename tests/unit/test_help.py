"""What both programs say of themselves: help, version, completion, colours."""

import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest
from machines import program
from terminals import on_a_terminal
from typer.main import get_command

import borgctl
from borgctl.cli.app import app as client_app
from borgctl.pull.command_line import app as server_app

APPS = {"borgctl": client_app, "borgpull": server_app}


def commands(name):
    """Return every command of a program by its words: ('borgctl', 'audit', 'show')."""
    found, waiting = {}, [((name,), get_command(APPS[name]))]
    while waiting:
        words, command = waiting.pop()
        found[words] = command
        waiting += [((*words, sub), below) for sub, below in getattr(command, "commands", {}).items()]
    return found


ALL = {**commands("borgctl"), **commands("borgpull")}
each_program = pytest.mark.parametrize("name", APPS)
each_command = pytest.mark.parametrize("words", [words for words in ALL if len(words) > 1], ids=" ".join)


def said(*argv, **env):
    done = subprocess.run(
        [program(argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "COLUMNS": "80", **env},
    )
    assert done.stderr == ""
    return done.stdout


@each_program
def test_the_version_is_the_distributions(name):
    assert said(name, "--version") == f"{name} {borgctl.__version__}\n"
    assert importlib.metadata.version("borgctl-gatekeeper") == borgctl.__version__


@each_program
def test_the_list_of_commands_is_whole_sentences_of_one_line(name):
    listed = said(name, "--help").partition("Commands:\n")[2].splitlines()
    assert len(listed) == len(get_command(APPS[name]).commands)  # a folded line would be one more
    for line in listed:
        assert re.fullmatch(r"  [a-z]+ +[A-Z].*[^.]\.", line) and len(line) <= 80, line


@each_command
def test_every_command_says_what_it_does_and_shows_an_example_of_itself(words):
    text = said(*words, "--help")
    example = re.search(r"Example: (.+)", text)
    assert example and " ".join(words) in example[1], text


# ---- completion


@each_program
@pytest.mark.parametrize(
    ("shell", "first"), [("bash", "_{}_completion() {{"), ("zsh", "#compdef {}"), ("fish", "complete --command {} ")]
)
def test_each_shell_gets_a_script_of_its_own(name, shell, first):
    assert said(name, "--show-completion", shell).startswith(first.format(name))


@each_program
def test_a_shell_that_there_is_no_script_for_is_an_error_and_says_which_there_are(name):
    done = subprocess.run([program(name), "--show-completion", "csh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert all(shell in done.stderr for shell in ("bash", "zsh", "fish"))


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("borgctl auth", "authorize"),
        ("borgctl audit ver", "verify"),
        ("borgctl audit show --outc", "--outcome"),
        ("borgctl authorize --transport so", "socket"),
        ("borgpull targ", "targets"),
        ("borgpull run --dr", "--dry-run"),
    ],
)
def test_a_real_bash_completes(typed, completed):
    script = """
        name=$1; source <($name --show-completion bash)
        COMP_WORDS=($2) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _${name}_completion $name && echo "${COMPREPLY[@]}"
    """
    path = f"{Path(program('borgctl')).parent}:/usr/bin:/bin"
    argv = ["bash", "--norc", "-c", script, "bash", typed.split()[0], typed]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PATH": path})
    assert (done.stdout, done.stderr) == (f"{completed}\n", "")


@each_program
def test_what_the_scripts_of_zsh_and_fish_ask_is_answered(name):
    ask, command = f"_{name.upper()}_COMPLETE", {"borgctl": "authorize", "borgpull": "compact"}[name]
    typed = {"_TYPER_COMPLETE_ARGS": f"{name} {command[:3]}"}
    assert f'"{command}"' in said(name, **{ask: "complete_zsh"}, **typed)
    fish = said(name, **{ask: "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, **typed)
    assert fish.split("\t")[0] == command


# ---- colours

COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:[34][0-7]|9[0-7]|10[0-7]|[34]8;)[0-9;]*m")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text('{"time":"2026-11-23T04:05:06.000Z","sequence":1,"type":"refuse","reason":"unknown-job"}\n')
    path.chmod(0o600)
    return path


def test_borgctl_has_colours_on_a_terminal_and_none_where_they_are_not_wanted(log):
    assert COLOUR.search(on_a_terminal("borgctl", "audit", "show", log))
    shown = on_a_terminal("borgctl", "audit", "show", log, NO_COLOR="1")
    assert "unknown-job" in shown
    assert not COLOUR.search(shown), shown
