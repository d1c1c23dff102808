"""Completion for the shells that people have: the script that each of them reads. Nothing is written anywhere.

Example: borgpull --show-completion bash > /etc/bash_completion.d/borgpull
"""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]


class Shell(StrEnum):
    """A shell that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def show(shell: Shell | None) -> None:
    """Print the script and end, where one was asked for."""
    if shell is not None:
        typer.echo(get_completion_script(prog_name="borgpull", complete_var="_BORGPULL_COMPLETE", shell=shell.value))
        raise typer.Exit


Option = Annotated[
    Shell | None,
    typer.Option(
        "--show-completion",
        metavar="SHELL",
        callback=show,
        is_eager=True,
        help="print the completion script for bash, zsh or fish",
    ),
]


def prepare() -> None:
    """Make the program answer what those scripts ask it."""
    completion_init()
