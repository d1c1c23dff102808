"""The client's stream: bytes of ssh's stderr, read as the gate's frames, one JSON object a line.

Everything here is written by somebody who may be hostile. Reading is total and bounded: a line is an event whose types
were checked, or words that nobody framed, or, over LONGEST bytes, the end of trust in this stream (`TooLong`).

    >>> [event(line) == Unframed("a word of ssh's") for line in Lines().feed(b"a word of ssh's\\n")]
    [True]
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from borgctl.borg.warning_kinds import KINDS
from borgctl.errors import BadValue
from borgctl.pull.client import frame_fields
from borgctl.values import Head, JobName
from borgctl.wire import frames
from borgctl.wire.hashchain import MOST, VERSION

LONGEST = 1 << 20
_MOST_RECORDS = 10**15  # numbers have at most 15 digits


class TooLong(Exception):  # noqa: N818 - reads as what it says where it is caught
    """A line of the client's goes on for more than LONGEST bytes."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What the client offers: jobs as (name, command); empty where the protocol is not ours.

    `policy` is its digest, `time` its clock in seconds since the epoch, `obstacles` are reasons why a run would fail;
    `skipped` is how many mounted file systems each job stays out of; what a gate doesn't say is None or nothing.
    """

    run: str
    protocol: int
    jobs: tuple[tuple[JobName, str], ...]
    version: str | None = None
    policy: str | None = None
    transports: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    borg: str | None = None
    time: float | None = None
    obstacles: tuple[str, ...] = ()
    skipped: tuple[tuple[JobName, int], ...] = ()


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
class Audit:
    """What the client says of its audit log: a head, and whether the log holds the record that was sent as --seen.

    `digests` are those of the records from there to the head, None where it has none to show; `behind` is how many more
    there are. `proves`: it is a gate that can show them, in the way that we know.
    """

    head: Head
    continues: bool | None
    proves: bool = False
    digests: tuple[str, ...] | None = None
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A window's state: open, used by a command of the client's own admin, or renewed: that has changed the key."""

    run: str
    state: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The gate's last word on a run.

    `skipped_mounts`: how many file systems `one-file-system` kept out of it; `warnings`: counts of borg's warnings by
    kind (`warning_kinds.KINDS`).
    """

    run: str
    outcome: str
    origin: str
    code: int
    reason: str | None
    audit: Audit | None = None
    skipped_mounts: int = 0
    warnings: Mapping[str, int] = field(default_factory=dict)
    pruned: tuple[int, ...] | None = None  # archives that a prune kept, and marked as deleted


@dataclass(frozen=True, slots=True)
class Unframed:
    """A line that is no frame: a banner, a shell's noise, ssh's own error. Shown, never believed."""

    text: str


Event = Hello | Start | Said | Output | Opened | Exit | Unframed


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
    if not isinstance(frame, dict) or frame.get("type") != frames.TYPE:
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
    run = frame_fields.run(frame["run"])
    match frame["event"]:
        case frames.HELLO:
            protocol = frame_fields.number(frame["protocol"])
            return _hello(run, frame) if protocol == frames.PROTOCOL else Hello(run, protocol, ())
        case frames.START:
            job, repository = (frame.get(key) and frame_fields.text(frame[key], 4096) for key in ("job", "repository"))
            return Start(run, frame_fields.text(frame["command"], 64), job or None, repository or None)
        case frames.MESSAGE:
            return Said(run, frame_fields.text(frame["text"], LONGEST))
        case frames.OUTPUT:
            source, stream = (
                frame_fields.word(frame["source"], frames.SOURCES),
                frame_fields.word(frame["stream"], frames.STREAMS),
            )
            more = frame.get("more", False)
            if not isinstance(more, bool):
                raise TypeError
            return Output(run, source, stream, frame_fields.text(frame["data"], LONGEST), more)
        case frames.WINDOW:
            return Opened(run, frame_fields.word(frame["state"], frames.WINDOW_STATES))
        case frames.EXIT:
            outcome, origin = (
                frame_fields.word(frame["outcome"], frames.OUTCOMES),
                frame_fields.word(frame["origin"], frames.ORIGINS),
            )
            reason, pruned = frame.get("reason"), frame_fields.tally(frame.get("kept"), frame.get("marked"))
            code, reason = frame_fields.number(frame["code"]), None if reason is None else frame_fields.reason(reason)
            audit, skipped = _audit(frame.get("audit")), frame_fields.count(frame.get("skipped_mounts", 0))
            warnings = frame_fields.counts(frame.get("warnings", {}), KINDS)
            return Exit(run, outcome, origin, code, reason, audit, skipped, warnings, pruned)
        case _:
            raise TypeError


def _hello(run: str, frame: dict[str, Any]) -> Hello:
    version, policy, borg, clock = (
        frame_fields.perhaps(frame.get(key), 100) for key in ("version", "policy", "borg", "time")
    )
    return Hello(
        run,
        frames.PROTOCOL,
        frame_fields.jobs(frame["jobs"]),
        version,
        policy,
        frame_fields.texts(frame.get("transports", []), 64),
        frame_fields.texts(frame.get("repositories", []), 4096),
        borg,
        None if clock is None else frame_fields.seconds(clock),
        tuple(map(frame_fields.reason, frame_fields.texts(frame.get("obstacles", []), 64))),
        frame_fields.by_job(frame.get("skipped_mounts", {})),
    )


def _audit(value: object) -> Audit | None:
    if value is None:
        return None
    if not isinstance(value, dict) or type(value["sequence"]) is not int:
        raise TypeError
    continues = value["continues"]
    if continues is not None and not isinstance(continues, bool):
        raise TypeError
    head = Head.read(f"{value['sequence']}:{frame_fields.text(value['head'], 64)}")
    if value.get("chain") != VERSION:
        return Audit(head, continues)
    digests, behind = value.get("digests"), value.get("behind", 0)
    if type(behind) is not int or not 0 <= behind < _MOST_RECORDS:
        raise TypeError
    return Audit(head, continues, True, None if digests is None else frame_fields.digests(digests, MOST), behind)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
