"""The commands about the log, `borgctl status` and those of `borgctl audit`: arguments in, text out."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from borgctl.cli.common.json_option import AsJson, print_result
from borgctl.cli.log import audit
from borgctl.cli.log.status import status as job_status
from borgctl.cli.policy.lint import usual_policies
from borgctl.values import duration

app = typer.Typer()


@app.command(short_help="Show how old the last good pull of each job is.")
def status(
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY", help="Without one: all in /etc/borgctl (~/.config/borgctl)."),
    ] = None,
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Older than this is overdue.")] = "26h",
    as_json: AsJson = False,
) -> None:
    """Check whether anyone still pulls this machine: show the last good run of each job, from its own log.

    The exit status is 0 where all is well, and 1 where the last run had warnings or failed. It is 2 where one is
    overdue or never came, or where a run has found a repository damaged.

    Example: borgctl status --max-age 26h
    """
    files = [os.path.abspath(file) for file in policies or usual_policies()]
    findings = job_status(files, duration(max_age), datetime.now(UTC))
    print_result(findings.plain, findings.lines, as_json=as_json)
    raise typer.Exit(findings.status)


app.add_typer(audit.app)
