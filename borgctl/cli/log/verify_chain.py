"""The proof of an audit log: does each record continue the one before, and what else is odd?

`broken` is what no gate ever wrote: a line that was changed, removed, added or moved, or a missing end. The file beside
the log (LOG.head) shows a missing end, and the head that a server kept proves it. `odd` is what a crash or a clock did.
The check takes the lines one by one and stores no record.

    check = ChainCheck([Head.read("7:0a…")]); check.take(line); check.end(head_file)
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from borgctl.audit.chain import Link, digest, link
from borgctl.audit.head_file import HeadFile
from borgctl.cli.log.read import Line
from borgctl.cli.log.unfinished_runs import UnfinishedRuns
from borgctl.values import Head
from borgctl.wire.hashchain import START

_MOST_FINDINGS = 100
_TOLERANCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is `broken` or `odd`, and the number of the record that it is about."""

    kind: str
    sequence: int | None
    text: str
    file: str | None = None
    line: int | None = None


@dataclass(slots=True)
class ChainCheck:
    """The state of a proof after the lines so far."""

    wanted: Iterable[Head] = ()
    records: int = 0
    unchained: int = 0
    first: int | None = None
    head: Head | None = None
    findings: list[Finding] = field(default_factory=list)
    more: int = 0  # findings beyond the most that are stored
    unfinished: UnfinishedRuns = field(default_factory=UnfinishedRuns)
    _line: Line | None = None
    _linked: bool = False  # the last record is of the present version of the chain
    _digest: str | None = None  # of the last line, whether a record or not
    _skipped: Any = None  # the hash of this file's lines after the last record
    _time: datetime | None = None
    _met: dict[Head, bool] = field(default_factory=dict)  # by head: whether the record of that number is the same

    def take(self, line: Line) -> None:
        """Take the next line."""
        self._line, entry = line, link(line.text)
        if line.first:
            self._skipped = None
        if entry is None:
            self._foreign(line)
            self._skipped = self._skipped or hashlib.sha256()
            self._skipped.update(line.text + b"\n" * line.whole)
        else:
            self._follow(line, entry)
            self._clock(entry)
            self.unfinished.take(entry.record, entry.sequence)
            self._skipped = None
        self._digest = digest(line.text)

    def end(self, head_file: HeadFile) -> None:
        """Compare the end with the head file, which was read before the log, and with the heads that servers kept."""
        self._line = None
        last = self.head.sequence if self.head else 0
        if head_file.head and head_file.head.sequence > last:
            self._find(
                "broken", last + 1, f"record {head_file.head.sequence} was written, and the log ends with {last}"
            )
        elif head_file.head and head_file.head.sequence == last and head_file.head != self.head:
            self._find("broken", last, f"record {last} is not the one that was written last")
        for head in self.wanted:
            if not self._met.get(head, False):
                self._missing(head, last)
        for run in self.unfinished:
            if run.over:
                self._find("odd", run.sequence, f"run {run.run}, accepted {run.time}, was broken off: it has no exit")

    def _missing(self, head: Head, last: int) -> None:
        number = head.sequence
        if head in self._met:
            text = f"record {number} is not the one that the server saw: the log was rewritten"
        elif number > last:
            text = f"the server saw record {number}, and the log ends with {last}: the log was cut, or is an older one"
        elif self.first is not None and number < self.first:
            text = f"the server saw record {number}, and the log begins with {self.first}: name the older parts, too"
        else:
            text = f"record {number}, which the server saw, is missing"
        self._find("broken", number, text)

    def _foreign(self, line: Line) -> None:
        if not line.whole:
            self._find("odd", None, "the last line is torn, or is being written")
        elif self.head is None and line.text.startswith(b"{"):
            self.unchained += 1  # older than the chain
        else:
            self._find("odd", None, "this line is no record: torn by a crash, or not the gate's")

    def _follow(self, line: Line, entry: Link) -> None:
        number = entry.sequence
        if self.head is None:
            self.first = number
            if not self._begins(line, entry):
                self._find("broken", number, f"record {number} does not continue the lines before it")
        elif number > self.head.sequence + 1:
            missing = f"{self.head.sequence + 1} to {number - 1}" if number > self.head.sequence + 2 else number - 1
            self._find("broken", self.head.sequence + 1, f"missing before record {number}: {missing}")
        elif number <= self.head.sequence:
            self._find("broken", number, f"record {number} stands after record {self.head.sequence}")
        elif not self._continues(line, entry):
            text = f"record {number} was chained to another record {self.head.sequence} than the one before it"
            self._find("broken", self.head.sequence, text)
        elif self._linked and entry.digest is None:
            self._find("odd", number, f"record {number} was written by an older gate, which cannot read the chain")
        self.records += 1
        self.head, self._linked = entry.head, entry.digest is not None
        for head in self.wanted:
            if head.sequence == number:
                self._met[head] = self._met.get(head, False) or head == self.head

    def _continues(self, line: Line, entry: Link) -> bool:
        """Tell whether a record continues the one before it, and covers the lines between that are no records."""
        assert self.head is not None
        if entry.digest is None:  # older than version 2: chained to the line before, whatever that is
            return entry.previous in (self._digest, self.head.digest if line.first else None)
        return entry.previous == self.head.digest and self._skips(entry)

    def _skips(self, entry: Link) -> bool:
        return bool(entry.record.get("skipped") == (self._skipped and self._skipped.hexdigest()))

    def _begins(self, line: Line, entry: Link) -> bool:
        """Tell whether this can be a first record; how an older part ended, which is not here, is unknown."""
        if entry.digest is not None:
            return (entry.sequence > 1 or entry.previous == START) and self._skips(entry)
        if line.first and entry.sequence == 1:
            return entry.previous in (START, self._digest)
        return line.first or entry.previous == self._digest

    def _clock(self, entry: Link) -> None:
        try:
            time = datetime.fromisoformat(str(entry.record["time"]))
        except ValueError:
            time = None
        if time is None or time.tzinfo is None:
            self._find("odd", entry.sequence, f"record {entry.sequence} has no time")
            return
        if self._time and self._time - time > _TOLERANCE:
            seconds = round((self._time - time).total_seconds())
            self._find("odd", entry.sequence, f"the clock was set back {seconds} s before record {entry.sequence}")
        self._time = time

    def _find(self, kind: str, sequence: int | None, text: str) -> None:
        if (len(self.findings) >= _MOST_FINDINGS and kind != "broken") or len(self.findings) >= 2 * _MOST_FINDINGS:
            self.more += 1
        else:
            where = (self._line.file, self._line.number) if self._line else (None, None)
            self.findings.append(Finding(kind, sequence, text, *where))

    @property
    def bad(self) -> list[Finding]:
        """Return what breaks the chain."""
        return [finding for finding in self.findings if finding.kind == "broken"]

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "records": self.records,
            "unchained": self.unchained,
            "first": self.first,
            "head": self.head and str(self.head),
            "bad": min((finding.sequence for finding in self.bad if finding.sequence is not None), default=None),
        }
