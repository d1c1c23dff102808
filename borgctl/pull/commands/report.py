"""The command that writes how all targets stand as one HTML page: report."""

import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from borgctl.fs import atomic
from borgctl.pull.commands.arguments import All, AllTargets, Since
from borgctl.pull.commands.output import warn_of_none
from borgctl.pull.commands.selection import existing, moment
from borgctl.pull.report.status import standings
from borgctl.pull.state.history import Run, runs
from borgctl.pull.state.history_replacement import HistoryUnusable
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders
from borgctl.text import printable_excerpt

_STDOUT = "-"
_MODE = 0o640  # what clients are called and how they are is not for every account
_HINT = f"name a file in a directory where you may write, or {_STDOUT} for stdout; a page that is there stays as it was"


def report(
    context: typer.Context,
    html: Annotated[
        str,
        typer.Option(
            "--html", metavar="FILE", help=f"Write the page to this file; {_STDOUT} is stdout.", show_default=False
        ),
    ],
    targets: AllTargets = None,
    all: All = False,
    since: Since = None,
) -> None:
    """Write one HTML page: how targets stand, the worst first, charts of past runs, and the last runs of each target.

    The page needs no other file, has no script, and loads nothing. FILE is replaced as a whole, and has mode 0640.

    The exit status is 0 where the page was written, whatever it says, and 1 where past runs could not be read.

    Example: borgpull report --html /var/www/backups/index.html
    """
    folders: Folders = context.obj
    if html != _STDOUT:
        _require_place(folders, html)
    chosen, start, now = existing(folders, targets, every=all).texts, moment(since), time.time()
    if not chosen:
        warn_of_none(folders)
    from borgctl.pull.html_report.fleet import survey  # noqa: PLC0415 - jinja2 is for this command alone
    from borgctl.pull.html_report.page import Heading, page  # noqa: PLC0415

    faults: list[str] = []
    fleet = survey(list(standings(folders, chosen, now)), _past(folders, chosen if targets else (), start, faults), now)
    data = page(fleet, Heading(os.uname().nodename, now, start, tuple(faults)))
    if html == _STDOUT:
        sys.stdout.buffer.write(data)
    else:
        _write(html, data)
    for fault in faults:
        print(f"warning: {printable_excerpt(fault)}", file=sys.stderr)
    raise typer.Exit(1 if faults else 0)


def _past(folders: Folders, names: tuple[str, ...], since: float | None, faults: list[str]) -> Iterator[Run]:
    """Yield past runs, those of all targets where none is named; put into `faults` why there are no more."""
    try:
        yield from runs(folders, names, since)
    except HistoryUnusable as error:
        faults.append(": ".join(filter(None, (error.text, error.hint))))


def _require_place(folders: Folders, path: str) -> None:
    """Raise PullError where the page would take the place of a device, say, or of a file of the launcher's own."""
    directory = os.path.realpath(os.path.dirname(path))
    for own in map(os.path.realpath, (folders.config, folders.state)):
        if f"{directory}/".startswith(f"{own}/"):
            raise PullError(f"{path!r} is in {own}, which is for the launcher's own files", _HINT)
    try:
        other = not stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        other = os.path.basename(path) in ("", ".", "..")
    except OSError as error:
        raise PullError(f"{path}: {error.strerror}", _HINT) from None
    if other:
        raise PullError(f"{path!r} is no regular file", _HINT)


def _write(path: str, data: bytes) -> None:
    try:
        atomic.replace(path, data, mode=_MODE)
    except OSError as error:
        raise PullError(f"{path}: {error.strerror}", _HINT) from None
