"""Output: errors on stderr, and lines with a client's words on stdout, each behind the target's name.

complain(PullError("no target 'web1'", "make it with: borgpull add web1 HOST"))
"""

import json
import sys
from collections.abc import Callable

from borgctl.console.text import terminal_columns
from borgctl.pull.report.report import RunReport, readable, record
from borgctl.pull.report.run_history import attempt
from borgctl.pull.targets import owner
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.text import printable_excerpt, rows


def complain(error: Exception) -> None:
    """Print an error to stderr, line by line, and its hint."""
    for line in str(error).split("\n"):
        print(f"error: {printable_excerpt(line)}", file=sys.stderr)
    if isinstance(error, PullError) and error.hint:
        print(f"hint: {printable_excerpt(owner.typed(error.hint))}", file=sys.stderr)


def failure(error: OSError) -> PullError:
    """Return what the system refused as an error for people."""
    return PullError(f"{error.filename or 'borgpull'}: {error.strerror}")


def warn_of_none(folders: Folders) -> None:
    """Print to stderr that there is no target."""
    print(owner.typed(f"no target in {folders.targets}; make one with: borgpull add TARGET HOST"), file=sys.stderr)


def warn_of_fault(fault: str | None) -> None:
    """Print to stderr why the history of runs cannot be used, if that is so."""
    if fault is not None:
        print(f"warning: the history of runs cannot be used: {printable_excerpt(fault)}", file=sys.stderr)


def warn_of_history(name: TargetName, act: Callable[[], str | None]) -> None:
    """Change a target's rows in the history; print to stderr why that did not work, or what was put aside for it."""
    for line in attempt(act):
        print(f"{name}: warning: {printable_excerpt(line)}", file=sys.stderr)


def print_report(report: RunReport, as_json: bool) -> None:
    """Print a run's result: as JSON, or borg's own answer where it is not a backup."""
    if as_json:
        print(json.dumps(record(report)), flush=True)
    elif report.transcript.start is not None and report.transcript.start.command != "create":
        for line in readable(report.transcript):
            print_behind(f"{report.target} {report.job}: result: ", printable_excerpt(line))


def print_behind(head: str, line: str) -> None:
    """Print a line with a client's words, escaped already, each row of it behind `head`."""
    print(*rows(head, line, terminal_columns()), sep="\n")
