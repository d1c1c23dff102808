"""Arguments that several commands share: typer's names, metavars and help of them."""

from typing import Annotated

import typer

TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="The name of the target.", show_default=False)]
Targets = Annotated[list[str] | None, typer.Argument(metavar="TARGET", help="Names of targets.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every target.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
