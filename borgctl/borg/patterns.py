"""borg's exclude patterns, as far as it can be told from a policy that one leaves a place out.

Styles fm, sh, pp and pf are read alike, by fnmatch: nearly as borg does. Regular expressions and files of patterns are
left to borg, so a place may be left out of which this does not know it.

    >>> left_out(["*/cache", "pp:/srv/x"], "/srv/x/y")
    True
"""

import fnmatch
import os
from collections.abc import Iterable

_STYLES = ("fm", "sh", "pp", "pf")


def excludes(options: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return the patterns that leave something out, of these options of a `create`."""
    found = [value for name, value in options if name == "exclude" and value]
    commands = [value for name, value in options if name == "pattern" and value]
    return found + [value[1:].strip() for value in commands if value[0] in "-!"]


def left_out(excludes: Iterable[str], place: str) -> bool:
    """Tell whether one of the patterns leaves the place out (borg drops the first slash of both)."""
    for pattern in excludes:
        style, colon, text = pattern.partition(":")
        text = text if colon and style in _STYLES else pattern
        above = place
        while above != "/":
            if fnmatch.fnmatchcase(above.lstrip("/"), text.strip("/")):
                return True
            above = os.path.dirname(above)
    return False
