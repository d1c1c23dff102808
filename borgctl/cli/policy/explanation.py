"""What `explain` says about one request, for people and for JSON. It does not know how that was decided.

refused(BorgctlError("unknown-job", "no job 'x'"), "run x").status == 77
"""

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from borgctl.console.text import width, wrapped
from borgctl.errors import BorgctlError
from borgctl.policy.load import InvalidPolicy
from borgctl.text import printable

_MALFORMED = 76
_SENTENCES = ("detail", "hint", "note")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and its details; `status` is the exit status, `rule` the place in the policy."""

    request: str | None
    decision: str  # allow, refuse or malformed
    status: int = 0
    reason: str | None = None
    detail: str | None = None
    problems: tuple[str, ...] = ()  # the mistakes in a policy
    hint: str | None = None
    rule: str | None = None
    job: str | None = None
    repository: str | None = None
    transport: str | None = None
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    sandbox: tuple[str, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    answer: Mapping[str, object] | None = None  # to hello
    notes: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; every key is always there."""
        names = ("request", "decision", "reason", "detail", "hint", "rule", "job", "repository", "transport")
        return {
            **{name: getattr(self, name) for name in names},
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "sandbox": list(self.sandbox),
            "hooks": {"before": [list(hook) for hook in self.before], "after": [list(hook) for hook in self.after]},
            "answer": self.answer,
            "notes": list(self.notes),
        }

    @property
    def lines(self) -> list[str]:
        """Return it for people: sentences as wide as their terminal, and what one may copy in one line."""
        columns = width()
        lines = []
        for name, text in self._pairs():
            head, safe = f"{name:<12} ", printable(text)
            lines += wrapped(head, safe, columns) if name in _SENTENCES else [f"{head}{safe}"]
        return lines

    def _pairs(self) -> Iterator[tuple[str, str]]:
        if self.request is not None:
            yield "request", self.request or "(empty)"
        yield "verdict", self.decision if self.status == 0 else f"{self.decision} (exit status {self.status})"
        for name in ("reason", "detail", "hint", "rule", "job", "repository", "transport"):
            value = getattr(self, name)
            yield from ((name, text) for text in ((name == "detail" and self.problems) or [value]) if text)
        yield from (("before", shlex.join(hook)) for hook in self.before)
        if self.argv:
            yield "argv", shlex.join(self.argv)
        yield from (("after", shlex.join(hook)) for hook in self.after)
        yield from (("environment", f"{name}={value}") for name, value in sorted(self.environment.items()))
        yield from (("sandbox", text) for text in self.sandbox)
        yield from (("answer", f"{name}: {json.dumps(value)}") for name, value in (self.answer or {}).items())
        yield from (("note", text) for text in self.notes)


def refused(error: BorgctlError, text: str | None = None, rule: str | None = None) -> Explanation:
    """Return the explanation of a refusal; `rule` is the line of the policy that decides it, if there is one."""
    status = error.reason.status
    decision = "malformed" if status == _MALFORMED else "refuse"
    notes = ("the server gets the reason and the hint, not the detail",)
    problems = tuple(map(str, error.problems)) if isinstance(error, InvalidPolicy) else ()
    return Explanation(
        text, decision, status, error.reason.code, error.detail, problems, error.hint, rule, notes=(*notes, *as_whom())
    )


def as_whom() -> Iterator[str]:
    """Return the note for a user who is not root, as the gate may be."""
    if os.geteuid() != 0:
        yield f"this assumes that the gate runs as you (uid {os.geteuid()}), and sees the files that you see"
