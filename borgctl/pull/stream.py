"""The client's stream: bytes of ssh's stderr, read as the gate's frames, one JSON object a line.

Everything here is written by somebody who may be hostile. Reading is total and bounded: a line is an event whose types
were checked, or words that nobody framed, or, over LONGEST bytes, the end of trust in this stream (`TooLong`).

    for line in Lines().feed(chunk): event(line)
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from borgctl.errors import BadValue
from borgctl.values import JobName

LONGEST = 1 << 20
PROTOCOL = 1
MOST_JOBS = 100
OUTCOMES = (
    *("ok", "warning", "failed", "refused", "malformed", "busy", "limit", "disconnected", "hook-failed", "internal"),
)


class TooLong(Exception):  # noqa: N818 - reads as what it says where it is caught
    """A line of the client's goes on for more than LONGEST bytes."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What the client offers: jobs as (name, command); empty where the protocol is not ours."""

    run: str
    protocol: int
    jobs: tuple[tuple[JobName, str], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """The gate has accepted the request; job and repository are None where it has none, as with hello."""

    run: str
    command: str
    job: str | None
    repository: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the gate's own, for people."""

    run: str
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """A line of borg's or of a hook's, or a piece of one if `more`."""

    run: str
    source: str
    stream: str
    data: str
    more: bool


@dataclass(frozen=True, slots=True)
class Exit:
    """The gate's last word on a run."""

    run: str
    outcome: str
    origin: str
    code: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Unframed:
    """A line that is no frame: a banner, a shell's noise, ssh's own error. Shown, never believed."""

    text: str


Event = Hello | Start | Said | Output | Exit | Unframed


class Lines:
    """Split a stream into lines, holding at most LONGEST bytes of one; `feed` raises TooLong."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest, self._rest = longest, bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newline."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > self._longest or any(len(line) > self._longest for line in lines):
            raise TooLong
        return lines

    def finish(self) -> list[bytes]:
        """Return what stands after the last newline, as one line if it is anything."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []


def event(line: bytes) -> Event:
    """Read one line; whatever is not a frame in every detail is Unframed."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    frame = parse(text)
    if not isinstance(frame, dict) or frame.get("type") != "borgctl":
        return Unframed(text)
    try:
        return _event(frame)
    except (KeyError, TypeError, BadValue):
        return Unframed(text)


def parse(text: str) -> object:
    """Read JSON that can be written again as JSON (finite numbers, sane depth); None for anything else."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value)
    except (ValueError, RecursionError):
        return None
    return value


def _event(frame: dict[str, Any]) -> Event:
    run = _run(frame["run"])
    match frame["event"]:
        case "hello":
            protocol = _number(frame["protocol"])
            return Hello(run, protocol, _jobs(frame["jobs"]) if protocol == PROTOCOL else ())
        case "start":
            job, repository = (frame.get(key) and _text(frame[key], 4096) for key in ("job", "repository"))
            return Start(run, _text(frame["command"], 64), job or None, repository or None)
        case "message":
            return Said(run, _text(frame["text"], LONGEST))
        case "output":
            source, stream = _word(frame["source"], ("borg", "hook")), _word(frame["stream"], ("stdout", "stderr"))
            more = frame.get("more", False)
            if not isinstance(more, bool):
                raise TypeError
            return Output(run, source, stream, _text(frame["data"], LONGEST), more)
        case "exit":
            outcome, origin = _word(frame["outcome"], OUTCOMES), _word(frame["origin"], ("borg", "gate"))
            reason = frame.get("reason")
            return Exit(run, outcome, origin, _number(frame["code"]), None if reason is None else _reason(reason))
        case _:
            raise TypeError


def _jobs(value: object) -> tuple[tuple[JobName, str], ...]:
    if not isinstance(value, list) or len(value) > MOST_JOBS:
        raise TypeError
    return tuple((JobName(_text(job["name"], 64)), _text(job["command"], 64)) for job in value)


def _run(value: object) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", _text(value, 64)):
        raise TypeError
    return str(value)


def _reason(value: object) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", _text(value, 64)):
        raise TypeError
    return str(value)


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError
    return value


def _word(value: object, words: tuple[str, ...]) -> str:
    if value not in words:
        raise TypeError
    return str(value)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise TypeError
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
