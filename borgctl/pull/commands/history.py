"""The command that shows past runs: history."""

import json
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from borgctl.console import since as moments
from borgctl.pull.commands.arguments import All, AllTargets, Json
from borgctl.pull.report.history_text import HEAD, plain, row
from borgctl.pull.state.history import runs
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.selection import select


def history(
    context: typer.Context,
    targets: AllTargets = None,
    all: All = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Runs that began from this time on: 2h, 14d, 2026-11-23.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show past runs, the newest last: begin, outcome, files, sizes, what was put into the repository, and duration.

    Files and sizes are by the client's word, and what was put by the server's own count. Runs are kept for 400 days.

    Example: borgpull history web1 --since 14d
    """
    if all and targets:
        raise PullError("name targets or give --all, one of the two")
    names = [TargetName(text) for text in (select(context.obj, targets).texts if targets else ())]
    for name in names:
        if not os.path.lexists(context.obj.target(name)):
            raise PullError(f"no target {str(name)!r} ({context.obj.target(name)})")
    start = moments.since(since, datetime.now(UTC)).timestamp() if since else None
    first = True
    for run in runs(context.obj, [str(name) for name in names], start):
        if first and not as_json:
            print(HEAD)
        print(json.dumps(plain(run)) if as_json else row(run))
        first = False
