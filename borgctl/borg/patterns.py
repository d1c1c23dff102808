"""Tell whether borg's exclude patterns leave a place out, as far as the policy shows it.

Styles fm, sh, pp and pf are all matched by fnmatch: nearly as borg does. Regular expressions and pattern files are not
read, so a place may be left out that this does not notice.

    >>> left_out(["*/cache", "pp:/srv/x"], "/srv/x/y")
    True
"""

import fnmatch
import os
from collections.abc import Iterable

_STYLES = ("fm", "sh", "pp", "pf")


def excludes(options: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return the patterns that exclude, of these options of a `create`."""
    excluded = [value for name, value in options if name == "exclude" and value]
    commands = [value for name, value in options if name == "pattern" and value]
    return excluded + [value[1:].strip() for value in commands if value[0] in "-!"]


def left_out(excludes: Iterable[str], place: str) -> bool:
    """Tell whether one of the patterns leaves the place out (borg strips the first slash of both)."""
    for pattern in excludes:
        style, colon, text = pattern.partition(":")
        text = text if colon and style in _STYLES else pattern
        above = place
        while above != "/":
            if fnmatch.fnmatchcase(above.lstrip("/"), text.strip("/")):
                return True
            above = os.path.dirname(above)
    return False
