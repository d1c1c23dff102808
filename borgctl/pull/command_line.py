"""Command line: the list of borgpull's commands, and the options of all, as typer reads them and helps with them.

Each command is a function in `commands`: a new one goes there, and into COMMANDS. What it does is in `run`,
`repository`, `report` and `targets`, which know no command line.

    borgpull --config-dir /etc/borgpull run web1 --job default
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from borgctl import __version__
from borgctl.console import completion
from borgctl.console.completion import Shell
from borgctl.pull.commands import check, export, history, metrics, report, repository, run, setup, status, units
from borgctl.pull.targets import owner, paths

# these write none of the launcher's files
_READING = ("status", "history", "metrics", "report", "targets", "units", "export")
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (  # in the order of --help, and its line there
    ("add", setup.add, "Make a target; print the line for the client."),
    ("trust", setup.trust, "Write the client's host key into the target file."),
    ("run", run.run, "Back up: run the jobs of targets."),
    ("borg", run.borg, "Ask for a borg subcommand, spelled out."),
    ("test", check.check, "Check whether a pull would work."),
    ("compact", repository.compact, "Free the space that pruning has marked."),
    ("status", status.status, "Show each job's last good run, and what is alarming."),
    ("history", history.history, "Show past runs: outcomes, sizes and times."),
    ("metrics", metrics.metrics, "Print how all targets stand, for Prometheus."),
    ("report", report.report, "Write one HTML page: all targets, what is wrong, charts."),
    ("accept", status.accept, "Clear a target's alerts, once you have looked."),
    ("forget", status.forget, "Forget jobs, or which repository a target has."),
    ("copies", repository.copies, "List copies of a repository's config and nonce."),
    ("unlock", repository.unlock, "Show who holds the repository's lock; remove it."),
    ("window", run.window, "Open a restore window for the client's own admin."),
    ("remove", setup.remove, "Remove a target: its key, file, state and history."),
    ("rename", setup.rename, "Give a target another name."),
    ("targets", setup.targets, "List the targets, and what is wrong in their files."),
    ("units", units.units, "Print units for systemd, and a line for cron."),
    ("export", export.export, "Copy targets, keys, states and history elsewhere."),
)
app = typer.Typer(
    name="borgpull",
    help="Back up clients. Exit status: 0 good, 1 warnings, 2 failed.",
    no_args_is_help=True,
    add_completion=False,  # typer's own asks what shell it runs in, and writes into its files
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class _Writing(TyperCommand):
    """A command that may write files: refused for root where the directories are another user's, but for its help."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run the command; its words are read by now, so no word of it can pass for a question about help."""
        owner.require(ctx.obj, sys.argv[1:])
        return super().invoke(ctx)


for _name, _function, _summary in COMMANDS:
    app.command(_name, short_help=_summary, cls=TyperCommand if _name in _READING else _Writing)(_function)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"borgpull {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    config_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Targets, keys: /etc/borgpull or ~/.config/borgpull.",
            show_default=False,
        ),
    ] = None,
    state_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder of locks, caches and state.",
            show_default="/var/lib/borgpull or ~/.local/state/borgpull",
        ),
    ] = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    __: Annotated[
        Shell | None, completion.option("borgpull", "Print the completion script for bash, zsh or fish.")
    ] = None,
) -> None:
    context.obj = paths.choose(config_dir, state_dir, dict(os.environ))
