"""Page: write a fleet as one HTML page, from values to text, which needs nothing else and has no script.

What a client chose comes here as it is. Every value that the template shows passes `_shown`, which leaves nothing that
could reorder a line or steer a terminal, and then Jinja's escaping. The policy in the page (CSP) lets a browser use
the page's one style and load nothing.

    page(survey(standings, runs, now), Heading("backup", now, None, ()))        bytes, all of them ASCII
"""

import hashlib
from base64 import b64encode
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from borgctl import __version__
from borgctl.pull.html_report import sparkline
from borgctl.pull.html_report.fleet import Fleet
from borgctl.pull.html_report.past import LATEST, moment
from borgctl.text import LONGEST, printable_excerpt

_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
_LONGEST = 2 * LONGEST  # characters: a line of the status has been cut already, and says how much that was
_LEVELS = {"ok": "OK", "warning": "Warning", "critical": "Critical", "attack": "Possible attack"}


class Heading(NamedTuple):
    """The server's name, when the page was made, since when runs are shown (all: None), and what could not be read."""

    server: str
    made: float
    since: float | None
    faults: tuple[str, ...]


def page(fleet: Fleet, heading: Heading) -> bytes:
    """Return the page; characters beyond ASCII are references, so no server can name a charset that changes them."""
    place = files("borgctl.pull.html_report")
    style = place.joinpath("page.css").read_text("ascii")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.from_string(place.joinpath("page.html.j2").read_text("ascii")).render(
        fleet=fleet,
        heading=heading,
        made=moment(heading.made),
        since=None if heading.since is None else moment(heading.since),
        style=Markup(style),  # noqa: S704 - a file of ours, which is shown as it is
        policy=_POLICY.format(b64encode(hashlib.sha256(style.encode("ascii")).digest()).decode("ascii")),
        levels=_LEVELS,
        most=sparkline.RUNS,
        latest=LATEST,
        width=sparkline.WIDTH,
        height=sparkline.HEIGHT,
        version=__version__,
    )
    return text.encode("ascii", "xmlcharrefreplace")


def _shown(value: object) -> object:
    """Return a value as it is shown; text of others' is cut and made printable, and escaped after this."""
    return value if isinstance(value, Markup) else printable_excerpt(str(value), _LONGEST)
