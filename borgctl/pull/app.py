"""borgpull: the command line. Every command is a few lines; what they do is told in the modules they call."""

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from borgctl import __version__
from borgctl.console import completion
from borgctl.console import text as console_text
from borgctl.console.completion import Shell
from borgctl.errors import BadValue
from borgctl.openssh_key import HostKey
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import progress
from borgctl.pull.report.forget import forgotten
from borgctl.pull.report.outcome import exit_status
from borgctl.pull.report.record_run import accepted, alerted
from borgctl.pull.report.report import Report, readable, record
from borgctl.pull.report.status import standings
from borgctl.pull.report.target_status import nagios
from borgctl.pull.repository import copies
from borgctl.pull.repository.sessions import WINDOWS
from borgctl.pull.repository.unlock import unlock
from borgctl.pull.run import check as run_check
from borgctl.pull.run import dry_run as run_dry_run
from borgctl.pull.run import spelled_out
from borgctl.pull.run import window as windows
from borgctl.pull.run.compact import compact as compact_repository
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import run_all
from borgctl.pull.run.session import Timeouts
from borgctl.pull.targets import owner, setup
from borgctl.pull.targets import paths as places
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.remove import remove as remove_target
from borgctl.pull.targets.rename import rename as rename_target
from borgctl.pull.targets.targets import Target, load, names
from borgctl.text import printable_excerpt, rows
from borgctl.values import JobName, choice, duration

_HELP = {"--help", "-h"}
_READING = ("status", "targets")  # what leaves no file anywhere
app = typer.Typer(
    name="borgpull",
    help="Back up clients, from the server. Exit status: 0 ok, 1 warnings, 2 else.",
    no_args_is_help=True,
    add_completion=False,  # typer's own asks what shell it runs in, and writes into its files
    context_settings={"help_option_names": sorted(_HELP)},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_NARROWEST = 40  # columns of a check behind its target's name
TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="name of the target", show_default=False)]
Targets = Annotated[list[str] | None, typer.Argument(metavar="TARGET", help="names", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="every target")]
Json = Annotated[bool, typer.Option("--json", help="print JSON, one object a line")]


def main() -> None:
    """Run the command line; the one place where errors become text and exit status 2.

    Also those that nobody foresaw: Python's own status is 1, which here means warnings.
    """
    _fill_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (PullError, BadValue) as error:
        complain(error)
        sys.exit(2)
    except BrokenPipeError:
        progress.silence(sys.stdout)
        sys.exit(2)
    except OSError as error:
        complain(_failed(error))
        sys.exit(2)
    except Exception:
        complain(PullError(traceback.format_exc().rstrip()))
        sys.exit(2)


def _failed(error: OSError) -> PullError:
    return PullError(f"{error.filename or 'borgpull'}: {error.strerror}")


