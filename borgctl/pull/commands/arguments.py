"""Arguments that several commands share: typer's names, metavars and help of them."""

from typing import Annotated

import typer

from borgctl.pull.commands import completion

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="The name of the target.", show_default=False, autocompletion=completion.target
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET",
        help="Names of targets, or tags as @TAG.",
        show_default=False,
        autocompletion=completion.targets,
    ),
]
AllTargets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET",
        help="Names of targets, or tags as @TAG. Without one: every target.",
        show_default=False,
        autocompletion=completion.targets,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every target.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Runs that began from this time on: 2h, 14d, 2026-11-23.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
