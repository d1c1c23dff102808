"""Print the completion script of each supported shell; write no file. It knows no command of either program.

completion.option("borgctl", "Print the script.")      borgctl --show-completion bash > /etc/bash_completion.d/borgctl
"""

from enum import StrEnum
from typing import Any

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]


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
            variable = f"_{program.upper()}_COMPLETE"
            typer.echo(get_completion_script(prog_name=program, complete_var=variable, shell=shell.value))
            raise typer.Exit

    return typer.Option(
        "--show-completion",
        metavar="SHELL",
        callback=show,
        is_eager=True,
        help=text,
    )