def _fill_descriptors() -> None:
    """Open /dev/null in the place of a closed stdin, stdout or stderr, where else some file of ours would be."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def complain(error: Exception) -> None:
    """Say an error, line by line, and its hint."""
    for line in str(error).split("\n"):
        print(f"error: {printable_excerpt(line)}", file=sys.stderr)
    if isinstance(error, PullError) and error.hint:
        print(f"hint: {printable_excerpt(owner.typed(error.hint))}", file=sys.stderr)


def _version(asked: bool) -> None:
    if asked:
        print(f"borgpull {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    config_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="targets and keys [/etc/borgpull, or XDG]")
    ] = None,
    state_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="locks, caches [/var/lib/borgpull, or XDG]")
    ] = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")] = False,
    __: Annotated[
        Shell | None, completion.option("borgpull", "print the completion script for bash, zsh or fish")
    ] = None,
) -> None:
    context.obj = places.choose(config_dir, state_dir, dict(os.environ))
    if context.invoked_subcommand not in _READING and not _HELP & set(sys.argv):
        owner.require(context.obj, sys.argv[1:])


@app.command(short_help="Make a target; print the line for the client.")
def add(
    context: typer.Context,
    target: TargetArgument,
    host: Annotated[
        str | None, typer.Argument(metavar="HOST", help="the client, as user@host", show_default=False)
    ] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="PATH", help="repository [/srv/borg/TARGET, or XDG]")
    ] = None,
    quota: Annotated[str, typer.Option(metavar="SIZE", help="what the client may fill")] = "500G",
    transport: Annotated[str, typer.Option(metavar="stdio|socket|local", help="how the bytes travel")] = "stdio",
    policy: Annotated[str | None, typer.Option(metavar="PATH", help="the policy, for transport local")] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="ssh's port")] = None,
    client_policy: Annotated[str | None, typer.Option(metavar="PATH", help="the policy's path on the client")] = None,
) -> None:
    """Make a target: key, file and directory; print the line to run on the client.

    Example: borgpull add web1 root@web1.example.org
    """
    name = TargetName(target)
    where = repository or places.repository(name, dict(os.environ))
    public = setup.add(
        context.obj, name, host=host, port=port, repository=where, quota=quota, transport=transport, policy=policy
    )
    if public is not None:
        print("run this on the client, as its admin, once its policy and passphrase are there:\n")
        print(f"    {setup.authorize(public, host, name, client_policy, transport)}\n")
        print("it prints a line for authorized_keys there, and this one to run here:\n")
        print(f"    {owner.typed(f'borgpull trust {name}')} 'ssh-ed25519 AAAA…'\n")
    print("then:\n")
    print(f"    {owner.typed(f'borgpull run {name} --job init')}")
    print(f"    {owner.typed(f'borgpull run {name}')}")


@app.command(short_help="Write the client's host key into the target file.")
def trust(
    context: typer.Context,
    target: TargetArgument,
    host_key: Annotated[list[str], typer.Argument(metavar="HOSTKEY", help="'ssh-ed25519 AAAA…'", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="give up the key that stands there")] = False,
) -> None:
    """Write the client's host key into the target file.

    Example: borgpull trust web1 'ssh-ed25519 AAAA…'
    """
    name = TargetName(target)
    new = setup.trust(context.obj, name, HostKey.read(" ".join(host_key).strip()), replace)
    print(f"{name}: host key written" if new else f"{name}: this host key stands there already")


@app.command(short_help="Back up: run the jobs of targets.")
def run(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    job: Annotated[list[str] | None, typer.Option(metavar="JOB", help="this job (may be repeated)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be started, and start nothing")] = False,
    as_json: Json = False,
) -> None:
    """Back up: ask each target's client for its jobs, and serve them the repository.

    Example: borgpull run --all        borgpull run web1 --job prune
    """
    chosen = _chosen(context.obj, targets, every=all)
    jobs = tuple(JobName(text) for text in dict.fromkeys(job or ()))
    if dry_run:
        raise typer.Exit(_dry_run(context.obj, chosen, jobs, as_json))
    outcomes, view = [], progress.screen(as_json)
    with Stop() as stop:
        for report in run_all(Launcher(context.obj, view, stop, Timeouts()), chosen, jobs):
            outcomes.append(_outcome(report))
            try:
                _print(report, as_json)
            except OSError as error:  # nobody reads on, or the disk is full: what is left to do is done all the same
                progress.silence(sys.stdout)
                view.end(f"error: stdout: {error.strerror}")
                outcomes.append("untold")
        if stop.name is not None:
            outcomes.append("stopped")
    raise typer.Exit(exit_status(outcomes))


def _outcome(report: Report) -> str:
    return "warning" if report.alerts and report.verdict.outcome == "ok" else report.verdict.outcome


def _chosen(folders: Folders, targets: list[str] | None, *, every: bool) -> list[str]:
    """Return the targets that are named, or all that there are."""
    if bool(targets) == every:
        raise PullError("name targets or say --all, one of the two")
    chosen = list(names(folders) if every else dict.fromkeys(targets or ()))
    if not chosen:
        raise PullError(f"no target in {folders.targets}", "make one with: borgpull add TARGET HOST")
    return chosen


def _each(folders: Folders, chosen: list[str], stop: Stop, act: Callable[[Target], int]) -> int:
    """Do something with each target; return the worst exit status. One that cannot be used keeps no other back."""
    worst = 0
    for text in chosen:
        try:
            worst = max(worst, act(load(folders, TargetName(text))))
        except (PullError, BadValue) as error:
            complain(error)
            worst = 2
        except BrokenPipeError:  # nobody reads on
            raise
        except OSError as error:
            complain(_failed(error))
            worst = 2
        if stop.name is not None:
            return 2
    return worst


def _dry_run(folders: Folders, chosen: list[str], jobs: tuple[JobName, ...], as_json: bool) -> int:
    status = 0
    for text in chosen:
        try:
            print(*run_dry_run.lines(folders, load(folders, TargetName(text)), jobs, as_json), sep="\n")
        except (PullError, BadValue) as error:
            complain(error)
            status = 2
    return status


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record(report)), flush=True)
    elif report.transcript.start is not None and report.transcript.start.command != "create":
        for line in readable(report.transcript):
            _say(f"{report.target} {report.job}: result: ", printable_excerpt(line))


def _say(head: str, line: str) -> None:
    """Print a line with words of a client's, fit for a terminal already, each row of it behind whose it is."""
    print(*rows(head, line, shutil.get_terminal_size().columns if sys.stdout.isatty() else None), sep="\n")


