"""Frames: read the client's stream, bytes of ssh's stderr, as the gate's frames, one JSON object a line.

The client may be hostile. Reading is total and bounded: a line is an event whose types were checked, or text without a
frame, or, over LONGEST bytes, an error that ends the stream (`LineTooLong`).

    >>> [event(line) == Unframed("a word of ssh's") for line in LineBuffer().feed(b"a word of ssh's\\n")]
    [True]
"""

import json
from typing import Any, NoReturn

from borgctl.borg.warning_kinds import KINDS
from borgctl.errors import BadValue
from borgctl.pull.client import frame_fields
from borgctl.pull.client.events import (
    AuditProof,
    Event,
    Exit,
    GateMessage,
    Offer,
    OutputLine,
    Start,
    Unframed,
    WindowState,
)
from borgctl.values import Head
from borgctl.wire import frames
from borgctl.wire.hashchain import MOST, VERSION

LONGEST = 1 << 20
_BEGINNINGS = tuple(b'{"type":%b"%b"' % (blank, frames.TYPE.encode()) for blank in (b" ", b""))
_MOST_RECORDS = 10**15  # numbers have at most 15 digits


class LineTooLong(Exception):  # noqa: N818 - reads as what it says where it is caught
    """A line of the client's goes on for more than LONGEST bytes."""


class LineBuffer:
    """Split a stream into lines, holding at most LONGEST bytes of one; `feed` raises LineTooLong."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest, self._rest = longest, bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newline."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > self._longest or max(map(len, lines), default=0) > self._longest:
            self._rest.clear()  # a reader that goes on holds no more of it
            raise LineTooLong
        return lines

    def finish(self) -> list[bytes]:
        """Return what stands after the last newline, as one line if it is anything."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []


def event(line: bytes) -> Event:
    """Read one line; whatever is not a frame in every detail is Unframed."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    frame = parse(text) if may_be_frame(line) else None
    if frame is None or frame.get("type") != frames.TYPE:
        return Unframed(text)
    try:
        return _event(frame)
    except (KeyError, TypeError, BadValue):
        return Unframed(text)


def may_be_frame(line: bytes) -> bool:
    """Tell whether to read a line as a frame, by a glance that costs far less than that; no other line is one."""
    return line.startswith(_BEGINNINGS)


def parse(text: str) -> dict[str, Any] | None:
    """Read a JSON object that begins at once; None for anything else. A number in it may be infinite, as 1e999 is."""
    if not text.startswith("{"):
        return None
    try:
        value: dict[str, Any] = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def _event(frame: dict[str, Any]) -> Event:
    run = frame_fields.run(frame["run"])
    match frame["event"]:
        case frames.HELLO:
            protocol = frame_fields.number(frame["protocol"])
            return _hello(run, frame) if protocol == frames.PROTOCOL else Offer(run, protocol, ())
        case frames.START:
            job, repository = (frame.get(key) and frame_fields.text(frame[key], 4096) for key in ("job", "repository"))
            return Start(run, frame_fields.text(frame["command"], 64), job or None, repository or None)
        case frames.MESSAGE:
            return GateMessage(run, frame_fields.text(frame["text"], LONGEST))
        case frames.OUTPUT:
            source, stream = (
                frame_fields.word(frame["source"], frames.SOURCES),
                frame_fields.word(frame["stream"], frames.STREAMS),
            )
            more = frame.get("more", False)
            if not isinstance(more, bool):
                raise TypeError
            return OutputLine(run, source, stream, frame_fields.text(frame["data"], LONGEST), more)
        case frames.WINDOW:
            return WindowState(run, frame_fields.word(frame["state"], frames.WINDOW_STATES))
        case frames.EXIT:
            outcome, origin = (
                frame_fields.word(frame["outcome"], frames.OUTCOMES),
                frame_fields.word(frame["origin"], frames.ORIGINS),
            )
            reason, pruned = frame.get("reason"), frame_fields.all_counts(frame.get("kept"), frame.get("marked"))
            code, reason = frame_fields.number(frame["code"]), None if reason is None else frame_fields.reason(reason)
            audit, skipped = _audit(frame.get("audit")), frame_fields.count(frame.get("skipped_mounts", 0))
            warnings = frame_fields.counts(frame.get("warnings", {}), KINDS)
            return Exit(run, outcome, origin, code, reason, audit, skipped, warnings, pruned)
        case _:
            raise TypeError


def _hello(run: str, frame: dict[str, Any]) -> Offer:
    version, policy, borg, clock = (
        frame_fields.text_or_none(frame.get(key), 100) for key in ("version", "policy", "borg", "time")
    )
    return Offer(
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


def _audit(value: object) -> AuditProof | None:
    if value is None:
        return None
    if not isinstance(value, dict) or type(value["sequence"]) is not int:
        raise TypeError
    continues = value["continues"]
    if continues is not None and not isinstance(continues, bool):
        raise TypeError
    head = Head.read(f"{value['sequence']}:{frame_fields.text(value['head'], 64)}")
    if value.get("chain") != VERSION:
        return AuditProof(head, continues)
    digests, behind = value.get("digests"), value.get("behind", 0)
    if type(behind) is not int or not 0 <= behind < _MOST_RECORDS:
        raise TypeError
    return AuditProof(head, continues, True, None if digests is None else frame_fields.digests(digests, MOST), behind)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_refuse).decode  # json.loads would make a decoder for each line
