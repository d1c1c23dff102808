"""The client's stream: whatever it sends, reading is total, memory bounded, and nothing reaches a terminal."""

import io
import json
import re
import time
import tracemalloc
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.pull.client import frames
from borgctl.pull.client.borglog import Counts, Note, read
from borgctl.pull.client.events import Exit, Offer, OutputLine, Start, Unframed
from borgctl.pull.client.frames import LONGEST, LineBuffer, LineTooLong, event
from borgctl.pull.client.result import MOST as MOST_RESULT
from borgctl.pull.client.transcript import LONGEST_MESSAGE, MOST, MOST_MESSAGES, Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.progress import Plain, Quiet, View
from borgctl.pull.report.report import RunReport, readable, record, summary
from borgctl.pull.run import stream_reader
from borgctl.pull.run.stream_reader import StreamReader
from borgctl.text import printable_excerpt

ASKED = ("default", "/srv/borg/web1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = (
    "text",
    "run",
    "protocol",
    "jobs",
    "job",
    "command",
    "repository",
    "source",
    "stream",
    "data",
    "more",
    "outcome",
    "code",
    "time",
    "obstacles",
    "state",
    "warnings",
)
FRAMES = st.builds(
    lambda kind, run, extra: json.dumps({"type": "borgctl", "event": kind, "run": run, **extra}).encode(),
    st.sampled_from(["hello", "start", "message", "output", "window", "exit", "x"]),
    st.sampled_from(["r1", "r2"]) | JSON,
    st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["borg", "stdout", "ok", "default", "r1"])),
)
STREAMS = st.lists(st.binary(max_size=60) | FRAMES).map(b"\n".join)


