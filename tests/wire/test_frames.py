"""Both sides know every word of a frame."""

import os
import re
from pathlib import Path

import pytest

from borgctl.gate.output import Output
from borgctl.pull.client import frames as stream
from borgctl.reasons import REASONS
from borgctl.wire import frames

WIRE = Path(__file__).parents[2] / "docs/wire.md"
EXIT = {"outcome": "ok", "origin": "borg", "code": 0}
VALUES = {
    frames.HELLO: {"protocol": frames.PROTOCOL, "jobs": []},
    frames.START: {"command": "create", "job": "default", "repository": "/srv/borg/web1"},
    frames.MESSAGE: {"text": "x"},
    frames.OUTPUT: {"source": "borg", "stream": "stderr", "data": "x"},
    frames.WINDOW: {"state": "open"},
    frames.EXIT: EXIT,
}


def read(event, **values):
    """Let the gate write a frame, and the launcher read it."""
    ours, theirs = os.pipe()
    output = Output(theirs, "r")
    output.json = True
    output.event(event, **values)
    output.flush()
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        return stream.event(file.read().rstrip(b"\n"))


def test_every_event_is_understood():
    assert set(VALUES) == set(frames.EVENTS)
    kinds = {type(read(event, **values)) for event, values in VALUES.items()}
    assert stream.Unframed not in kinds and len(kinds) == len(frames.EVENTS)
    assert isinstance(read("goodbye"), stream.Unframed)


def test_every_outcome_that_a_reason_leads_to_is_understood():
    assert {reason.outcome for reason in REASONS.values()} | {"ok", "warning", "failed"} == set(frames.OUTCOMES)
    for outcome in frames.OUTCOMES:
        assert read(frames.EXIT, **EXIT | {"outcome": outcome}).outcome == outcome
    assert isinstance(read(frames.EXIT, **EXIT | {"outcome": "good"}), stream.Unframed)


@pytest.mark.parametrize(
    ("event", "key", "words"),
    [
        (frames.EXIT, "origin", frames.ORIGINS),
        (frames.OUTPUT, "source", frames.SOURCES),
        (frames.OUTPUT, "stream", frames.STREAMS),
        (frames.WINDOW, "state", frames.WINDOW_STATES),
    ],
)
def test_every_word_of_a_frame_is_understood_and_no_other(event, key, words):
    for word in words:
        assert getattr(read(event, **VALUES[event] | {key: word}), key) == word
    assert isinstance(read(event, **VALUES[event] | {key: "other"}), stream.Unframed)


def test_the_page_about_the_wire_names_every_event_and_outcome():
    page = WIRE.read_text()
    assert all(re.search(rf"[`\"]{word}[`\"]", page) for word in frames.EVENTS)
    assert all(re.search(rf"\b{word}\b", page) for word in (*frames.OUTCOMES, *frames.WINDOW_STATES, frames.DRY_RUN))
    assert f"`protocol` ({frames.PROTOCOL})" in page
