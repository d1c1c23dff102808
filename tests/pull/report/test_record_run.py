"""What the launcher remembers of a client, and what in the client's answer is an alert."""

import dataclasses
import hashlib
import json
import os
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import full_disk

from borgctl.fs import atomic
from borgctl.pull.client.events import AuditProof, Exit, Offer, OutputLine, Start, Unframed
from borgctl.pull.client.frames import event
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report import record_run
from borgctl.pull.report.past_runs import Ended, note_run
from borgctl.pull.report.report import record
from borgctl.pull.repository import repo_config
from borgctl.pull.repository.guard_process import Passed, Refused
from borgctl.pull.state import state_file
from borgctl.pull.state.state import MOST_JOBS, Acceptance, Alert, JobRecord, Past, State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import Head, JobName
from borgctl.wire.hashchain import MOST, joined

NAME = TargetName("web1")
A, B, C = "a" * 64, "b" * 64, "c" * 64


def audit(sequence: int, head: str, continues: bool | None = None, **more: object) -> dict:
    """An answer in the form of today; `more` may have digests."""
    return {"sequence": sequence, "head": head, "continues": continues, "chain": 2, **more}


def goes_on(kept: Head, *digests: str, **more: object) -> dict:
    """The answer of an honest gate: what leads from the kept head to a new one."""
    link = reduce(joined, digests, kept.digest)
    return audit(kept.sequence + len(digests), link, True, digests=list(digests), **more)


def head(answer: dict) -> Head:
    return Head(answer["sequence"], answer["head"])


def told(world, *steps: list, **keys: object) -> list:
    """Run a target whose client plays the steps after its start."""
    return world.run(
        world.local([["asked", f"{world.root}/asked"], ["start"], *steps], borg=world.quiet_serve(), **keys)
    )


def reasons(reports: list) -> list[str]:
    return [alert.reason for report in reports for alert in report.alerts]


def kept(world) -> State:
    return state_file.load(world.folders, NAME)


FIRST = Head(7, A)
FORGED = [
    (audit(9, B, False), "does not hold record 7"),
    (audit(9, B, None), "cannot say whether"),
    (audit(6, B, True), "went back from record 7"),
    (audit(7, B, True), "went back from record 7"),
    (audit(9, B, True), "cannot show what leads"),
    (audit(9, B, True, digests=[]), "does not lead from"),
    (audit(9, B, True, digests=[C, C]), "does not lead from"),
    (audit(7, A, True, digests=[]), "no record of this run"),
    (audit(7, A, True, digests=[C]), "does not lead from"),
    (goes_on(FIRST, B, C) | {"sequence": 10}, "does not lead from"),
    (goes_on(FIRST, B, C) | {"sequence": 8}, "does not lead from"),
    (goes_on(FIRST, B, C) | {"sequence": 10**15 - 1}, "does not lead from"),
    (goes_on(FIRST, B, C) | {"digests": [C, B]}, "does not lead from"),
    (goes_on(FIRST, B, C) | {"digests": [B]}, "does not lead from"),
    (goes_on(FIRST, B, C) | {"digests": [B, C, C]}, "does not lead from"),
    (goes_on(Head(7, B), B, C), "does not lead from"),
    (goes_on(Head(5, A), B, C, C), "does not lead from"),
    (audit(9, B, True, digests=[C] * MOST), "does not lead from"),
]


def test_the_head_that_the_server_computed_is_kept_and_sent_with_the_next_request(world) -> None:
    assert reasons(told(world, ["exit", "ok", 0, audit(7, A)])) == []
    assert (kept(world).head, kept(world).linked) == (FIRST, True)
    assert reasons(told(world, ["exit", "ok", 0, goes_on(FIRST, B, C)])) == []
    assert kept(world).head == head(goes_on(FIRST, B, C))
    first, second = (world.root / "asked").read_text().splitlines()
    assert "--seen" not in first and f"--seen=7:{A}" in second.split()


@pytest.mark.parametrize(("answer", "text"), FORGED, ids=range(len(FORGED)))
def test_no_answer_of_a_hostile_client_takes_the_place_of_the_head_that_is_kept(world, answer, text) -> None:
    state_file.save(world.folders, NAME, State(head=FIRST, linked=True))
    (report,) = told(world, ["exit", "ok", 0, answer])
    assert [alert.reason for alert in report.alerts] == ["audit-broken"] and text in report.alerts[0].text
    assert kept(world).head == FIRST
    assert reasons(told(world, ["exit", "ok", 0, goes_on(FIRST, B, C)])) == [], "the true log still goes on"