@app.command(short_help="Ask for a borg subcommand, spelled out.")
def borg(
    context: typer.Context,
    target: TargetArgument,
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="after --: borg's words", show_default=False)],
    deletes: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="how many objects a prune may delete", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask for a borg subcommand, spelled out, where the client's policy offers it ('commands'). No nightly backup.

    Example: borgpull borg web1 -- list ::web1-default-2026-11-30
    """
    found, order, view = load(context.obj, TargetName(target)), spelled_out.read(words), progress.screen(as_json)
    with Stop() as stop:
        report = spelled_out.ask(Launcher(context.obj, view, stop, Timeouts()), found, order, deletes)
    _print(report, as_json)
    raise typer.Exit(exit_status([_outcome(report)]))


@app.command("test", short_help="Say whether a pull would work.")
def would_work(context: typer.Context, targets: Targets = None, all: All = False, as_json: Json = False) -> None:
    """Say whether a pull would work: ssh, keys, policy, jobs, repository, clocks. Nothing is run or changed.

    Example: borgpull test web1
    """
    with Stop() as stop:
        launcher = Launcher(context.obj, progress.Quiet(), stop, Timeouts())
        chosen = _chosen(context.obj, targets, every=all)
        status = _each(context.obj, chosen, stop, lambda target: _probed(launcher, target, as_json))
    raise typer.Exit(status)


def _probed(launcher: Launcher, target: Target, as_json: bool) -> int:
    levels = []
    for check in run_check.probe(launcher, target):
        levels.append(check.level)
        if as_json:
            print(json.dumps({"target": str(target.name), **check.plain}), flush=True)
            continue
        head = f"{target.name}: "
        for line in check.lines(max(_NARROWEST, console_text.width() - len(head))):
            _say(head, line)
        sys.stdout.flush()
    return run_check.status(levels)


@app.command(short_help="Free the space that pruning has marked.")
def compact(context: typer.Context, targets: Targets = None, all: All = False) -> None:
    """Free the space that pruning has marked; borg's compact, by the server itself.

    Example: borgpull compact web1
    """
    chosen, view = _chosen(context.obj, targets, every=all), progress.screen(json=False)
    with Stop() as stop:
        status = _each(context.obj, chosen, stop, lambda target: compact_repository(context.obj, target, view, stop))
    raise typer.Exit(status)


@app.command(short_help="Say how old each job's last good run is, and what is alarming.")
def status(
    context: typer.Context,
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="TARGET", help="names [every target]", show_default=False)
    ] = None,
    all: All = False,
    as_json: Json = False,
    as_nagios: Annotated[bool, typer.Option("--nagios", help="print one line, as a monitoring plugin does")] = False,
) -> None:
    """Say how old each job's last good run is, whether that is overdue ('expect' in the target file), and the alerts.

    Exit status: 0 ok, 1 warnings, 2 overdue, alerts, or a target that cannot be used.

    Example: borgpull status --nagios
    """
    if as_json and as_nagios:
        raise PullError("choose --json or --nagios, one of the two")
    if all and targets:
        raise PullError("name targets or say --all, one of the two")
    chosen = list(dict.fromkeys(targets or names(context.obj)))
    found = list(standings(context.obj, chosen, time.time()))
    if as_nagios:
        print(nagios(found))
    for standing in found if not as_nagios else ():
        print(json.dumps(standing.plain) if as_json else "\n".join(standing.lines))
    if not found and not as_json and not as_nagios:
        print(
            owner.typed(f"no target in {context.obj.targets}; make one with: borgpull add TARGET HOST"), file=sys.stderr
        )
    raise typer.Exit(max((standing.level for standing in found), default=2))


def _no_target(folders: Folders) -> None:
    print(owner.typed(f"no target in {folders.targets}; make one with: borgpull add TARGET HOST"), file=sys.stderr)


@app.command(short_help="Take a target's alerts away, once you have looked.")
def accept(
    context: typer.Context,
    target: TargetArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why it is all right; is kept", show_default=False)],
) -> None:
    """Take a target's alerts away, once you have looked; who said why is kept.

    Of an audit log that did not go on ('audit-broken'), the head that the client tells next is then taken as it is.

    Example: borgpull accept web1 --reason 'log was moved to a new disk'
    """
    name = TargetName(target)
    for alert in accepted(context.obj, load(context.obj, name).name, reason, time.time()):
        print(f"{name}: accepted: {alerted(alert)}")


@app.command(short_help="Forget jobs, or which repository a target has.")
def forget(
    context: typer.Context,
    target: TargetArgument,
    job: Annotated[list[str] | None, typer.Option(metavar="JOB", help="this job (may be repeated)")] = None,
    repository: Annotated[
        bool, typer.Option("--repository", help="what is there next is the target's, also a new one")
    ] = False,
) -> None:
    """Forget jobs that status tells of, or which repository the target has, to begin anew with what is there next.

    Nothing in the repository is changed; who forgot it is kept, and so are the copies.

    Example: borgpull forget web1 --job weekly
    """
    found = load(context.obj, TargetName(target))
    for line in forgotten(context.obj, found, tuple(JobName(text) for text in job or ()), repository, time.time()):
        print(f"{found.name}: {line}")


@app.command("copies", short_help="List copies of a repository's config and nonce.")
def copies_(
    context: typer.Context,
    target: TargetArgument,
    put_back: Annotated[
        int | None, typer.Option("--put-back", metavar="N", help="write this copy into the repository")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the copies of a repository's config, which holds its key, and of its nonce; or put one back into its place.

    Example: borgpull copies web1        borgpull copies web1 --put-back 3
    """
    found = load(context.obj, TargetName(target))
    if put_back is not None:
        copy = copies.put_back(context.obj, found, put_back, time.time())
        print(f"{found.name}: copy {copy.number} is {found.repository}/{copy.file} again; what was there is a copy now")
        return
    for entry in copies.overview(context.obj, found):
        print(json.dumps(entry) if as_json else copies.sentence(entry))


