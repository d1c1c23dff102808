"""Findings of doctor in sections, for people and for programs: the state of something, the reasons, and what to change.

It does not know what was examined. The exit status is as monitoring programs read it: 0 all is well, 1 warnings, or
something could not be seen, 2 something is open or broken.

    Report((Section("this machine", (Finding("ok", "clock", "the kernel says that it is synchronised"),)),)).status == 0
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from borgctl.console.text import width, wrapped
from borgctl.text import printable

Level = Literal["ok", "warn", "unseen", "open", "error"]
_STATUS = {"ok": 0, "warn": 1, "unseen": 1, "open": 2, "error": 2}
_COUNTED = (("open", "open"), ("error", "broken"), ("warn", "to fix"), ("unseen", "not seen"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: `topic` is a fixed word for programs, `text` a sentence, `why` the reasons, `change` what to do."""

    level: Level
    topic: str
    text: str
    why: tuple[str, ...] = ()
    change: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "level": self.level,
            "topic": self.topic,
            "text": self.text,
            "why": list(self.why),
            "change": self.change,
        }

    def lines(self, width: int) -> Iterator[str]:
        """Yield it for people, wrapped; with level ok, without reasons and without a change."""
        word = self.level.upper() if self.level == "open" else self.level
        yield from wrapped(f"  {word:<7} {self.topic:<12} ", self.text, width)
        if self.level == "ok":
            return
        for reason in self.why:
            yield from wrapped(f"{'':23}because ", reason, width)
        if self.change:
            yield from wrapped(f"{'':23}-> ", self.change, width)


@dataclass(frozen=True, slots=True)
class Section:
    """Findings about one thing: a key at one login, a login, a policy, the machine."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All sections."""

    sections: tuple[Section, ...]

    @property
    def status(self) -> int:
        """Return the exit status."""
        return max((_STATUS[finding.level] for finding in self._findings()), default=0)

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        sections = [
            {"title": section.title, "findings": [finding.plain for finding in section.findings]}
            for section in self.sections
        ]
        return {"status": self.status, "sections": sections}

    @property
    def lines(self) -> list[str]:
        """Return it for people, as wide as their terminal; not wrapped for a pipe."""
        return [printable(line) for line in self._lines(width())]

    def _findings(self) -> Iterator[Finding]:
        for section in self.sections:
            yield from section.findings

    def _lines(self, width: int) -> Iterator[str]:
        for section in self.sections:
            yield from wrapped("", section.title, width)
            for finding in section.findings:
                yield from finding.lines(width)
            yield ""
        yield f"{_summary(finding.level for finding in self._findings())} (exit status {self.status})"


def _summary(levels: Iterable[str]) -> str:
    every = list(levels)
    counts = [f"{every.count(level)} {word}" for level, word in _COUNTED if level in every]
    return ", ".join(counts) or "all is well"