def test_an_exit_line_that_was_told_before_is_none(world) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    answer = goes_on(FIRST, B, C)
    assert reasons(told(world, ["exit", "ok", 0, answer])) == []
    assert reasons(told(world, ["exit", "ok", 0, answer])) == ["audit-broken"]
    assert kept(world).head == head(answer)


OLD_FORM = {"sequence": 9, "head": B, "continues": True}


@pytest.mark.parametrize("answer", [None, OLD_FORM, OLD_FORM | {"chain": 1}, OLD_FORM | {"chain": 3, "digests": "?"}])
@pytest.mark.parametrize("linked", [True, False])
def test_a_gate_that_proves_nothing_is_an_alert_and_takes_no_heads_place(world, answer, linked) -> None:
    """As an older gate does, and a newer one may; who was believed once proves what comes after."""
    state_file.save(world.folders, NAME, State(head=FIRST, linked=linked))
    assert reasons(told(world, ["exit", "ok", 0, answer])) == ["audit-silent"]
    assert (kept(world).head, kept(world).linked) == (FIRST, linked)


def test_a_gate_that_proves_nothing_is_told_at_the_first_contact_too(world) -> None:
    assert reasons(told(world, ["exit", "ok", 0, OLD_FORM])) == ["audit-silent"]
    assert kept(world).head is None


def test_a_head_of_an_earlier_release_is_believed_once(world) -> None:
    state_file.save(world.folders, NAME, State(head=FIRST))
    assert reasons(told(world, ["exit", "ok", 0, audit(9, B, True)])) == []
    assert (kept(world).head, kept(world).linked) == (Head(9, B), True)
    assert reasons(told(world, ["exit", "ok", 0, audit(11, C, True)])) == ["audit-broken"]
    assert kept(world).head == Head(9, B)


@pytest.mark.parametrize("answer", [audit(9, B, False), audit(6, B, True), audit(9, B, True, digests=[C, C])])
def test_a_head_of_an_earlier_release_that_does_not_go_on_is_an_alert(world, answer) -> None:
    state_file.save(world.folders, NAME, State(head=FIRST))
    assert reasons(told(world, ["exit", "ok", 0, answer])) == ["audit-broken"]
    assert (kept(world).head, kept(world).linked) == (FIRST, False)


def test_a_state_of_an_earlier_release_is_read(world) -> None:
    state_file.save(world.folders, NAME, State(head=FIRST, linked=True))
    path = Path(world.folders.memory(NAME))
    before = json.loads(path.read_text())
    del before["linked"]
    path.write_text(json.dumps(before))
    assert kept(world) == State(head=FIRST)


def test_a_log_that_has_more_records_than_one_answer_is_followed_in_steps(world) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    first = goes_on(FIRST, *[B] * MOST, behind=3)
    (report,) = told(world, ["exit", "ok", 0, first])
    assert reasons([report]) == [] and record(report)["audit"]["behind"] == 3
    assert "3 records of its audit log are left" in world.screen.getvalue()
    assert kept(world).head == head(first)
    assert reasons(told(world, ["exit", "ok", 0, goes_on(head(first), C, C, C)])) == []
    assert kept(world).head.sequence == 7 + MOST + 3


@pytest.mark.parametrize(
    ("answer", "reason"), [(audit(9, B, True, digests=[C]), "audit-broken"), (None, "audit-silent")]
)
def test_a_log_that_does_not_continue_is_an_alert_that_stands_until_it_is_accepted(
    world, borgpull, answer, reason
) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    assert reasons(told(world, ["exit", "ok", 0, answer])) == [reason]
    assert "ALERT: " + reason in world.screen.getvalue() and "borgpull accept web1" in world.screen.getvalue()
    assert kept(world).head == FIRST
    status, out, _ = borgpull("status")
    assert status == 2 and f"web1: ALERT: {reason}" in out and f"7:{A}" in out
    assert borgpull("accept", "web1", "--reason", " ")[0] == 2
    status, out, _ = borgpull("accept", "web1", "--reason", "moved\x1b[2J the log")
    assert status == 0 and f"accepted: ALERT: {reason}" in out
    status, out, _ = borgpull("status", "--json")
    one = json.loads(out)
    assert (status, one["status"], one["alerts"]) == (0, 0, [])
    assert one["accepted"][0]["reason"] == "moved\x1b[2J the log" and "\x1b" not in out
    assert borgpull("accept", "web1", "--reason", "again")[0] == 2


