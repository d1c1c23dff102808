"""guard: start the process between a client's bytes and borg serve's stdin, and read what it reports.

It writes one JSON object a line, `refused` at most once, and `end` last. Only its report says what a client did to the
repository; without `end` nobody knows, and the run has failed.

    >>> events = Events()
    >>> events.feed(b'{"event": "refused", "method": "destroy", "session": "create", "rule": "never", "detail": ""}\\n')
    >>> str(events.refused)
    'destroy in a session of kind create: never'
"""

import json
import sys
from typing import Any

from borgctl.data_class import dataclass
from borgctl.pull.client.frames import LineBuffer, LineTooLong
from borgctl.pull.repository.sessions import GuardSession, bounds
from borgctl.pull.targets.targets import Target
from borgctl.pull.targets.values import in_bytes

PROGRAM = (sys.executable, "-I", "-m", "borgctl.pull.repository.rpc_guard")
_LONGEST = 1 << 16
REFUSED = 3  # its exit status


@dataclass(frozen=True, slots=True)
class Passed:
    """What the guard passed in a session, as counts; `bytes` of all messages, `cut`: it ended inside a message.

    `committed_manifests`: commits with a manifest put before them. `overwrites`: puts over objects of earlier sessions,
    without the manifest; they are among the puts.
    """

    puts: int = 0
    put_bytes: int = 0
    deletes: int = 0
    commits: int = 0
    manifests: int = 0
    committed_manifests: int = 0
    keys: int = 0
    bytes: int = 0
    messages: int = 0
    cut: bool = False
    overwrites: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The message that the guard refused: its method, the kind of session, and the name of the rule."""

    method: str
    session: str
    rule: str
    detail: str

    @property
    def stray(self) -> bool:
        """Tell whether no message of borg's came, but text that the client's login printed."""
        return self.rule == "stray"

    def __str__(self) -> str:
        if self.stray:
            return f"before borg came {self.detail!r}"
        return f"{self.method} in a session of kind {self.session}: {self.rule}"


class Events:
    """Read the guard's lines; `strange` is a line that is not one of its events, or comes after the last."""

    def __init__(self) -> None:
        self._lines = LineBuffer(_LONGEST)
        self.passed: Passed | None = None
        self.refused: Refused | None = None
        self.strange: str | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes; b"" is the end."""
        try:
            lines = self._lines.feed(data) if data else self._lines.finish()
        except LineTooLong:
            self._lines, lines = LineBuffer(_LONGEST), [b"a line without end"]
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError):
                self.strange = self.strange or line.decode("utf-8", "replace")[:500]

    def _take(self, event: Any) -> None:  # noqa: ANN401 - JSON
        if self.passed is not None:
            raise ValueError
        match event["event"]:
            case "refused" if self.refused is None:
                self.refused = Refused(*(_text(event[key]) for key in ("method", "session", "rule", "detail")))
            case "end":
                self.passed = Passed(**{name: _number(name, event[name]) for name in Passed.__match_args__})
            case _:
                raise ValueError


def argv(target: Target, session: GuardSession, used: int) -> list[str]:
    """Return the guard's argv; `used` bytes of the quota are taken."""
    words = [*PROGRAM, "--repository", str(target.repository), "--session", session.name]
    words += ["--deletes", "any" if session.deletes is None else str(session.deletes)]
    for name, most in bounds(session, in_bytes(target.quota), used).items():
        words += [f"--{name}", str(most)]
    return words


def environment(workdir: str) -> dict[str, str]:
    """Return its environment; by TMPDIR `workdirs` knows which launcher it belongs to."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": workdir}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(name: str, value: Any) -> Any:  # noqa: ANN401
    if type(value) is not (bool if name == "cut" else int) or value < 0:
        raise TypeError
    return value
