"""`borgctl audit`: show the audit log, and prove its chain."""

import json
import sys
from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from borgctl.cli.log import read, show, warned_files
from borgctl.cli.log.follow import Follower
from borgctl.cli.log.verify import verified
from borgctl.policy import locations
from borgctl.values import Head

app = typer.Typer(
    name="audit",
    help="Show the audit log, and prove its chain.\n\nExample: borgctl audit show --since 2d",
    short_help="Show the audit log, and prove its chain.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_MOST_KNOWN = 100
_USUAL = "Without one: /var/log/borgctl/audit.jsonl, or an ordinary user's own."


@app.command(short_help="Prove that nobody changed the log.")
def verify(
    files: Annotated[list[str] | None, typer.Argument(metavar="LOG", help=_USUAL)] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQUENCE:HEAD", help="What a server kept of this log; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no record was changed, taken out or added, over one log and its older parts, or these files.

    What was cut from the end, or written anew as a whole, shows for certain only by the head that the server kept
    ('borgpull status --json' there). Exit status 0: proved, 1: proved, and something is odd, 2: not proved.

    Example: borgctl audit verify --head 1041:9f86d081…
    """
    proof = verified(files or [locations.default_log()], [Head.read(text) for text in head or []])
    typer.echo(json.dumps(proof.plain, indent=2) if as_json else "\n".join(proof.lines))
    raise typer.Exit(proof.status)


@app.command("show", short_help="Show the log as a table.")
def show_(
    log: Annotated[str | None, typer.Argument(metavar="LOG", help=_USUAL)] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From here on: 2h, 14d, 2026-11-23.")] = None,
    outcome: Annotated[str | None, typer.Option(metavar="WORD", help="ok, warning, failed, refused, alert, …")] = None,
    peer: Annotated[str | None, typer.Option(metavar="ADDRESS", help="From this address, or 'local'.")] = None,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Of this run; the beginning of its id will do.")
    ] = None,
    last: Annotated[int, typer.Option(metavar="N", min=0, help="The last N records of those; 0: all.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    files: Annotated[bool, typer.Option("--files", help="The files that borg warned of in the run of --run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON, one a line.")] = False,
) -> None:
    """Show the audit log as a table, or its records as JSON; or the files that were not saved as they stood.

    Example: borgctl audit show --since 2d --outcome refused
    """
    path = log or locations.default_log()
    if files:
        _print_files(path, run or "", as_json=as_json)
        return
    start = show.since(since, datetime.now(UTC)) if since else None
    wanted = show.Wanted(start, None if outcome is None else show.sought(outcome), peer, run)
    follower = Follower(path) if follow else None
    known: deque[bytes] = deque(maxlen=_MOST_KNOWN)
    found: deque[dict[str, Any]] = deque(maxlen=last or None)
    for one in read.lines(read.parts(path)):
        known.append(one.text)
        if wanted.includes(record := show.record(one.text)):
            found.append(record)
    console = show.console()
    if as_json:
        for record in found:
            print(json.dumps(record))
    else:
        show.table(found, console)
    if follower is None:
        return
    sys.stdout.flush()  # a pipe's reader has to see what is there before anything comes
    for line in follower.lines():
        record = show.record(line)
        if wanted.includes(record) and line not in known:  # it came while we looked at the rest
            if as_json:
                print(json.dumps(record))
            else:
                show.line(record, console)
            sys.stdout.flush()


def _print_files(path: str, run: str, *, as_json: bool) -> None:
    """Print the files that borg warned of in one run."""
    found = warned_files.listed(path, run, (show.record(one.text) for one in read.lines(read.parts(path))))
    typer.echo(json.dumps(found.plain, indent=2) if as_json else "\n".join(found.lines))