def test_after_a_person_accepted_a_broken_log_the_next_head_is_taken_as_it_is_and_held(world, borgpull) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    told(world, ["exit", "ok", 0, audit(3, B, False)])
    assert borgpull("accept", "web1", "--reason", "restored from a backup")[0] == 0
    assert kept(world).head is None
    assert reasons(told(world, ["exit", "ok", 0, audit(5, B)])) == []
    assert "--seen" not in (world.root / "asked").read_text().splitlines()[-1]
    assert kept(world).head == Head(5, B)
    assert reasons(told(world, ["exit", "ok", 0, audit(7, C, True, digests=[A, A])])) == ["audit-broken"]


def test_whoever_accepts_another_alert_forgets_no_head(world, borgpull) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    told(world, ["exit", "ok", 0])
    assert borgpull("accept", "web1", "--reason", "an older gate")[0] == 0
    assert kept(world).head == FIRST


def test_the_same_alert_again_is_counted_and_its_first_words_are_kept(world) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    for number in (8, 9, 10):
        told(world, ["exit", "ok", 0, audit(number, B, False)])
    (alert,) = kept(world).alerts.values()
    assert alert.count == 3 and f"7:{A}" in alert.text and "8:b" in alert.text


def test_the_same_head_again_is_no_alert_where_nothing_was_run(world) -> None:
    """A refusal that is only counted has no record of its own."""
    told(world, ["exit", "ok", 0, audit(7, A)])
    assert reasons(told(world, ["refuse", "refused", 77, "unknown-job"])) == []
    assert reasons(told(world, ["exit", "refused", 77, audit(7, A, True, digests=[])])) == []
    assert kept(world).head == FIRST


def test_a_gate_that_could_not_read_the_question_is_asked_again_of_the_same_record(world) -> None:
    """A policy with a typing error is refused before the request is read; nothing is forgotten for it."""
    told(world, ["exit", "ok", 0, audit(7, A)])
    assert reasons(told(world, ["exit", "refused", 78, audit(3, C)])) == []
    assert kept(world).head == FIRST
    assert reasons(told(world, ["exit", "refused", 78, audit(9, C, False)])) == ["audit-broken"]


def test_the_first_head_is_not_that_of_a_run_that_was_refused(world) -> None:
    """Where the policy cannot be read, the refusal is recorded in the usual log, which may not be the policy's."""
    assert reasons(told(world, ["exit", "refused", 78, audit(3, C)])) == []
    assert kept(world).head is None
    assert reasons(told(world, ["exit", "ok", 0, audit(7, A)])) == []
    assert kept(world).head == FIRST


def test_a_run_with_an_alert_is_a_warning_for_whoever_started_it(world, borgpull) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    world.local([["start"], ["exit", "ok", 0, audit(9, B, False)]], borg=world.quiet_serve())
    status, out, _ = borgpull("run", "--json", "web1")
    report = json.loads(out)
    assert status == 1 and report["outcome"] == "ok"
    assert report["audit"] == {"head": f"9:{B}", "continues": False, "behind": 0}
    assert [alert["reason"] for alert in report["alerts"]] == ["audit-broken"]


def test_hello_tells_a_head_too(world) -> None:
    steps = {"hello": [["hello", "default"], ["exit", "ok", 0, audit(3, A)]], "run": [["start"], ["exit", "ok", 0]]}
    target = world.local(steps, jobs=None, borg=world.quiet_serve())
    assert reasons(world.run(target)) == ["audit-silent"]
    assert kept(world).head == Head(3, A)


