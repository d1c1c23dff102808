"""The commands that have a client do something: run, borg, window."""

import time
from typing import Annotated

import typer

from borgctl.errors import BadValue
from borgctl.process.event_loop import EventLoop
from borgctl.pull.commands import run_jobs
from borgctl.pull.commands.arguments import All, Json, TargetArgument, Targets
from borgctl.pull.commands.output import complain, print_report
from borgctl.pull.commands.selection import chosen
from borgctl.pull.common_line import Run
from borgctl.pull.process.outputs import queued
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import screens
from borgctl.pull.report.outcome import exit_status
from borgctl.pull.report.report import counted_as
from borgctl.pull.report.screens import FORMATS
from borgctl.pull.repository.sessions import WINDOWS
from borgctl.pull.run import borg_request
from borgctl.pull.run import dry_run as run_dry_run
from borgctl.pull.run import window as windows
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.selection import Selection
from borgctl.pull.targets.targets import load
from borgctl.values import JobName, choice, duration


def run(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    job: Annotated[
        list[str] | None,
        typer.Option(metavar="JOB", help="Run this job, not those of the target file; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be started, and start nothing.")] = False,
    as_json: Json = False,
    due: Annotated[
        bool, typer.Option("--due", help="Only jobs whose 'every' has passed; once a day without one.")
    ] = False,
    parallel: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="How many targets at once; else the number of cores, at least 2.", show_default=False
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End all runs after so long: 6h, 90m.", show_default=False),
    ] = None,
    retries: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How often to try again what may pass, after minutes; else 2 with --due, and 0 without it.",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(FORMATS), help="How to write progress to stderr; else console.", show_default=False
        ),
    ] = None,
) -> None:
    """Back up: ask each target's client for its jobs, and serve them the repository.

    A target with 'paused' is left out, and refused where it is named.

    Several targets run at once, and one run a repository. For a timer: --all --due each hour serves every rhythm, and
    a laptop is pulled when it is there. While one target is at work, the others are judged again each hour. Behind the
    runs of several targets come those that went wrong, and the counts.

    Example: borgpull run --all        borgpull run @web --parallel 8        borgpull run web1 --job prune
    """
    if not dry_run:
        line = Run(None, None, targets or [], all, job or [], as_json, due, parallel, within, retries, log_format)
        raise typer.Exit(run_jobs.run_jobs(context.obj, line))
    found = chosen(context.obj, targets, every=all)
    raise typer.Exit(_dry_run(context.obj, found, run_jobs.job_names(job), as_json))


def _dry_run(folders: Folders, found: Selection, jobs: tuple[JobName, ...], as_json: bool) -> int:
    status = 0
    for text in found.texts:
        try:
            target = load(folders, TargetName(text))
            if pause := target.paused(time.time()):
                complain(PullError(f"target {text!r} is {pause}"))
                status = 2 if text in found.named else status
                continue
            print(*run_dry_run.lines(folders, target, jobs, as_json), sep="\n")
        except (PullError, BadValue) as error:
            complain(error)
            status = 2
    return status


def borg(
    context: typer.Context,
    name: TargetArgument,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD", help="The subcommand and its words, after --; an archive is ::NAME.", show_default=False
        ),
    ],
    deletes: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="For a prune: how many objects it may mark deleted.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask for a borg subcommand, spelled out, where the client's policy offers it ('commands').

    The subcommand is create, list, info, check, prune or init, with the options, archives and paths that the policy
    allows. What it may do to the repository follows from the subcommand.

    It does not change what 'status' says of the target: for a nightly backup the client's policy has jobs.

    Example: borgpull borg web1 -- list ::web1-default-2026-11-30
    """
    target, order = load(context.obj, TargetName(name)), borg_request.read(words)
    with Stop() as stop, queued(EventLoop(), stop) as outputs:
        launcher = run_jobs.launcher(context.obj, screens.screen(json=as_json), stop, outputs.loop)
        report = borg_request.ask(launcher, target, order, deletes)
        print_report(report, as_json)
        lost = outputs.finish()
    raise typer.Exit(2 if lost else exit_status([counted_as(report)]))


def window(
    context: typer.Context,
    target: TargetArgument,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 90s, 2h.")] = "30m",
    allow: Annotated[
        str, typer.Option(metavar="|".join(WINDOWS), help="What borg's commands may do in the window.")
    ] = "read",
) -> None:
    """Open a restore window: let the client's own admin use the repository for a while, one command after the other.

    Its command on the client: borgctl window -- borg list. Ctrl-C closes the window. The target is busy for others
    until then.

    With --allow read, borg may list, info, extract, mount, diff, check, key export, and key import of a keyfile;
    nothing is changed. With 'write' it may also create and with-lock. With 'delete' it may also delete, prune, rename
    and recreate, which mark objects deleted. 'passphrase' is as 'read', and the repository's key may be replaced:
    borgctl passphrase, key change-passphrase, key import. Nothing lets a client repair, compact or delete a repository,
    or break its lock.

    Example: borgpull window web1 --for 30m
    """
    name, seconds, what = TargetName(target), duration(lasting), choice(allow, WINDOWS)
    with Stop() as stop, queued(EventLoop(), stop) as outputs:
        launcher = run_jobs.launcher(context.obj, screens.screen(json=False), stop, outputs.loop)
        status = windows.hold(launcher, load(context.obj, name), seconds, what)
        lost = outputs.finish()
    raise typer.Exit(2 if lost else status)
