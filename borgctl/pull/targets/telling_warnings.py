"""Telling warnings: what `borgpull targets` has to say about those who are told: who else can read a URL's secrets.

for line in warnings(folders, target): …
"""

import os
import sys
from collections.abc import Iterator
from importlib import util

from borgctl.pull.targets import telling_places
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target, tree

NOT_INSTALLED = f"apprise is not installed: {sys.executable} -m pip install 'borgctl-gatekeeper[notify]'"


def warnings(folders: Folders, target: Target) -> Iterator[str]:
    """Yield what is wrong around a good file: its rights, and a library that is missing."""
    for path in telling_places.files(tree(folders, target.name)) if target.telling.names else ():
        if _others_read(path):
            yield f"every user of this machine may read the secrets in {path}: chmod o-rwx {path}"
    if target.telling.notify and util.find_spec("apprise") is None:
        yield f"'notify' tells nobody, as {NOT_INSTALLED}"


def _others_read(path: str) -> bool:
    """Tell whether others have the right to read a file and to pass each directory above it."""
    try:
        if not os.stat(path).st_mode & 0o004:
            return False
        while (above := os.path.dirname(path)) != path:
            path = above
            if not os.stat(path).st_mode & 0o001:
                return False
    except OSError:  # it was there a moment ago
        return False
    return True