def test_what_hello_finds_is_told_with_the_first_run(world, borgpull) -> None:
    second = goes_on(Head(3, A), B)
    steps = {
        "hello": [["hello", "a", "b"], ["exit", "ok", 0, audit(3, A)]],
        "run": [["start"], ["exit", "ok", 0, second]],
    }
    world.run(world.local(steps, jobs=["a"], borg=world.quiet_serve()))
    state_file.save(world.folders, NAME, State(head=Head(3, A), linked=True))
    steps["hello"][1][3] = audit(9, C, False)
    world.local(steps, jobs=None, borg=world.quiet_serve())
    status, _, err = borgpull("run", "web1")
    assert status == 1 and err.count("ALERT: audit-broken") == 2  # of hello, and of job b, which told what a had
    assert borgpull("status")[0] == 2


def test_what_hello_and_a_run_find_is_one_alert_of_that_run(world, borgpull) -> None:
    state_file.save(world.folders, NAME, State(head=FIRST, linked=True))
    lie = ["exit", "ok", 0, audit(9, C, False)]
    world.local({"hello": [["hello", "a"], lie], "run": [["start"], lie]}, jobs=None, borg=world.quiet_serve())
    status, out, _ = borgpull("run", "--json", "web1")
    assert status == 1 and [alert["reason"] for alert in json.loads(out)["alerts"]] == ["audit-broken"]


BAD = [7, "x", [], {}, {"sequence": 1}, audit(-1, A), audit(True, A), audit(10**15, A), audit(1, "A" * 64)]
BAD += [audit(1, A, True, digests=value) for value in ({}, "x", [1], [A, None], ["A" * 64], [f"{A}\n"], [[A]])]
BAD += [audit(1, A, True, digests=[A] * (MOST + 1)), audit(1, A, True, digests=[A[:-1]])]
BAD += [audit(1, A, True, digests=[], behind=value) for value in (-1, True, "1", 1.0, None, 10**15)]
BAD += [audit(1, "a" * 65), audit(1, A, "yes"), audit(1, A, 1), audit(1.0, A), audit("1", A), audit(1, f"{A}\n")]


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
def test_an_exit_line_with_a_head_that_is_none_is_no_exit_line(value) -> None:
    frame = {"type": "borgctl", "event": "exit", "run": "r1", "outcome": "ok", "origin": "borg", "code": 0}
    assert isinstance(event(json.dumps({**frame, "audit": value}).encode()), Unframed)
    assert event(json.dumps({**frame, "audit": audit(1, A, True)}).encode()).audit == AuditProof(Head(1, A), True, True)
    assert isinstance(event(json.dumps(frame).encode()), Exit)


# ---- the file


TEXTS = st.text(max_size=30)
TIMES = st.floats(0, 1e11)
PASTS = st.builds(Past, TIMES, TEXTS, st.none() | TEXTS)
COUNTS = st.integers(0, 2**63 - 1) | st.just(2**63 - 1)  # what a client may say
PRUNED = st.tuples(*[st.integers(0, 10**6)] * 2)
ALERTS = st.builds(Alert, TEXTS, TEXTS, TIMES, st.integers(1, 1000), TIMES)
STATES = st.builds(
    State,
    st.none() | st.just(Head(7, A)),
    st.none() | PASTS,
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
        st.builds(
            JobRecord,
            *(PASTS, st.none() | PASTS, st.none() | TEXTS),
            *(st.none() | st.dictionaries(TEXTS, COUNTS, max_size=2), st.none() | PRUNED, st.none() | st.booleans()),
            st.none() | COUNTS,
        ),
        max_size=3,
    ),
    st.dictionaries(TEXTS, ALERTS, max_size=3),
    st.lists(st.builds(Acceptance, TIMES, TEXTS, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)), max_size=2),
    st.none() | st.just(B),
    st.booleans(),
    st.none() | st.just(A),
)


@given(state=STATES)
def test_what_is_saved_is_loaded(tmp_path_factory, state) -> None:
    top = tmp_path_factory.mktemp("s")
    folders = Folders(f"{top}/config", f"{top}/state")
    state_file.save(folders, NAME, state)
    assert state_file.load(folders, NAME) == state
    assert os.listdir(f"{top}/state/web1") == ["state.json"]


