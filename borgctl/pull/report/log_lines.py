"""Log lines: what goes on as lines for a log, by structlog: `logfmt` (key=value) or `json`, each with target, job, run.

lines = LogLines(sys.stderr, "logfmt"); lines.begin("web1 default")
level=info event="run started" target=web1 job=default
"""

import time
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.progress_text import position
from borgctl.pull.report.report import RunReport, record, summary
from borgctl.text import printable_excerpt
from borgctl.wire.frames import GOOD

_EVERY = 30.0  # seconds
_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}
_FIRST = ("timestamp", "level", "event", "target", "job", "run")
# what the object of `run --json` has, and a log line is short enough for
_OUTCOME = ("outcome", "origin", "reason", "code", "duration", "command")


class LogLines:
    """Write a line for each thing as it comes; counts every 30 s."""

    def __init__(self, file: TextIO, log_format: str) -> None:
        renderer: Any = structlog.processors.JSONRenderer()
        if log_format == "logfmt":
            renderer = structlog.processors.LogfmtRenderer(key_order=_FIRST, drop_missing=True)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _escape,
                renderer,
            ],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
        )
        self._file = file
        self._next: dict[str, float] = {}
        self._now: dict[str, Counts | Step] = {}
        self._ids: dict[str, str] = {}

    def begin(self, title: str) -> None:
        """Write that a run starts."""
        self._next[title] = time.monotonic() + _EVERY
        self._write("info", title, "run started")

    def bind(self, title: str, run: str) -> None:
        """Give the run's id to all lines of it from now on."""
        self._ids[title] = run

    def show(self, title: str, said: Message | Counts | Step | None) -> None:
        """Write a message now, and a count later."""
        if isinstance(said, Message):
            self._write(_LEVELS[said.level], title, said.text, source=said.source, msgid=said.msgid)
        elif said is not None:
            self._now[title] = said

    def tick(self, now: float) -> None:
        """Write the last counts, if the last time was long ago."""
        for title in [title for title, due in self._next.items() if due <= now]:
            self._next[title] = now + _EVERY
            if (said := self._now.pop(title, None)) is None:
                continue
            counts = (
                {"files": said.files, "original": said.original, "new": said.new} if isinstance(said, Counts) else {}
            )
            self._write("info", title, "progress" if counts else position(said), **counts)

    def due(self) -> float | None:
        """Return when the next count may be written."""
        return min((self._next[title] for title in self._now if title in self._next), default=None)

    def report(self, title: str, report: RunReport) -> None:
        """Write how a run ended, its hint, and each alert."""
        told, totals = record(report), report.transcript.totals()
        fields = {name: told[name] for name in _OUTCOME}
        if totals is not None:
            fields |= {"files": totals.files, "original": totals.original, "new": totals.new}
        good = report.verdict.outcome in GOOD
        level = "info" if report.verdict.outcome in ("ok", "skipped") else "warning" if good else "error"
        name = title or f"{report.target} {report.job or ''}".rstrip()
        hints = [line.removeprefix("hint: ") for line in summary(report).split("\n") if line.startswith("hint: ")]
        self._write(level, name, "run ended", hint=hints[0] if hints else None, **fields)
        for alert in report.alerts:
            self._write("error", name, "alert", alert=alert.reason, text=alert.text)
        self._forget(title)

    def end(self, title: str, line: str) -> None:
        """Write a line of ours."""
        self._forget(title)
        for one in line.split("\n"):
            self._write("info", title, one)

    def _forget(self, title: str) -> None:
        self._next.pop(title, None)
        self._now.pop(title, None)
        self._ids.pop(title, None)

    def _write(self, level: str, title: str, event: str, **fields: object) -> None:
        target, _, job = title.partition(" ")
        bound = {"target": target or None, "job": job or None, "run": self._ids.get(title), **fields}
        getattr(self._log, level)(event, **{name: value for name, value in bound.items() if value is not None})
        self._file.flush()


def _escape(_: object, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """Escape each text, as it may be the client's: one line, no control character, not too long."""
    return {name: printable_excerpt(value) if isinstance(value, str) else value for name, value in line.items()}
