"""The commands `borgctl audit show` and `borgctl audit verify`: arguments in, text out."""

import json
import sys
from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from borgctl.cli.common.json_option import AsJson, print_result
from borgctl.cli.log import read, records, show, warned_files
from borgctl.cli.log.follow import Follower
from borgctl.cli.log.verify import verify as verify_logs
from borgctl.console import since as moments
from borgctl.policy import locations
from borgctl.values import Head

app = typer.Typer(
    name="audit",
    help="Show the audit log, and prove its chain.\n\nExample: borgctl audit show --since 2d",
    short_help="Show the audit log, and prove its chain.",
    no_args_is_help=True,
)
_NEWEST = 100  # lines that may come twice: read from the file, and followed
_USUAL = "Without one: /var/log/borgctl/audit.jsonl, or an ordinary user's own."


@app.command(short_help="Prove that nobody changed the log.")
def verify(
    files: Annotated[list[str] | None, typer.Argument(metavar="LOG", help=_USUAL)] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQUENCE:HEAD", help="The head that a server kept of this log; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no record was changed, taken out or added, over one log and its older parts, or these files.

    A log may have been cut at its end, or written anew as a whole. Only the head that the server kept ('borgpull status
    --json' there) shows that for certain. The exit status is 0 where the chain is proved, 1 where it is and something
    is odd, 2 where it is not.

    Example: borgctl audit verify --head 1041:9f86d081…
    """
    proof = verify_logs(files or [locations.default_log()], [Head.read(text) for text in head or []])
    print_result(proof.plain, proof.lines, as_json=as_json)
    raise typer.Exit(proof.status)


@app.command("show", short_help="Show the log as a table.")
def show_log(
    log: Annotated[str | None, typer.Argument(metavar="LOG", help=_USUAL)] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Records from this time on: 2h, 14d, 2026-11-23.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="WORD", help="ok, warning, failed, refused, alert or another outcome.")
    ] = None,
    peer: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Records from this address, or 'local'.")] = None,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Records of this run; the beginning of its id is enough.")
    ] = None,
    last: Annotated[int, typer.Option(metavar="N", min=0, help="The last N of those records; 0: all.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new records.")] = False,
    files: Annotated[bool, typer.Option("--files", help="The files that borg warned of in the run of --run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON, one a line.")] = False,
) -> None:
    """Show the audit log as a table, or its records as JSON.

    With --files, show the files that were not saved as they stood.

    Example: borgctl audit show --since 2d --outcome refused
    """
    path = log or locations.default_log()
    if files:
        _print_files(path, run or "", as_json=as_json)
        return
    start = moments.since(since, datetime.now(UTC)) if since else None
    wanted = records.Wanted(start, None if outcome is None else records.known_outcome(outcome), peer, run)
    follower = Follower(path) if follow else None
    newest: deque[bytes] = deque(maxlen=_NEWEST)
    chosen: deque[dict[str, Any]] = deque(maxlen=last or None)
    for line in read.lines(read.parts(path)):
        newest.append(line.text)
        if wanted.includes(record := records.record(line.text)):
            chosen.append(record)
    console = show.console()
    if as_json:
        for record in chosen:
            print(json.dumps(record))
    else:
        show.table(chosen, console)
    if follower is None:
        return
    sys.stdout.flush()  # whoever reads from a pipe sees what is there before anything comes
    for text in follower.lines():
        record = records.record(text)
        if wanted.includes(record) and text not in newest:  # it came while we read the rest
            if as_json:
                print(json.dumps(record))
            else:
                show.line(record, console)
            sys.stdout.flush()


def _print_files(path: str, run: str, *, as_json: bool) -> None:
    """Print the files that borg warned of in one run."""
    warned = warned_files.warned_in(path, run, (records.record(line.text) for line in read.lines(read.parts(path))))
    print_result(warned.plain, warned.lines, as_json=as_json)