@pytest.mark.parametrize("command", ["\U0001f600" * 64, "a b", "x" * 65, "\x1b"])
def test_a_command_that_is_no_word_is_not_kept(command) -> None:
    transcript = Transcript(("default", "/-"))
    transcript.start = Start("0" * 16, command, "default", "/-")
    state = State()
    note_run(state, Ended("default", Verdict("ok", "borg", 0), transcript, None, 1.0))
    assert state.jobs["default"].command is None and state.jobs["default"].good is not None


@pytest.mark.parametrize("files", [10**12, 10**15, 2**63 - 1])
def test_no_number_of_files_makes_the_state_unreadable_and_so_clears_the_alerts(world, files) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    state = kept(world)
    state.alert("rpc-refused", "something", 1.0)
    state_file.save(world.folders, NAME, state)
    stats = {"nfiles": files, "original_size": 1, "compressed_size": 1, "deduplicated_size": 1}
    answer = goes_on(Head(7, A), B)
    result = json.dumps({"archive": {"name": "monday", "stats": stats}})
    told(world, ["out", result], ["exit", "ok", 0, answer])
    assert list(kept(world).alerts) == ["rpc-refused"] and kept(world).head == head(answer)
    assert kept(world).jobs["default"].files == files


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff", b"[]", b'{"version": 2}'),
        *(pytest.param(b"[" * 100_000, id="deep"), pytest.param(b"9" * 5000, id="number")),
        pytest.param(
            b'{"head":null,"last":null,"jobs":{},"alerts":{},"accepted":[],"version":1}' + b" " * 2**20, id="long"
        ),
    ],
)
def test_a_state_that_cannot_be_read_is_put_aside_and_told_and_the_backup_is_made(world, borgpull, content) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    path = Path(world.folders.memory(NAME))
    path.write_bytes(content)
    assert borgpull("status")[0] == 2
    (report,) = told(world, ["exit", "ok", 0, audit(8, B)])
    assert (report.verdict.outcome, reasons([report])) == ("ok", ["state-lost"])
    assert Path(f"{path}.broken").read_bytes() == content
    assert kept(world).head == Head(8, B) and "state-lost" in kept(world).alerts
    assert reasons(told(world, ["exit", "ok", 0, goes_on(Head(8, B), C)])) == []


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(os.mkfifo, id="FIFO"),
        pytest.param(lambda path: os.symlink("/dev/zero", path), id="device"),
        pytest.param(lambda path: os.symlink("state.json.moved", path), id="link"),
        pytest.param(lambda path: os.symlink("nowhere", path), id="dangling"),
    ],
)
def test_what_is_no_file_in_the_place_of_a_state_holds_nobody_up(world, borgpull, place) -> None:
    told(world, ["exit", "ok", 0, audit(7, A)])
    path = Path(world.folders.memory(NAME))
    path.rename(f"{path}.moved")
    place(path)
    assert borgpull("status")[0] == 2
    (report,) = told(world, ["exit", "ok", 0, audit(8, B)])
    assert (report.verdict.outcome, reasons([report])) == ("ok", ["state-lost"])
    assert path.is_file() and not path.is_symlink() and os.path.lexists(f"{path}.broken")


