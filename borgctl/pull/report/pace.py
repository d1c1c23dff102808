"""Pace: of each run's counts only the newest, every 30 s at most, for what is kept and not redrawn: a file, a journal.

pace.begin("web1 default"); pace.keep("web1 default", counts)
for title, said in pace.take(time.monotonic()): …
"""

import time
from collections.abc import Iterator

from borgctl.pull.client.borglog import Counts, Step

_EVERY = 30.0  # seconds


class Pace:
    """The newest counts of each run that goes on, and when they may be shown."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._newest: dict[str, Counts | Step] = {}

    def begin(self, title: str) -> None:
        """Begin with a run."""
        self._newest.pop(title, None)
        self._next[title] = time.monotonic() + _EVERY

    def keep(self, title: str, said: Counts | Step) -> None:
        """Keep what a run says last."""
        self._newest[title] = said

    def take(self, now: float) -> Iterator[tuple[str, Counts | Step]]:
        """Yield what may be shown at `now` (monotonic), once."""
        for title in [title for title, due in self._next.items() if due <= now]:
            self._next[title] = now + _EVERY
            if title in self._newest:
                yield title, self._newest.pop(title)

    def due(self) -> float | None:
        """Return when there is something to take next."""
        return min((self._next[title] for title in self._newest if title in self._next), default=None)

    def forget(self, title: str) -> None:
        """Forget a run that has ended."""
        self._next.pop(title, None)
        self._newest.pop(title, None)