def frame(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": "borgctl", "event": kind, "run": "r1", **fields}).encode() + b"\n"


def start(**fields: object) -> bytes:
    return frame("start", **{"job": "default", "command": "create", "repository": ASKED[1], **fields})


def output(data: str, stream: str = "stdout", **fields: object) -> bytes:
    return frame("output", source="borg", stream=stream, data=data, **fields)


def exit_line(**fields: object) -> bytes:
    return frame("exit", **{"outcome": "ok", "origin": "borg", "code": 0, **fields})


def heard(stream: bytes) -> tuple[Transcript, str]:
    transcript, screen = Transcript(ASKED), io.StringIO()
    reader = StreamReader(transcript, View(Plain(screen)))
    reader.client(stream)
    reader.client(b"")
    return transcript, screen.getvalue()


def harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@given(st.binary())
def test_any_line_is_an_event(line: bytes) -> None:
    assert event(line) is not None


@given(STREAMS, st.lists(st.integers(0, 400)))
def test_a_hostile_stream_never_raises_and_never_shows_control_characters(stream: bytes, cuts: list[int]) -> None:
    transcript, screen = heard(stream)
    assert harmless(screen)
    report = RunReport("web1", "default", Verdict("failed", "ssh", 255), 0.0, 1.0, transcript, 0)
    assert harmless(summary(report))
    assert json.dumps(record(report), allow_nan=False).isascii()
    lines, pieces = LineBuffer(), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        pieces += lines.feed(stream[low:high])
    assert b"\n".join([*pieces, *lines.finish()]) == stream.removesuffix(b"\n")


@given(st.text())
def test_shown_text_is_printable_and_keeps_what_was(text: str) -> None:
    assert printable_excerpt(text).isprintable()
    assert not text.isprintable() or printable_excerpt(text) == text


def test_a_message_of_several_lines_is_shown_as_such_and_each_says_whose_it_is() -> None:
    text = "\nkeep the key!\n\n   borg key export\n"
    line = json.dumps({"type": "log_message", "levelname": "WARNING", "message": text})
    _, screen = heard(output(line, "stderr"))
    assert screen.splitlines() == [": borg: warning: keep the key!", ": borg: warning:    borg key export"]


def test_a_message_of_very_many_lines_becomes_a_few() -> None:
    line = json.dumps({"type": "log_message", "levelname": "ERROR", "message": "x\n" * 1500})
    _, screen = heard(output(line, "stderr"))
    assert len(screen.splitlines()) == 20 and len(screen) < 6000
    assert all(": borg: error: x" in one for one in screen.splitlines())


def test_escapes_and_bidi_of_every_source_are_escaped() -> None:
    evil = "\x1b[2J\u202e\u2066\r\n\x07\x9b\ud800"
    line = json.dumps({"type": "log_message", "levelname": "ERROR", "message": evil})
    hook = frame("output", source="hook", stream="stderr", data=evil)
    _, screen = heard(output(line, "stderr") + hook + evil.encode("utf-8", "surrogatepass") + b"\n")
    assert harmless(screen)
    assert "\\x1b[2J\\u202e\\u2066" in screen


def test_an_endless_line_is_refused_and_a_long_one_is_not() -> None:
    assert LineBuffer().feed(b"x" * LONGEST + b"\n") == [b"x" * LONGEST]
    with pytest.raises(LineTooLong):
        LineBuffer().feed(b"x" * (LONGEST + 1))


def test_a_reader_that_goes_on_after_an_endless_line_holds_no_more_of_it_and_hears_of_it_once_a_mebibyte() -> None:
    lines, refused = LineBuffer(), 0
    for _ in range(160):  # 10 MiB, as they come from a pipe
        try:
            lines.feed(b"x" * 65536)
        except LineTooLong:
            refused += 1
        assert len(lines._rest) <= LONGEST
    assert refused == 9
    assert lines.feed(b"\nnext\n")[1:] == [b"next"]


def test_frames_are_read_with_their_types() -> None:
    hello = frame("hello", protocol=1, jobs=[{"name": "default", "command": "create"}])
    assert isinstance(event(hello), Offer)
    assert event(start()) == Start("r1", "create", "default", ASKED[1])
    assert event(output("a")) == OutputLine("r1", "borg", "stdout", "a", False)
    assert event(exit_line()) == Exit("r1", "ok", "borg", 0, None)
    assert event(exit_line(warnings={"vanished": 703, "other": 0})).warnings == {"vanished": 703, "other": 0}
    full = event(frame("hello", protocol=1, jobs=[], time="2026-01-01T00:00:00.500Z", obstacles=["borg-missing"]))
    assert (full.time, full.obstacles, full.borg) == (1767225600.5, ("borg-missing",), None)
    assert event(frame("hello", protocol=2, jobs="of another kind")) == Offer("r1", 2, ())


@pytest.mark.parametrize(
    "fields",
    [
        *({"code": True}, {"code": "0"}, {"code": -1}, {"code": 256}, {"outcome": "fine"}, {"outcome": ["ok"]}),
        *({"origin": "ssh"}, {"run": "a b"}, {"run": 1}, {"reason": "A\x1b"}),
        *({"warnings": [1]}, {"warnings": None}, {"warnings": {"\x1b": 1}}, {"warnings": {"changed": -1}}),
        *({"warnings": {"changed": True}}, {"warnings": {"changed": 10**15}}, {"warnings": {"changed": 0.5}}),
    ],
)
def test_a_frame_that_is_wrong_in_one_type_is_only_words(fields: dict[str, object]) -> None:
    assert isinstance(event(exit_line(**fields)), Unframed)


@pytest.mark.parametrize("value", ["1", True, -1, 10**15, None, 1.0])
def test_a_number_of_skipped_file_systems_is_one_or_the_frame_is_only_words(value: object) -> None:
    assert isinstance(event(exit_line(skipped_mounts=value)), Unframed)
    told = heard(start() + exit_line(skipped_mounts=2))[0]
    report = RunReport("web1", "default", Verdict("ok", "borg", 0), 0.0, 1.0, told, 0)
    assert "2 mounted file systems left out (one-file-system)" in summary(report)
    assert record(report)["skipped_mounts"] == 2


@pytest.mark.parametrize(
    "fields",
    [
        *({"time": 1}, {"time": "2026-01-01T00:00:00"}, {"time": "2026-13-01T00:00:00Z"}, {"time": "x" * 200}),
        *({"obstacles": "borg-missing"}, {"obstacles": ["\x1b"]}, {"obstacles": ["a"] * 101}, {"version": 1}),
        *({"skipped_mounts": value} for value in ([], {"a b": 1}, {"a": -1}, {"a": True}, {"a": 10**15}, {"a": "1"})),
        *({"repositories": [1]}, {"transports": {"stdio": 1}}, {"policy": "x" * 101}, {"borg": ["1.4"]}),
    ],
)
def test_a_hello_that_is_wrong_in_one_type_is_only_words(fields: dict[str, object]) -> None:
    assert isinstance(event(frame("hello", **{"protocol": 1, "jobs": [], **fields})), Unframed)


@pytest.mark.parametrize(
    "line", [b'{"type":"borgctl","event":"exit","code":1e999}', b"[" * 100_000, b'{"a":' + b"9" * 10_000 + b"}", b"NaN"]
)
def test_json_that_python_chokes_on_is_only_words(line: bytes) -> None:
    assert isinstance(event(line), Unframed)


def test_a_line_that_does_not_begin_as_the_gates_frames_do_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(frames, "_decode", lambda text: read.append(text) or {})
    for line in (b"1", b"x", b"{}", b'{"borgctl":1}', b" " + exit_line(), b'{"a": 1, "type": "borgctl"}', b"[" * 9):
        assert event(line) == Unframed(line.decode())
    assert read == []
    event(exit_line())
    assert len(read) == 1


def test_blank_lines_and_words_that_are_only_counted_cost_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 KiB may be 65536 lines, and the one loop for all targets reads them."""
    reader, taken = StreamReader(Transcript(ASKED), View(Quiet())), []
    monkeypatch.setattr(stream_reader, "event", lambda line: taken.append(line) or event(line))
    reader.client(b"\n" * 1000 + b" \n" * 1000 + b"\r\n" * 1000 + "\u3000\n\x1c\n".encode() * 1000)
    assert (taken, reader.transcript.dropped) == ([], 0)
    reader.client(b"x\n" * (MOST_MESSAGES + 1000) + b"\n \n" + b"{}\n" * 1000)
    assert len(taken) == len(reader.transcript.messages) == MOST_MESSAGES
    assert reader.transcript.dropped == 2000
    reader.client(start() + b'{"type": "borgctl"}\n')
    assert reader.transcript.start is not None and reader.transcript.dropped == 2001


def test_the_report_says_how_many_files_of_which_kind_were_not_as_they_stood() -> None:
    transcript = heard(start() + exit_line(outcome="warning", code=1, warnings={"unreadable": 10, "vanished": 703}))[0]
    report = RunReport("web1", "default", Verdict("warning", "borg", 1), 0.0, 0.0, transcript, 0)
    assert "703 vanished, 10 unreadable" in summary(report)
    assert record(report)["warnings"] == {"unreadable": 10, "vanished": 703}


@pytest.mark.parametrize("outcome", ["warning", "failed", "refused"])
def test_whatever_did_not_end_well_names_its_run_by_what_shows_it_on_the_client(outcome) -> None:
    def said(verdict, run):
        transcript = Transcript()
        transcript.start = Start(run, "create", "default", "/-")
        return summary(RunReport("web1", "default", verdict, 0.0, 0.0, transcript, 0)).splitlines()

    run = "0123456789abcdef"
    assert f"web1 default: on the client: borgctl audit show --run {run}" in said(Verdict(outcome, "borg", 1), run)
    for verdict, other in ((Verdict("ok", "borg", 0), run), (Verdict(outcome, "borg", 1), "web2.default:.ok")):
        assert not any("audit show" in line for line in said(verdict, other))


def test_an_exit_line_counts_only_for_the_run_that_started() -> None:
    assert heard(start() + exit_line())[0].ending() is not None
    assert heard(exit_line())[0].ending() is not None
    assert heard(start() + exit_line(run="r2"))[0].ending() is None
    assert heard(start() + b"exit ok\n")[0].ending() is None
    assert heard(output("a") + exit_line(run="r2"))[0].ending() is None


def test_the_exit_line_is_the_last_frame() -> None:
    transcript, _ = heard(start() + exit_line(outcome="failed", code=2) + exit_line())
    assert transcript.mismatch
    assert transcript.ending() is None
    assert heard(start() + exit_line() + b"Connection closed\n")[0].ending() is not None


@pytest.mark.parametrize("fields", [{"job": "other"}, {"repository": "/srv/borg/web2"}])
def test_an_answer_to_another_question_is_no_answer(fields: dict[str, object]) -> None:
    assert heard(start(**fields) + exit_line())[0].ending() is None


def test_pieces_of_a_line_are_put_together() -> None:
    message = json.dumps({"type": "log_message", "levelname": "WARNING", "message": "half and half"})
    stream = output(message[:20], "stderr", more=True) + output("{}", more=False) + output(message[20:], "stderr")
    transcript, screen = heard(start() + stream)
    assert "borg: warning: half and half" in screen
    assert transcript.result.lines() == ["{}"]


def test_a_large_result_is_cut_and_said() -> None:
    piece = output("x" * (LONGEST // 2), more=True)
    transcript, _ = heard(start() + piece * 10)
    assert transcript.result_cut
    assert sum(map(len, transcript.result.lines())) <= MOST_RESULT


def test_many_empty_archives_and_one_long_name_do_not_become_more_than_they_were() -> None:
    listed = json.dumps({"archives": [{"name": "n" * 200}, *[{}] * 500_000]})
    pieces = [listed[at : at + 60_000] for at in range(0, len(listed), 60_000)]
    said = [output(piece, more=piece is not pieces[-1]) for piece in pieces]
    lines = readable(heard(start() + b"".join(said))[0])
    assert sum(map(len, lines)) < 1.1 * len(listed) and len(lines) < 20_000
    assert lines[1].split() == ["None", "None"] and "490001 more archives" in lines[-1]


def test_a_flood_of_messages_is_counted_and_said() -> None:
    transcript, screen = heard(b"spam\n" * (MOST_MESSAGES + 5))
    assert (len(transcript.messages), transcript.dropped) == (MOST_MESSAGES, 5)
    assert screen.count("spam") == MOST_MESSAGES
    report = RunReport("web1", "default", Verdict("failed", "ssh", 255), 0.0, 1.0, transcript, 0)
    assert "5 more messages not kept" in summary(report)
    assert record(report)["messages"][-1]["text"] == "5 more messages not kept"


def test_a_thousand_messages_of_a_megabyte_each_do_not_take_a_gigabyte() -> None:
    transcript = Transcript(ASKED)
    kept = transcript.keep(Message("unframed", "WARNING", "x" * LONGEST))
    assert kept is not None and kept.text == f"{'x' * LONGEST_MESSAGE}… ({LONGEST - LONGEST_MESSAGE} more characters)"
    assert transcript.keep(Message("gate", "WARNING", "y" * LONGEST_MESSAGE)) is transcript.messages[1]


def test_messages_and_what_is_listed_have_a_few_megabytes_in_all_however_wide_their_characters_are() -> None:
    transcript, wide = Transcript(ASKED), "\U0001f600" * LONGEST_MESSAGE
    for number in range(MOST_MESSAGES):
        transcript.keep(Message("borg", "WARNING", f"{number}{wide}"[:LONGEST_MESSAGE], wide))
    listed = OutputLine("a", "borg", "stderr", json.dumps({"type": "file_status", "path": wide[:999]}), False)
    while not transcript.unlisted:
        transcript.take(listed)
    texts = [part for one in transcript.messages for part in (one.text, one.msgid or "")]
    assert MOST - 40_000 < sum(len(text.encode()) for text in texts) <= MOST
    assert transcript.is_full and transcript.dropped == MOST_MESSAGES - len(transcript.messages)
    assert MOST - 4000 < sum(len(line.encode()) for line in transcript.listed) <= MOST


@pytest.mark.parametrize("data", ["", "x"])
def test_a_result_in_very_many_small_pieces_takes_no_more_room_than_its_bytes(data: str) -> None:
    transcript, piece, count = Transcript(ASKED), OutputLine("a", "borg", "stdout", data, more=True), 100_000
    tracemalloc.start()
    try:
        for _ in range(count):
            transcript.take(piece)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 300_000 + 3 * count * len(data.encode())  # a list of that many pieces takes 800 kB, without them
    assert transcript.result.lines() == ([data * count] if data else [])


def test_halves_of_a_character_are_kept_as_they_came() -> None:
    stream = output("\ud83d", more=True) + output("\ude00")
    assert heard(start() + stream)[0].result.lines() == ["\ud83d\ude00"]


def test_borgs_lines_are_told_apart() -> None:
    progress = {
        "type": "archive_progress",
        "nfiles": 3,
        "original_size": 10,
        "compressed_size": 5,
        "deduplicated_size": 1,
    }
    assert read(json.dumps(progress)) == Counts(3, 10, 1, 5)
    assert read(json.dumps({**progress, "compressed_size": 1 << 63})) == Counts(3, 10, 1)
    assert read(json.dumps({**progress, "nfiles": "3"})) is None
    assert read(json.dumps({"type": "archive_progress", "finished": True})) is None
    assert read("usage: borg …") == Note("WARNING", "usage: borg …")
    assert read(json.dumps({"type": "log_message", "levelname": "EVIL", "message": 3})) == Note("WARNING", "")


@given(JSON)
def test_any_json_of_borgs_is_read(value: object) -> None:
    read(json.dumps(value))


def test_a_window_that_is_open_says_until_when_by_our_own_clock():
    until = time.time() + 600
    transcript, screen = Transcript((None, ASKED[1]), until), io.StringIO()
    reader = StreamReader(transcript, View(Plain(screen)))
    reader.client(start(job=None, command="window") + frame("window", state="open", seconds=86400))
    reader.client(frame("window", state="used"))
    opened, used = screen.getvalue().splitlines()
    assert re.search(rf"the window is open until (\S+ )?{datetime.fromtimestamp(until):%H:%M:%S}$", opened)
    assert used.endswith("the window is used")


def test_a_window_is_open_and_then_used_and_nothing_else():
    transcript = Transcript((None, ASKED[1]))
    reader = StreamReader(transcript, View(Plain(io.StringIO())))
    reader.client(start(job=None, command="window") + frame("window", state="open", seconds=60))
    assert not transcript.used
    reader.client(frame("window", state="used") + frame("exit", outcome="ok", origin="borg", code=0))
    assert transcript.used and not transcript.renewed and not transcript.mismatch
    assert transcript.ending() is not None
    renewed = Transcript((None, ASKED[1]))
    reader = StreamReader(renewed, View(Plain(io.StringIO())))
    reader.client(start(job=None, command="window") + frame("window", state="renewed"))
    assert renewed.renewed and not renewed.used
    for state in ("closed", 7, None):
        assert isinstance(event(frame("window", state=state).strip()), Unframed)


def test_what_borg_lists_is_shown_and_kept_apart_from_messages() -> None:
    kept = {"type": "log_message", "levelname": "INFO", "name": "borg.output.list", "message": "Keeping archive: a"}
    lines = [json.dumps({"type": "file_status", "status": "A", "path": "/etc/x"}), json.dumps(kept)]
    quiet = json.dumps({"type": "log_message", "levelname": "INFO", "name": "borg.archiver", "message": "quiet"})
    transcript, screen = heard(start() + b"".join(output(line, "stderr") for line in [*lines, quiet]))
    assert "borg: info: A /etc/x" in screen and "borg: info: Keeping archive: a" in screen and "quiet" not in screen
    assert (transcript.listed, transcript.messages) == (["A /etc/x", "Keeping archive: a"], [])


def test_a_flood_of_listed_lines_is_bounded_and_pushes_no_warning_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borgctl.pull.client.transcript.MOST_LISTED", 3)
    listed = output(json.dumps({"type": "file_status", "status": "A", "path": "p" * 5000}), "stderr")
    warning = output(json.dumps({"type": "log_message", "levelname": "WARNING", "message": "loud"}), "stderr")
    transcript, _ = heard(start() + listed * 5 + warning)
    assert (len(transcript.listed), transcript.unlisted, len(transcript.messages)) == (3, 2, 1)
    assert max(map(len, transcript.listed)) == 1000


@pytest.mark.parametrize(
    ("fields", "pruned"),
    [({}, None), ({"kept": 7, "marked": 0}, (7, 0)), ({"kept": None, "marked": None}, None)],
)
def test_what_a_prune_kept_and_marked_is_read(fields: dict[str, object], pruned: object) -> None:
    ending = heard(start() + exit_line(**fields))[0].ending()
    assert ending is not None and ending.pruned == pruned


@pytest.mark.parametrize(
    "fields", [{"kept": 7}, {"kept": -1, "marked": 0}, {"kept": True, "marked": 0}, {"kept": 1, "marked": 10**15}]
)
def test_counts_that_are_none_are_no_exit_line(fields: dict[str, object]) -> None:
    assert heard(start() + exit_line(**fields))[0].ending() is None
