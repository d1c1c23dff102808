"""borgctl's command line as a whole: its own options, its commands in their order, and how its errors look.

Commands for the people who look after a client; the gate never imports any of them. Each folder has its own in
`commands`; what a command knows lies in a module of its own.
"""

import signal
import sys
import traceback
from typing import Annotated

import typer

from borgctl import __version__
from borgctl.cli.doctor import commands as doctor_commands
from borgctl.cli.log import commands as log_commands
from borgctl.cli.policy import commands as policy_commands
from borgctl.cli.setup import commands as setup_commands
from borgctl.cli.window import commands as window_commands
from borgctl.console import completion
from borgctl.console.completion import Shell
from borgctl.console.ending import end, flushed, typed
from borgctl.errors import BadValue, BorgctlError
from borgctl.reasons import REASONS
from borgctl.text import printable

_INTERNAL = REASONS["internal"].status

app = typer.Typer(
    name="borgctl",
    help="Decide what a backup server may make happen on this machine.",
    no_args_is_help=True,
    add_completion=False,  # typer's own asks what shell it runs in, and writes into its files
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"borgctl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    shell: Annotated[
        Shell | None, completion.option("borgctl", "Print the completion script for bash, zsh or fish.")
    ] = None,
) -> None:
    """Decide what a backup server may make happen on this machine."""


for _commands in (setup_commands, policy_commands, doctor_commands, log_commands, window_commands):
    app.add_typer(_commands.app)


def main() -> None:
    """Run the command line; errors of ours are one line and a hint.

    An error that nobody foresaw has a status of its own: Python's is 1, which here means a warning.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where our starter ignored it, each end of a child's looks good
    wrong: str | None = None
    status = 2
    try:
        status = flushed(lambda: typed(app))
    except BadValue as error:
        wrong = f"borgctl: {error}"
    except BorgctlError as error:
        wrong, status = f"borgctl: {error.detail}\nhint: {error.hint}", error.reason.status
    except BrokenPipeError:
        pass
    except KeyboardInterrupt:
        wrong = "borgctl: interrupted"
    except OSError as error:
        wrong = f"borgctl: {error.filename or 'stdout'}: {error.strerror}"
    except Exception:
        wrong, status = "\n".join(map(printable, traceback.format_exc().splitlines())), _INTERNAL
    end(None if wrong is None else lambda: typer.echo(wrong, err=True), status)
