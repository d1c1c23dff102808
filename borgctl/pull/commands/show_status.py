"""show_status: the work of `borgpull status`, without typer, so that both readers of a command line can have it done.

show_status(folders, ["web1"], False, as_json=True, as_nagios=False)          the exit status
"""

import json
import sys
import time

from borgctl.pull.commands.output import warn_of_fault, warn_of_none
from borgctl.pull.commands.selection import all_or
from borgctl.pull.report.fleet_status import FleetStatus, survey
from borgctl.pull.report.nagios import nagios, nagios_of
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders


def show_status(folders: Folders, targets: list[str] | None, every: bool, as_json: bool, as_nagios: bool) -> int:
    """Print how targets stand; return the worst exit status."""
    if as_json and as_nagios:
        raise PullError("give --json or --nagios, one of the two")
    try:
        texts = all_or(folders, targets, every=every).texts
    except PullError as error:
        if not as_nagios:
            raise
        print(nagios_of(error.text))  # a monitoring system shows stdout alone
        return 2
    fleet = survey(folders, texts, time.time())
    if as_nagios:
        print(nagios(fleet))
        return fleet.level
    if as_json:
        for standing in fleet.targets:
            print(json.dumps(standing.plain))
    elif fleet.targets:
        print(_table(fleet) or _lines(fleet), end="")
    else:
        warn_of_none(folders)
    warn_of_fault(fleet.history_fault)
    return fleet.level


def _table(fleet: FleetStatus) -> str | None:
    """Return a table for a terminal; None where there is none, or where rich is not to be had."""
    if not sys.stdout.isatty():
        return None
    try:
        from borgctl.pull.report import status_table  # noqa: PLC0415 - rich, for terminals only
    except ImportError:  # perhaps it is upgraded just now
        return None
    return status_table.drawn(fleet)


def _lines(fleet: FleetStatus) -> str:
    return "".join(f"{line}\n" for standing in fleet.targets for line in standing.lines)
