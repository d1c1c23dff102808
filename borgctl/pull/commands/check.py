"""The command that tries whether a pull would work, and whether people can be told: test."""

import json
import sys
from typing import Annotated

import typer

from borgctl.console import text as console_text
from borgctl.process.event_loop import EventLoop
from borgctl.pull.commands import run_jobs
from borgctl.pull.commands.arguments import All, Json, Targets
from borgctl.pull.commands.output import complain, print_behind
from borgctl.pull.commands.selection import chosen, for_each
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import progress
from borgctl.pull.run import check as run_check
from borgctl.pull.run.check_result import status as check_status
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target

_NARROWEST = 40  # columns of a check behind its target's name


def check(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a test message to each URL of 'notify', and check nothing else.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check whether a pull would work: ssh, keys, policy, jobs, repository, clocks. Nothing is run or changed.

    Example: borgpull test web1        borgpull test --notify web1
    """
    if notify:
        found = chosen(context.obj, targets, every=all)
        raise typer.Exit(for_each(context.obj, found, None, lambda target: _try_services(context.obj, target, as_json)))
    with Stop() as stop:
        launcher = run_jobs.launcher(context.obj, progress.Quiet(), stop, EventLoop())
        found = chosen(context.obj, targets, every=all)
        status = for_each(context.obj, found, stop, lambda target: _print_checks(launcher, target, as_json))
    raise typer.Exit(status)


def _print_checks(launcher: Launcher, target: Target, as_json: bool) -> int:
    levels = []
    for check in run_check.probe(launcher, target):
        levels.append(check.level)
        if as_json:
            print(json.dumps({"target": str(target.name), **check.plain}), flush=True)
            continue
        head = f"{target.name}: "
        for line in check.lines(max(_NARROWEST, console_text.width() - len(head))):
            print_behind(head, line)
        sys.stdout.flush()
    return check_status(levels)


def _try_services(folders: Folders, target: Target, as_json: bool) -> int:
    from borgctl.pull.notify.trial import trial  # noqa: PLC0415 - seldom needed

    errors = []
    for name, error in trial(folders, target):
        errors.append(error)
        if as_json:
            print(json.dumps({"target": str(target.name), "service": name, "sent": error is None, "error": error}))
        else:
            print(f"{target.name}: {name}: {error or 'sent'}", flush=True)
    if not errors:
        complain(PullError(f"target {str(target.name)!r} has no 'notify'", "write into its file: notify: [URL]"))
    return 0 if errors and not any(errors) else 2
