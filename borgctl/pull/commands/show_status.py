"""show_status: the work of `borgpull status`, without typer, so that both readers of a command line can have it done.

show_status(folders, ["web1"], False, as_json=True, as_nagios=False)          the exit status
"""

import json
import time

from borgctl.pull.commands.output import warn_of_none
from borgctl.pull.commands.selection import all_or
from borgctl.pull.report.status import standings
from borgctl.pull.report.target_status import nagios, nagios_of
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
    shown = list(standings(folders, texts, time.time()))
    if as_nagios:
        print(nagios(shown))
    for standing in shown if not as_nagios else ():
        print(json.dumps(standing.plain) if as_json else "\n".join(standing.lines))
    if not shown and not as_json and not as_nagios:
        warn_of_none(folders)
    return max((standing.level for standing in shown), default=2)