def unwritten(path: str, *_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", path)


def test_a_state_that_cannot_be_written_is_told_with_the_run(world, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "state").mkdir()
    told(world, ["exit", "ok", 0, audit(7, A)])
    monkeypatch.setattr(atomic, "replace", unwritten)
    (report,) = told(world, ["exit", "ok", 0, goes_on(FIRST, B)])
    assert (report.verdict.outcome, reasons([report])) == ("ok", ["state-unwritable"])
    assert any("state.json" in message.text for message in report.transcript.messages)
    assert kept(world).head == Head(7, A)


REFUSED = Refused("destroy", "create", "never", "")


def guarded(world, **more: object) -> list[str]:
    """Remember a run of which the guard says this; return the alerts of that run."""
    verdict = Verdict("failed", "guard", None, "rpc-refused") if "refused" in more else Verdict("ok", "borg", 0)
    ended = record_run.Ended("default", verdict, Transcript(), None, 1.0, **more)
    return [alert.reason for alert in record_run.remember(world.folders, NAME, ended)]


def test_no_disk_without_room_hides_what_is_alarming(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "replace", unwritten)
    assert guarded(world, refused=REFUSED) == ["rpc-refused", "state-unwritable"]


def test_objects_of_earlier_runs_that_were_put_again_are_an_alert_that_stays(world) -> None:
    assert guarded(world, passed=Passed(puts=9, overwrites=3)) == ["objects-overwritten"]
    assert "job default: 3 objects" in kept(world).alerts["objects-overwritten"].text
    assert guarded(world, passed=Passed(puts=9)) == []
    assert "objects-overwritten" in kept(world).alerts


@pytest.mark.parametrize("before", ['{"version": 1, "head": null', None])
def test_on_a_full_disk_the_state_stays_as_it_was_and_no_draft_beside_it(world, before) -> None:
    path = Path(world.folders.memory(NAME))
    state_file.save(world.folders, NAME, State(head=Head(7, A)))
    if before is not None:
        path.write_text(before)
    content, state = path.read_text(), kept(world)
    with full_disk(), pytest.raises(OSError, match="too large"):
        state_file.save(world.folders, NAME, state)
    assert path.read_text() == content
    assert os.listdir(path.parent) == ["state.json"]
    state_file.save(world.folders, NAME, state)
    assert kept(world) == dataclasses.replace(state, lost=False)


@pytest.mark.slow
def test_a_client_cannot_make_the_state_grow_without_end(world) -> None:
    state = State(jobs={f"job-{number}": JobRecord(Past(float(number), "ok")) for number in range(MOST_JOBS)})
    state_file.save(world.folders, NAME, state)
    told(world, ["exit", "ok", 0, audit(7, A)])
    assert len(kept(world).jobs) == MOST_JOBS and "job-0" not in kept(world).jobs and "default" in kept(world).jobs
    for number in range(100):
        kept_state = kept(world)
        kept_state.alert("audit-broken", "x" * 300, float(number))
        state_file.save(world.folders, NAME, kept_state)
    assert len(kept(world).alerts) == 1


# ---- jobs that come and go


def good(time: float, command: str = "create") -> JobRecord:
    return JobRecord(Past(time, "ok"), Past(time, "ok"), command)


def failed(time: float) -> JobRecord:
    return JobRecord(Past(time, "failed"), None, "create")


def ended(folders, job, offers=None, *, outcome="ok", named=(), time=1000.0):
    """Remember one call: a hello that offers jobs, or a run; return the alerts."""
    transcript = Transcript()
    if offers is not None:
        jobs = tuple((JobName(name), "create") for name in offers)
        transcript.hello = Offer("r1", 1, jobs)
    call = record_run.Ended(job, Verdict(outcome, "borg", 0), transcript, None, time, named=named)
    return record_run.remember(folders, NAME, call)


@pytest.fixture
def folders(tmp_path):
    return Folders(f"{tmp_path}/config", f"{tmp_path}/state")


def saved(folders, jobs: dict[str, JobRecord]) -> None:
    state_file.save(folders, NAME, State(jobs=jobs))


def known(folders) -> list[str]:
    return list(state_file.load(folders, NAME).jobs)


def test_a_job_that_is_offered_no_more_and_never_went_well_leaves_by_itself(folders) -> None:
    saved(folders, {"default": good(1.0), "junk": failed(2.0), "init": good(3.0, "init")})
    assert ended(folders, None, ["default"]) == ()
    assert known(folders) == ["default"]


def test_a_job_that_went_well_leaves_with_an_alert_that_stands_and_comes_once(folders) -> None:
    saved(folders, {"default": good(1.0), "weekly": good(2.0), "monthly": good(3.0)})
    (alert,) = ended(folders, None, ["default"])
    assert alert.reason == "job-withdrawn" and "'weekly' (last good 1970-01-01T00:00:02" in alert.text
    assert ended(folders, None, ["default"]) == () and known(folders) == ["default"]
    (alert,) = ended(folders, None, ["other"])
    (standing,) = state_file.load(folders, NAME).alerts.values()
    assert standing.count == 2 and all(f"'{job}'" in standing.text for job in ("weekly", "monthly", "default"))


def test_a_job_that_the_target_file_describes_stays_though_it_is_not_run_by_itself(world, borgpull) -> None:
    world.local([["hello", "default"]], jobs="{prune: {deletes: 5, run: no}}", borg=world.quiet_serve())
    saved(world.folders, {"prune": good(1.0, "prune"), "weekly": failed(2.0)})
    borgpull("run", "web1")
    assert "prune" in known(world.folders) and "weekly" not in known(world.folders)


def test_a_client_whose_every_job_is_gone_is_not_ok(world, borgpull) -> None:
    world.local([["hello"]], jobs=None, borg=world.quiet_serve())
    saved(world.folders, {"default": good(1.0)})
    assert borgpull("run", "web1")[0] == 2
    status, out, _ = borgpull("status")
    assert status == 2 and "web1: new" in out and "ALERT: job-withdrawn" in out
    borgpull("accept", "web1", "--reason", "they were renamed")
    assert borgpull("status")[0] == 1


@pytest.mark.parametrize(
    ("job", "offers", "outcome"), [("default", ["x"], "ok"), (None, None, "ok"), (None, ["x"], "failed")]
)
def test_only_a_hello_that_went_well_says_what_is_offered_no_more(folders, job, offers, outcome) -> None:
    saved(folders, {"weekly": good(1.0)})
    ended(folders, job, offers, outcome=outcome)
    assert "weekly" in known(folders)


def test_a_job_of_the_targets_file_never_leaves(folders) -> None:
    saved(folders, {"weekly": good(1.0)} | {f"junk-{number}": good(2.0 + number) for number in range(MOST_JOBS - 1)})
    ended(folders, None, ["junk-1"], named=("weekly",))
    assert known(folders) == ["weekly", "junk-1"]


def test_junk_keeps_no_new_job_out_and_drives_no_good_one_out_unseen(folders) -> None:
    junk = {f"junk-{number}": failed(10.0 + number) for number in range(MOST_JOBS - 1)}
    saved(folders, {"weekly": good(1.0), **junk})
    assert ended(folders, "default") == () and "junk-0" not in known(folders)
    assert {"weekly", "default"} < set(known(folders)) and len(known(folders)) == MOST_JOBS
    saved(folders, {f"job-{number}": good(10.0 + number) for number in range(MOST_JOBS)})
    assert ended(folders, "new", outcome="failed") == () and "new" not in known(folders)
    (alert,) = ended(folders, "new")
    assert alert.reason == "job-withdrawn" and "'job-0'" in alert.text
    assert "new" in known(folders) and len(known(folders)) == MOST_JOBS
    saved(folders, {f"job-{number}": good(10.0 + number) for number in range(MOST_JOBS)})
    ended(folders, "named", outcome="failed", named=("job-0", "named"))
    assert {"job-0", "named"} < set(known(folders)) and "job-1" not in known(folders)


def test_an_alert_of_jobs_that_left_does_not_grow_without_end(folders) -> None:
    for turn in range(20):
        saved_state = state_file.load(folders, NAME)
        saved_state.jobs = {f"job-{turn}-{number}-{'x' * 40}": good(1.0) for number in range(MOST_JOBS)}
        state_file.save(folders, NAME, saved_state)
        ended(folders, None, ["default"])
    (standing,) = state_file.load(folders, NAME).alerts.values()
    assert standing.count == 20 and len(standing.text) < 4000 and "and 190 more" in standing.text


# ---- the repository's config

GOOD, FAILED = Verdict("ok", "borg", 0), Verdict("failed", "borg", 2)


def session(folders, config, *, renewed=False, keys=0, job=None, verdict=GOOD):
    transcript = Transcript()
    transcript.renewed = renewed
    ended = record_run.Ended(job, verdict, transcript, None, 1.0, config, passed=Passed(keys=keys))
    return [alert.text for alert in record_run.remember(folders, NAME, ended)]


def test_a_config_that_was_changed_is_an_alert_whatever_a_client_announces(folders) -> None:
    assert session(folders, A) == session(folders, A) == session(folders, None) == []
    (text,) = session(folders, B)
    assert "not in a window for that" in text
    assert session(folders, B, renewed=True) == []
    assert list(state_file.load(folders, NAME).alerts) == ["config-changed"]
    record_run.accept(folders, NAME, "looked", 2.0)
    assert session(folders, B) == [] and not state_file.load(folders, NAME).alerts
    assert len(session(folders, A, renewed=True)) == len(session(folders, B, job="default", keys=1)) == 1


@pytest.mark.parametrize("use", [{"renewed": True}, {"job": "default"}], ids=["announced", "a good run"])
def test_a_passphrase_that_is_changed_in_a_window_for_that_raises_no_alarm(folders, use) -> None:
    session(folders, A)
    assert session(folders, B, keys=1) == session(folders, C, keys=2) == [] and kept_in(folders).untried_key
    assert session(folders, C, job="default", verdict=Verdict("failed", "ssh", 255, "ssh-failed")) == []
    assert session(folders, C) == [] and kept_in(folders).untried_key  # nobody has tried it so far
    assert session(folders, C, **use) == [] and not kept_in(folders).untried_key
    assert session(folders, C, job="default", verdict=FAILED) == [] and not kept_in(folders).alerts
    assert len(session(folders, A)) == 1


def test_a_key_that_no_borg_gets_on_with_is_an_alert(folders) -> None:
    session(folders, A)
    session(folders, B, keys=1)
    (text,) = session(folders, B, job="default", verdict=FAILED)
    assert "has failed with it" in text
    assert session(folders, B, job="default", verdict=FAILED) == []


def kept_in(folders) -> State:
    return state_file.load(folders, NAME)


def test_a_key_that_was_changed_behind_its_first_megabyte_is_noticed(tmp_path) -> None:
    long = f"[repository]\nkey = {'A' * (2 << 20)}"
    found = set()
    for end in "xy":
        (tmp_path / "config").write_text(long + end)
        found.add(repo_config.digest(str(tmp_path)))
    assert len(found) == 2


def test_a_config_is_told_by_its_hash_and_no_link_is_followed(tmp_path) -> None:
    assert repo_config.digest(str(tmp_path)) is None
    (tmp_path / "config").write_text("[repository]\n")
    assert repo_config.digest(str(tmp_path)) == hashlib.sha256(b"[repository]\n").hexdigest()
    (tmp_path / "config").rename(tmp_path / "other")
    (tmp_path / "config").symlink_to("other")
    assert repo_config.digest(str(tmp_path)) is None


def test_damage_that_the_clients_borg_has_found_is_an_alert_with_its_first_lines(world) -> None:
    transcript = Transcript()
    for number in range(9):
        transcript.keep(Message("borg", "ERROR", f"Remote: error {number}"))
    ended = record_run.Ended("check", Verdict("failed", "gate", 65, "repository-damaged"), transcript, None, 1.0)
    (alert,) = record_run.remember(world.folders, NAME, ended)
    assert alert.reason == "repository-damaged"
    assert alert.text.startswith("job check: the client's borg finds the repository damaged; Remote: error 0; ")
    assert alert.text.endswith("error 2") and kept(world).jobs["check"].good is None


def saving(folders, files: int | None, reason: str | None = None) -> list[str]:
    """Remember a run whose archive has so many files; return its alerts."""
    transcript = Transcript()
    stats = {"nfiles": files, "original_size": 1, "deduplicated_size": 1}
    if files is not None:
        transcript.take(OutputLine("r1", "borg", "stdout", json.dumps({"archive": {"stats": stats}}), False))
    verdict = Verdict("failed", "launcher", 0, reason) if reason else Verdict("ok", "borg", 0)
    return [
        alert.text
        for alert in record_run.remember(folders, NAME, record_run.Ended("default", verdict, transcript, None, 1.0))
    ]


def test_a_run_that_saved_nothing_moves_no_last_good_one_until_a_person_says_that_it_is_empty(folders) -> None:
    assert saving(folders, 7) == []
    assert saving(folders, 0, "nothing-backed-up") == ["job default: no file was backed up; the last good run had 7"]
    job = state_file.load(folders, NAME).jobs["default"]
    assert (job.good.outcome, job.last.reason, job.files) == ("ok", "nothing-backed-up", 7)
    assert saving(folders, 7, "ssh-failed") == []
    record_run.accept(folders, NAME, "meant to be", 2.0)
    assert state_file.load(folders, NAME).jobs["default"].files == 7  # it failed for another reason since
    assert saving(folders, 0, "nothing-backed-up")
    record_run.accept(folders, NAME, "meant to be", 3.0)
    assert state_file.load(folders, NAME).jobs["default"].files is None
    assert saving(folders, 0) == [] and state_file.load(folders, NAME).jobs["default"].files == 0
