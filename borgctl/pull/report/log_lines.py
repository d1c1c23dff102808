"""Log lines: what goes on as lines for a log, by structlog: `logfmt` (key=value) or `json`, each with target, job, run.

lines = LogLines(sys.stderr, "logfmt"); lines.begin("web1 default")
level=info event="run started" target=web1 job=default
"""

from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.pace import Pace
from borgctl.pull.report.progress_text import position
from borgctl.pull.report.report import RunReport, advice_of
from borgctl.text import printable_excerpt
from borgctl.wire.frames import GOOD

_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}
_FIRST = ("timestamp", "level", "event", "target", "job", "run")


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
        self._pace = Pace()
        self._ids: dict[str, str] = {}

    def begin(self, title: str) -> None:
        """Write that a run starts."""
        self._pace.begin(title)
        self._write("info", title, "run started")

    def bind(self, title: str, run: str) -> None:
        """Give the run's id to all lines of it from now on."""
        self._ids[title] = run

    def show(self, title: str, said: Message | Counts | Step | None) -> None:
        """Write a message now, and a count later."""
        if isinstance(said, Message):
            self._write(_LEVELS[said.level], title, said.text, source=said.source, msgid=said.msgid)
        elif said is not None:
            self._pace.keep(title, said)

    def tick(self, now: float) -> None:
        """Write the last counts, if the last time was long ago."""
        for title, said in self._pace.take(now):
            if isinstance(said, Counts):
                counts = {"files": said.files, "original": said.original, "new": said.new}
                self._write("info", title, "progress", **counts)
            else:
                self._write("info", title, position(said))

    def due(self) -> float | None:
        """Return when the next count may be written."""
        return self._pace.due()

    def report(self, title: str, report: RunReport) -> None:
        """Write how a run ended, its hint, and each alert."""
        verdict, start, totals = report.verdict, report.transcript.start, report.transcript.totals()
        fields: dict[str, object] = {
            "outcome": verdict.outcome,
            "origin": verdict.origin,
            "reason": verdict.reason,
            "code": verdict.code,
        }
        fields |= {"duration": round(report.duration, 3), "command": start.command if start else None}
        if totals is not None:
            fields |= {"files": totals.files, "original": totals.original, "new": totals.new}
        good = report.verdict.outcome in GOOD
        level = "info" if report.verdict.outcome in ("ok", "skipped") else "warning" if good else "error"
        name = title or report.title
        self._write(level, name, "run ended", hint=advice_of(report), **fields)
        for alert in report.alerts:
            self._write("error", name, "alert", alert=alert.reason, text=alert.text)
        self._forget(title)

    def end(self, title: str, line: str) -> None:
        """Write a line of ours."""
        self._forget(title)
        for one in line.split("\n"):
            self._write("info", title, one)

    def _forget(self, title: str) -> None:
        self._pace.forget(title)
        self._ids.pop(title, None)

    def _write(self, level: str, title: str, event: str, **fields: object) -> None:
        target, _, job = title.partition(" ")
        bound = {"target": target or None, "job": job or None, "run": self._ids.get(title), **fields}
        getattr(self._log, level)(event, **{name: value for name, value in bound.items() if value is not None})
        self._file.flush()


def _escape(_: object, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """Escape each text, as it may be the client's: one line, no control character, not too long."""
    return {name: printable_excerpt(value) if isinstance(value, str) else value for name, value in line.items()}
