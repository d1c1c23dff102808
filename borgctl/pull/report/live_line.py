"""One moving line on a terminal, drawn with rich, which only a terminal loads.

live = Live(console); live.begin("web1 default"); live.show(counts); live.tick(time.monotonic()); live.end("web1 …")
"""

import time
from typing import TYPE_CHECKING

from borgctl.console.text import elapsed
from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.progress_text import position, sentences
from borgctl.text import rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_REFRESH = 0.125  # seconds


class Live:
    """Draw one moving line on a terminal, all else above it. `tick` draws, so there is no thread."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live as Region  # noqa: PLC0415 - 55 ms, for terminals only
        from rich.spinner import Spinner  # noqa: PLC0415

        self._console, self._spinner, self._region = console, Spinner("dots"), Region
        self._live: Region | None = None
        self._title, self._since, self._next = "", 0.0, 0.0
        self._now: Counts | Step | None = None

    def begin(self, title: str) -> None:
        """Start the moving line."""
        self._title, self._since, self._now, self._next = title, time.monotonic(), None, 0.0
        self._live = self._region(self._spinner, console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, said: Message | Counts | Step | None) -> None:
        """Write a message above the line, and keep a count for it."""
        if isinstance(said, Message):
            for row in sentences(said, self._title, self._console.width):
                self._write(row)
        elif said is not None:
            self._now = said

    def tick(self, now: float) -> None:
        """Draw the line again."""
        if self._live is None or now < self._next:
            return
        self._next = now + _REFRESH
        where = [self._title, *([position(self._now)] if self._now else []), elapsed(now - self._since)]
        row = rows("", ", ".join(where), self._console.width - 4)[0]  # a second row would begin with the client's words
        self._spinner.update(text=self._text(row))
        self._live.refresh()

    def due(self) -> float | None:
        """Return when to draw next."""
        return self._next if self._live is not None else None

    def end(self, line: str) -> None:
        """Remove the moving line and print how the run ended."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._write(line)

    def _write(self, line: str) -> None:
        self._console.print(self._text(line), soft_wrap=True)

    def _text(self, line: str) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - a Text has no markup to be injected

        return Text(line)
