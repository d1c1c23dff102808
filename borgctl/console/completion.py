"""Print the completion script of each supported shell; write no file. It knows no command of either program.

completion.option("borgctl", "Print the script.")      borgctl --show-completion bash > /etc/bash_completion.d/borgctl
"""

from enum import StrEnum
from typing import Any

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

# As typer's own, but for '@web': bash makes two words of it, and then puts the answer in the place of both.
_BASH = """\
_{program}_completion() {{
    local IFS=$'\\n' words=() index cword=$COMP_CWORD
    for index in "${{!COMP_WORDS[@]}}"; do
        if (( index > 0 && index <= COMP_CWORD )) && [[ ${{COMP_WORDS[index - 1]}} == @ ]]; then
            words[-1]+=${{COMP_WORDS[index]}}
            (( cword -= 1 ))
        else
            words+=("${{COMP_WORDS[index]}}")
        fi
    done
    COMPREPLY=( $( env COMP_WORDS="${{words[*]}}" COMP_CWORD=$cword {variable}=complete_bash $1 ) )
    return 0
}}

complete -o default -F _{program}_completion {program}
"""


class Shell(StrEnum):
    """A shell with a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def option(program: str, text: str) -> Any:  # noqa: ANN401 - typer says the same
    """Return the option that prints a program's script, with `text` for its help; the scripts then ask the program."""
    completion_init()

    def show(shell: Shell | None) -> None:
        if shell is not None:
            typer.echo(_script(program, f"_{program.upper()}_COMPLETE", shell))
            raise typer.Exit

    return typer.Option(
        "--show-completion",
        metavar="SHELL",
        callback=show,
        is_eager=True,
        help=text,
    )


def _script(program: str, variable: str, shell: Shell) -> str:
    if shell is Shell.BASH:
        return _BASH.format(program=program, variable=variable)
    return get_completion_script(prog_name=program, complete_var=variable, shell=shell.value)
