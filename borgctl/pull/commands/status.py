"""The commands about what is remembered of a target: status, accept, forget."""

import json
import time
from typing import Annotated

import typer

from borgctl.pull.commands.arguments import All, Json, TargetArgument
from borgctl.pull.commands.output import warn_of_none
from borgctl.pull.report import forget as forgetting
from borgctl.pull.report import record_run
from borgctl.pull.report.status import standings
from borgctl.pull.report.target_status import nagios
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.targets import load, names
from borgctl.values import JobName


def status(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="names of targets [every target]", show_default=False),
    ] = None,
    all: All = False,
    as_json: Json = False,
    as_nagios: Annotated[bool, typer.Option("--nagios", help="print one line, as a monitoring plugin does")] = False,
) -> None:
    """Show how old each job's last good run is, whether that is overdue ('expect' in the target file), and the alerts.

    Exit status: 0 all is well, 1 warnings, 2 a target is overdue, alarming, or cannot be used.

    Example: borgpull status --nagios
    """
    if as_json and as_nagios:
        raise PullError("give --json or --nagios, one of the two")
    if all and targets:
        raise PullError("name targets or give --all, one of the two")
    chosen = list(dict.fromkeys(targets or names(context.obj)))
    shown = list(standings(context.obj, chosen, time.time()))
    if as_nagios:
        print(nagios(shown))
    for standing in shown if not as_nagios else ():
        print(json.dumps(standing.plain) if as_json else "\n".join(standing.lines))
    if not shown and not as_json and not as_nagios:
        warn_of_none(context.obj)
    raise typer.Exit(max((standing.level for standing in shown), default=2))


def accept(
    context: typer.Context,
    target: TargetArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why it is all right; it is kept", show_default=False)],
) -> None:
    """Take a target's alerts away, once you have looked. Who said so, and why, is kept.

    After 'audit-broken' (an audit log that did not continue), the next head from the client is taken as it is.

    Example: borgpull accept web1 --reason 'log was moved to a new disk'
    """
    name = TargetName(target)
    for alert in record_run.accept(context.obj, load(context.obj, name).name, reason, time.time()):
        print(f"{name}: accepted: {record_run.alert_line(alert)}")


def forget(
    context: typer.Context,
    name: TargetArgument,
    job: Annotated[list[str] | None, typer.Option(metavar="JOB", help="this job; may be repeated")] = None,
    repository: Annotated[
        bool, typer.Option("--repository", help="what is there at the next run is the target's, also a new one")
    ] = False,
) -> None:
    """Forget jobs that 'status' shows, or which repository the target has, to begin anew with what is there next.

    Nothing in the repository is changed. Who forgot it is kept, and so are the copies.

    Example: borgpull forget web1 --job weekly
    """
    target = load(context.obj, TargetName(name))
    jobs = tuple(JobName(text) for text in job or ())
    for line in forgetting.forget(context.obj, target, jobs, repository, time.time()):
        print(f"{target.name}: {line}")
