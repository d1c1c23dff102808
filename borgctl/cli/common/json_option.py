"""What commands share that print for people or, with --json, for programs.

It knows neither the text nor the value: `print_result(report.plain, report.lines, as_json=True)`.
"""

import json
from collections.abc import Iterable
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_result(plain: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print `plain` as JSON or the lines as text."""
    typer.echo(json.dumps(plain, indent=2) if as_json else "\n".join(lines))