@app.command("unlock", short_help="Say who holds the repository's lock; remove it.")
def unlock_(
    context: typer.Context,
    target: TargetArgument,
    really: Annotated[bool, typer.Option("--yes", help="remove it")] = False,
) -> None:
    """Say who holds borg's lock of the repository, and since when; with --yes remove it, unless a borg here has it.

    Exit status: 0 it is not locked, or not any more; 1 it is.

    Example: borgpull unlock web1        borgpull unlock web1 --yes
    """
    found = load(context.obj, TargetName(target))
    told = unlock(context.obj, found, really=really, now=time.time())
    for line in told:
        print(printable_excerpt(f"{found.name}: {'was' if really else 'is'} locked by {line}"))
    if not told:
        print(f"{found.name}: nobody holds the lock of {found.repository}")
    elif not really:
        print(f"{found.name}: if that has ended, remove the lock: borgpull unlock {found.name} --yes")
    raise typer.Exit(1 if told and not really else 0)


@app.command(short_help="Let the client's own admin use the repository.")
def window(
    context: typer.Context,
    target: TargetArgument,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="how long, 90s or 30m")] = "30m",
    allow: Annotated[
        str, typer.Option(metavar="WHAT", help="read, write, passphrase or delete; only one of them")
    ] = "read",
) -> None:
    """Let the client's own admin use the repository for a while, one command after the other; Ctrl-C closes it.

    Example: borgpull window web1 --for 30m, and on the client: borgctl window -- borg list
    """
    name, seconds, what = TargetName(target), duration(lasting), choice(allow, WINDOWS)
    with Stop() as stop:
        launcher = Launcher(context.obj, progress.screen(json=False), stop, Timeouts())
        status = windows.hold(launcher, load(context.obj, name), seconds, what)
    raise typer.Exit(status)


@app.command(short_help="Forget a target: its key, file and state.")
def remove(context: typer.Context, target: TargetArgument) -> None:
    """Remove a target's key, file and state, never the repository; say what is left to do.

    Example: borgpull remove web1
    """
    for line in remove_target(context.obj, TargetName(target)):
        print(line)


@app.command(short_help="Give a target another name.")
def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="its name", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="its name from now on", show_default=False)],
) -> None:
    """Give a target another name; key, file and state go along, the repository stays. Refused while it is at work.

    Example: borgpull rename web1 www
    """
    for line in rename_target(context.obj, TargetName(old), TargetName(new)):
        print(line)


@app.command("targets", short_help="List the targets, and what is wrong in their files.")
def targets_(context: typer.Context, as_json: Json = False) -> None:
    """List the targets, and what is wrong in their files.

    Example: borgpull targets --json
    """
    found = list(run_dry_run.overview(context.obj))
    for entry in found:
        print(json.dumps(entry) if as_json else run_dry_run.sentence(entry))
    if not found and not as_json:
        _no_target(context.obj)
    raise typer.Exit(2 if any(entry["errors"] for entry in found) else 0)
