"""Obstacle: what is missing on this server, so that a target cannot run at all, whatever is asked for.

obstacle(target)        "host-key-missing", "serve-missing", or None; what to do about it is in `report/hints`
"""

import os

from borgctl.pull.targets.targets import Target


def obstacle(target: Target) -> str | None:
    """Return the reason why a target cannot run; None where it can."""
    if target.transport != "local" and target.host_key is None:
        return "host-key-missing"
    if not os.access(target.borg, os.X_OK):
        return "serve-missing"
    return None
