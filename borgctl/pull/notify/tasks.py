"""Tasks: what is on its way to somebody, and where to keep what became of it. Nothing here sends.

Letter((Place(TargetName("web1"), "notify 1 (json://…)", ("failed:default",)),), (event,))
"""

from collections.abc import Mapping
from typing import NamedTuple

from borgctl.pull.notify.events import Event
from borgctl.pull.notify.messages import Message
from borgctl.pull.targets.paths import TargetName


class Place(NamedTuple):
    """Whose memory, and which service's in it; `keys` are the events there."""

    target: TargetName
    who: str
    keys: tuple[str, ...] = ()


class Letter(NamedTuple):
    """What goes to one address: events of one target, or the day's message; and where to keep what became of it."""

    places: tuple[Place, ...]
    events: tuple[Event, ...] = ()
    message: Message | None = None


class Signal(NamedTuple):
    """A ping."""

    places: tuple[Place, ...]
    signal: str
    text: str


class Command(NamedTuple):
    """A hook."""

    places: tuple[Place, ...]
    argv: tuple[str, ...]
    env: Mapping[str, str]
