"""The command for a monitoring system: metrics."""

import os
import shlex
import time
from typing import Annotated

import typer

from borgctl.fs import atomic
from borgctl.pull.commands.output import warn_of_fault, warn_of_none
from borgctl.pull.report.fleet_status import survey
from borgctl.pull.report.metrics import METRICS
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.targets import names

FILE = "borgpull.prom"
_MODE = 0o644  # node_exporter reads it, as a user of its own


def metrics(
    context: typer.Context,
    textfile: Annotated[
        str | None,
        typer.Option(
            "--textfile",
            metavar="DIR",
            help=f"Write DIR/{FILE} instead, whole or not at all, for the textfile collector of node_exporter.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print how all targets stand as metrics for Prometheus: ages, durations, sizes, failures and alerts.

    They are what 'status' says at this moment. A target whose file has mistakes is a metric, too, and keeps no other
    one back.

    Example: borgpull metrics --textfile /var/lib/prometheus/node-exporter
    """
    fleet = survey(context.obj, names(context.obj), time.time())
    from borgctl.pull.report.exposition import exposition  # noqa: PLC0415 - 80 ms, which no other command needs

    text = exposition(METRICS, fleet)
    if textfile is None:
        print(text.decode(), end="")
    else:
        _write(textfile, text)
    if not fleet.targets:
        warn_of_none(context.obj)
    warn_of_fault(fleet.history_fault)


def _write(directory: str, text: bytes) -> None:
    """Write the file; node_exporter sees the old one or the new one, and no draft."""
    if not directory:
        raise PullError("--textfile needs a directory", "is the variable that should name it empty?")
    path = os.path.join(directory, FILE)
    try:
        atomic.replace(path, text, mode=_MODE)
    except FileNotFoundError:
        hint = f"make it, for the user that runs this: install -d -o {os.geteuid()} -m 0755 {shlex.quote(directory)}"
        raise PullError(f"no directory {directory!r}", hint) from None
    except NotADirectoryError:
        hint = f"--textfile takes the directory in which node_exporter finds {FILE}"
        raise PullError(f"{directory!r} is no directory", hint) from None
    except PermissionError as error:
        allowed = f"chgrp {os.getegid()} {shlex.quote(directory)} && chmod g+w {shlex.quote(directory)}"
        hint = f"as root let this user's group write there: {allowed}"
        raise PullError(f"cannot write {path!r}: {error.strerror}", hint) from None
