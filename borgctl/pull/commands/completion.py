"""Completion: what a shell offers for TARGET: names, and tags once '@' is typed; nothing where nothing can be read.

Names are those of the files, which are not opened. For tags each file has to be read.

    targets(context, "we") == ["web1", "web2"]      targets(context, "@w") == ["@web"]
"""

import os
from contextlib import suppress

import typer

from borgctl.errors import BadValue
from borgctl.pull.targets import paths, selection
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.selection import MARK
from borgctl.pull.targets.targets import names


def target(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of targets that begin like this."""
    with suppress(PullError, OSError):
        return [name for name in names(_folders(context)) if name.startswith(incomplete) and _is_name(name)]
    return []


def _is_name(text: str) -> bool:
    """Tell whether a file has the name of a target: bash would expand others, such as '*'."""
    try:
        TargetName(text)
    except BadValue:
        return False
    return True


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of targets, or tags behind '@', that begin like this."""
    if not incomplete.startswith(MARK):
        return target(context, incomplete)
    with suppress(PullError, OSError):
        return [tag for tag in _tags(_folders(context)) if tag.startswith(incomplete)]
    return []


def _tags(folders: Folders) -> list[str]:
    found = selection.tags_of_all(folders).values()
    return sorted({f"{MARK}{tag}" for tags in found for tag in tags or ()})


def _folders(context: typer.Context) -> Folders:
    options = context.find_root().params
    return paths.choose(options.get("config_dir"), options.get("state_dir"), dict(os.environ))
