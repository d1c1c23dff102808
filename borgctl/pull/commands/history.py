"""The command that shows past runs: history."""

import json

import typer

from borgctl.pull.commands.arguments import All, AllTargets, Json, Since
from borgctl.pull.commands.selection import existing, moment
from borgctl.pull.report.history_text import HEAD, plain, row
from borgctl.pull.state.history import runs


def history(
    context: typer.Context,
    targets: AllTargets = None,
    all: All = False,
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Show past runs, the newest last: begin, outcome, files, sizes, what was put into the repository, and duration.

    Files and sizes are by the client's word, and what was put by the server's own count. Runs are kept for 400 days.

    Example: borgpull history web1 --since 14d
    """
    names = existing(context.obj, targets, every=all).texts
    first = True
    for run in runs(context.obj, names if targets else (), moment(since)):
        if first and not as_json:
            print(HEAD)
        print(json.dumps(plain(run)) if as_json else row(run))
        first = False
