"""The commands about what is remembered of a target: status, accept, forget."""

import time
from typing import Annotated

import typer

from borgctl.pull.commands import show_status
from borgctl.pull.commands.arguments import All, AllTargets, Json, Targets
from borgctl.pull.commands.output import warn_of_history
from borgctl.pull.commands.selection import chosen, for_each
from borgctl.pull.report import forget as forgetting
from borgctl.pull.report import record_run
from borgctl.pull.state import history
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName


def status(
    context: typer.Context,
    targets: AllTargets = None,
    all: All = False,
    as_json: Json = False,
    as_nagios: Annotated[bool, typer.Option("--nagios", help="Print one line, as a monitoring plugin does.")] = False,
) -> None:
    """Show how old each job's last good run is, whether that is overdue ('expect' in the target file), and the alerts.

    A job that is running now is shown with its last result. Of a failed run it shows why, for how long no run has been
    good, and the run's id. What may be an attack is marked 'POSSIBLE ATTACK'.

    On a terminal it is a table, with the size of each job's last good run, its growth and its duration. Elsewhere each
    job is a line.

    The exit status is 0 where all is well, 1 where there were warnings. It is 2 where a target is overdue, alarming or
    cannot be used.

    Example: borgpull status --nagios
    """
    raise typer.Exit(show_status.show_status(context.obj, targets, all, as_json, as_nagios))


def accept(
    context: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why all is well; it is recorded.", show_default=False)],
    targets: Targets = None,
    all: All = False,
) -> None:
    """Clear a target's alerts, once you have looked. Who did so, and why, is recorded.

    After 'audit-broken' (an audit log that did not continue), the next head from the client is taken as it is.
    After 'backup-shrunken' or 'backup-slow', the job's last run is what the next ones are compared with.

    Example: borgpull accept web1 --reason 'log was moved to a new disk'
    """
    found = chosen(context.obj, targets, every=all)
    raise typer.Exit(for_each(context.obj, found, None, lambda target: _accept(context.obj, target, reason)))


def _accept(folders: Folders, target: Target, reason: str) -> int:
    for alert in record_run.accept(folders, target.name, reason, time.time()):
        print(f"{target.name}: accepted: {record_run.alert_line(alert)}")
    warn_of_history(target.name, lambda: history.accept(folders, target.name))
    return 0


def forget(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    job: Annotated[list[str] | None, typer.Option(metavar="JOB", help="Forget this job; may be repeated.")] = None,
    repository: Annotated[
        bool,
        typer.Option(
            "--repository", help="Forget which repository it is: the next run takes what is there, also a new one."
        ),
    ] = False,
) -> None:
    """Forget jobs that 'status' shows, or which repository the target has, to begin anew with what is there next.

    Nothing in the repository is changed. Who forgot it is recorded, and the copies are kept.

    Example: borgpull forget web1 --job weekly
    """
    found = chosen(context.obj, targets, every=all)
    jobs = tuple(JobName(text) for text in job or ())
    raise typer.Exit(for_each(context.obj, found, None, lambda target: _forget(context.obj, target, jobs, repository)))


def _forget(folders: Folders, target: Target, jobs: tuple[JobName, ...], repository: bool) -> int:
    for line in forgetting.forget(folders, target, jobs, repository, time.time()):
        print(f"{target.name}: {line}")
    return 0
