"""How targets stand: overdue, failing, alarming; for people, programs and monitoring."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report import suspicion
from borgctl.pull.report.hints import ADVICE
from borgctl.pull.report.past_runs import Ended, note_run
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.targets import load
from borgctl.reasons import REASONS

NAME = TargetName("web1")
HOUR = 3600.0


def remembered(world, name: TargetName = NAME, **jobs: tuple) -> None:
    """Save a state: each job as (hours since the last good run or None, outcome of the last run, command)."""
    now, state = time.time(), State()
    for job, (hours, outcome, command) in jobs.items():
        good = None if hours is None else Past(now - hours * HOUR, "ok")
        last = good if outcome == "ok" and good else Past(now, outcome, None if outcome == "warning" else "ssh-failed")
        state.jobs[job] = JobRecord(last, good, command)
        state.last = last
    state_file.save(world.folders, name, state)


def age(world, hours: float) -> None:
    """Make the target so many hours old."""
    then = time.time() - hours * HOUR
    os.utime(world.folders.target(NAME), (then, then))


@pytest.mark.parametrize(
    ("expect", "job", "status", "word"),
    [
        ("26h", (1, "ok", "create"), 0, "ok"),
        ("26h", (25, "ok", "create"), 0, "ok"),
        ("26h", (27, "ok", "create"), 2, "overdue"),
        ("26h", (27, "failed", "create"), 2, "overdue"),
        ("26h", (1, "failed", "create"), 1, "failing"),
        ("26h", (None, "failed", "create"), 2, "never"),
        ("26h", (-1, "ok", "create"), 2, "overdue"),  # the clock was set back since: how old it is nobody knows
        ("26h", (-0.01, "ok", "create"), 0, "ok"),
        (None, (25, "ok", "create"), 0, "ok"),
        (None, (960, "ok", "create"), 2, "overdue"),  # nobody has to say that a backup of last month is old
        (None, (None, "failed", "create"), 2, "never"),
    ],
)
def test_a_job_stands_as_its_runs_and_what_is_expected_say(world, borgpull, expect, job, status, word) -> None:
    world.local([], **({"expect": expect} if expect else {}))
    age(world, 27)
    remembered(world, default=job)
    code, out, _ = borgpull("status")
    assert (code, out.split(",")[0].strip()) == (status, f"web1 default: {word}")
    code, out, _ = borgpull("status", "--json")
    one = json.loads(out)
    assert (code, one["status"], one["jobs"][0]["state"]) == (status, status, word)


def test_a_last_run_with_warnings_is_a_warning(world, borgpull) -> None:
    world.local([], expect="26h")
    now = time.time()
    state_file.save(
        world.folders, NAME, State(jobs={"default": JobRecord(Past(now, "warning"), Past(now, "warning"), "create")})
    )
    code, out, _ = borgpull("status")
    assert code == 1 and out.startswith("web1 default: warning")


def test_a_target_that_was_never_run_is_told(world, borgpull) -> None:
    for jobs, title in (("[default]", "web1 default"), (None, "web1")):
        world.local([], expect="26h", jobs=jobs)
        line = rf"{title}: new, added [0-9]+ s ago, expected every 26 h 0 min\n"
        status, out, _ = borgpull("status")
        assert status == 1 and re.fullmatch(line, out)
        age(world, 960)
        assert borgpull("status")[:2] == (2, f"{title}: never, added 40 d ago, expected every 26 h 0 min\n")
        assert borgpull("status", "--nagios")[1].startswith(f"BORGPULL CRITICAL - {title}: never, added 40 d ago")


@pytest.mark.parametrize("kept", ["key", "state"])
def test_no_edit_of_its_file_makes_a_target_new_again(world, borgpull, kept) -> None:
    world.local([["refuse", "refused", 77, "policy-invalid"]], borg=world.quiet_serve())
    age(world, 960)
    assert borgpull("status")[0] == 2
    if kept == "key":
        public = Path(f"{world.folders.key(NAME)}.pub")
        public.parent.mkdir()
        public.touch()
        os.utime(public, (time.time() - 960 * HOUR,) * 2)
    else:
        state_file.save(world.folders, NAME, State(since=time.time() - 960 * HOUR))
        borgpull("run", "web1")
    age(world, 0)
    code, out, _ = borgpull("status")
    assert code == 2 and out.startswith("web1 default: never, added 40 d ago")


def test_a_target_that_does_not_say_what_is_expected_is_judged_by_a_default_that_is_told(world, borgpull) -> None:
    world.local([])
    remembered(world, default=(1, "ok", "create"))
    assert borgpull("status")[1] == "web1 default: ok, last good 1 h 0 min ago, expected every 26 h 0 min (default)\n"
    (one,) = json.loads(borgpull("status", "--json")[1])["jobs"]
    assert (one["expect"], one["expect_said"]) == (93600, False)
    remembered(world, default=(960, "ok", "create"))
    code, out, _ = borgpull("status", "--nagios")
    said = "web1 default: overdue, last good 40 d ago, expected every 26 h 0 min (default)"
    assert code == 2 and out.startswith(f"BORGPULL CRITICAL - {said}")
    world.local([], expect="60d")
    assert borgpull("status")[1] == "web1 default: ok, last good 40 d ago\n"


def test_a_target_that_add_makes_says_what_is_expected(world, borgpull) -> None:
    assert borgpull("add", "web1", "root@web1", "--repository", f"{world.root}/r/web1")[0] == 0
    target = load(world.folders, NAME)
    assert (target.expect, target.expect_said) == (26 * 3600, True)


def test_without_jobs_in_the_file_those_count_that_made_archives(world, borgpull) -> None:
    world.local([], jobs=None, expect="26h")
    remembered(world, default=(1, "ok", "create"), dumps=(30, "ok", "create"), prune=(900, "ok", "prune"))
    code, out, _ = borgpull("status")
    assert code == 2 and "web1 dumps: overdue" in out and "web1 prune: ok" in out


def test_another_job_counts_once_it_has_gone_well_and_init_never_does(world, borgpull) -> None:
    world.local([], expect="26h")
    remembered(world, default=(1, "ok", "create"), init=(5, "refused", "init"), typo=(None, "refused", None))
    assert borgpull("status")[0] == 0
    remembered(world, default=(1, "ok", "create"), prune=(5, "failed", "prune"))
    assert borgpull("status")[0] == 1


def test_an_init_that_went_well_is_listed_until_another_job_has_run(world, borgpull) -> None:
    world.local([], jobs=None)
    remembered(world, init=(5, "ok", "init"))
    assert "web1 init: seen" in borgpull("status")[1]
    remembered(world, init=(5, "ok", "init"), default=(1, "ok", "create"))
    assert "init" not in borgpull("status")[1]
    remembered(world, init=(5, "failed", "init"), default=(1, "ok", "create"))
    assert "web1 init: seen" in borgpull("status")[1]


def test_a_last_attempt_that_came_to_no_job_is_told(world, borgpull) -> None:
    world.local([], jobs=None)
    remembered(world, default=(1, "ok", "create"))
    state = state_file.load(world.folders, NAME)
    state.last = Past(time.time() - 7200, "failed", "ssh-failed")
    state_file.save(world.folders, NAME, state)
    code, out, _ = borgpull("status")
    assert code == 1 and out.startswith("web1 default: ok,")
    assert "web1: failing, tried 2 h 0 min ago, last run failed (ssh-failed)\n" in out
    code, out, _ = borgpull("status", "--nagios")
    assert code == 1 and out.startswith("BORGPULL WARNING - web1: failing")
    remembered(world, default=(1, "failed", "create"))
    assert "tried" not in borgpull("status")[1]


def test_a_target_file_that_is_wrong_is_critical_and_keeps_no_other_back(world, borgpull) -> None:
    world.local([], name="web2", expect="26h")
    remembered(world, TargetName("web2"), default=(1, "ok", "create"))
    (world.root / "config/targets/web1.yaml").write_text("bogus: 1\n")
    code, out, _ = borgpull("status")
    assert code == 2 and "web1: invalid" in out and "web2 default: ok" in out
    assert borgpull("status", "web2")[0] == 0


def test_without_a_target_there_is_nothing_good_to_say(world, borgpull) -> None:
    assert borgpull("status")[0] == 2
    assert borgpull("status", "--nagios")[0] == 2


def test_monitoring_gets_one_line_with_ages(world, borgpull) -> None:
    world.local([], expect="26h")
    remembered(world, default=(1, "ok", "create"))
    code, out, _ = borgpull("status", "--nagios")
    assert code == 0 and re.fullmatch(r"BORGPULL OK - 1 target \| 'web1_default'=360\ds;;93600\n", out)
    remembered(world, default=(30, "ok", "create"))
    state = state_file.load(world.folders, NAME)
    state.alert("audit-broken", "evil | 'x'=1\n\x1b[2J", time.time())
    state_file.save(world.folders, NAME, state)
    code, out, _ = borgpull("status", "--nagios")
    assert code == 2 and out.startswith("BORGPULL CRITICAL - web1: ALERT audit-broken (POSSIBLE ATTACK); web1")
    assert out.count("|") == 1 and out.count("\n") == 1 and "\x1b" not in out
    assert borgpull("status", "--nagios", "--json")[0] == 2


def test_no_control_character_of_a_state_reaches_a_terminal(world, borgpull) -> None:
    world.local([])
    state_file.save(
        world.folders,
        NAME,
        State(last=Past(1.0, "\x1b[2J"), jobs={"default": JobRecord(Past(1.0, "\x1b[2J", "\u202e"))}),
    )
    state = state_file.load(world.folders, NAME)
    state.alert("\x1b", "\x1b[2J\u2028", 1.0)
    state_file.save(world.folders, NAME, state)
    for more in ((), ("--json",), ("--nagios",)):
        out = borgpull("status", *more)[1]
        assert all(character.isprintable() or character == "\n" for character in out)


def test_a_mistyped_job_is_not_remembered(world, borgpull) -> None:
    world.local([["refuse", "refused", 77, "unknown-job"]], expect="26h", borg=world.quiet_serve())
    remembered(world, default=(1, "ok", "create"), defualt=(None, "failed", None))  # as an earlier version kept it
    for _ in range(2):
        assert borgpull("run", "web1", "--job", "defualt")[0] == 2
        assert list(state_file.load(world.folders, NAME).jobs) == ["default"]
        code, out, _ = borgpull("status")
        assert (code, out.splitlines()) == (0, ["web1 default: ok, last good 1 h 0 min ago"])


def test_a_job_that_is_tried_before_there_is_a_repository_leaves_no_mark(world, borgpull) -> None:
    world.local([["start", "prune"], ["backup"], ["exit", "failed", 2]], borg=world.quiet_serve())
    shutil.rmtree(world.root / "repo/web1")
    status, _, err = borgpull("run", "web1", "--job", "prune")
    assert status == 2 and "web1 prune: failed (guard: no-repository)" in err
    assert "once: borgpull run web1 --job init" in err
    assert state_file.load(world.folders, NAME).jobs == {}


def test_no_word_of_a_clients_keeps_a_failure_from_being_remembered(world, borgpull) -> None:
    world.local([["refuse", "refused", 77, "no-repository"]], borg=world.quiet_serve())
    assert borgpull("run", "web1", "--job", "prune")[0] == 2
    assert state_file.load(world.folders, NAME).jobs["prune"].last.reason == "no-repository"


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_job_of_the_target_that_the_client_does_not_know_is_remembered(world, borgpull, by_hand) -> None:
    world.local([["refuse", "refused", 77, "unknown-job"]], expect="26h", borg=world.quiet_serve())
    assert borgpull("run", "web1", *(["--job", "default"] if by_hand else []))[0] == 2
    assert state_file.load(world.folders, NAME).jobs["default"].last.reason == "unknown-job"
    code, out, _ = borgpull("status")
    assert code == 1 and out.startswith("web1 default: new") and "last run refused (unknown-job)" in out


def test_a_job_by_hand_that_went_well_once_and_is_offered_no_more_leaves_with_an_alert(world, borgpull) -> None:
    world.local([["refuse", "refused", 77, "unknown-job"]], expect="26h", borg=world.quiet_serve())
    remembered(world, default=(1, "ok", "create"), prune=(2, "ok", "prune"))
    assert borgpull("run", "web1", "--job", "prune")[0] == 2
    code, out, _ = borgpull("status")
    assert code == 2 and "web1 prune" not in out and "ALERT: job-withdrawn: the client no longer offers 'prune'" in out
    assert borgpull("accept", "web1", "--reason", "retired")[0] == 0
    assert borgpull("status")[:2] == (0, "web1 default: ok, last good 1 h 0 min ago\n")


def test_a_job_that_the_target_file_lists_no_more_leaves_by_itself(world, borgpull) -> None:
    steps, serve = [["start"], ["exit", "ok", 0]], world.quiet_serve()
    world.local(steps, expect="26h", borg=serve, jobs="[default, weekly]")
    assert borgpull("run", "web1")[0] == 0
    assert borgpull("run", "web1", "--job", "dumps")[0] == 0
    state = state_file.load(world.folders, NAME)
    state.jobs["weekly"].last = Past(time.time(), "refused", "unknown-job")
    state_file.save(world.folders, NAME, state)
    code, out, _ = borgpull("status")
    assert code == 1 and "web1 weekly: failing" in out
    world.local(steps, expect="26h", borg=serve, jobs="[default]")
    code, out, _ = borgpull("status")
    assert code == 0 and "weekly" not in out and "web1 dumps: ok" in out
    assert "weekly" in state_file.load(world.folders, NAME).jobs  # who looks changes nothing
    assert borgpull("run", "web1")[0] == 0
    state = state_file.load(world.folders, NAME)
    assert list(state.jobs) == ["default", "dumps"] and not state.alerts


@pytest.mark.parametrize("reason", ["repository-not-offered", "internal"])
def test_a_job_by_hand_that_fails_otherwise_is_remembered(world, borgpull, reason) -> None:
    world.local([["refuse", "refused", 77, reason]], borg=world.quiet_serve())
    remembered(world, default=(1, "ok", "create"))
    assert borgpull("run", "web1", "--job", "init")[0] == 2
    assert state_file.load(world.folders, NAME).jobs["init"].last.reason == reason


# ---- why the last run failed


FULL = {"type": "log_message", "levelname": "ERROR", "message": "no room", "msgid": "StorageQuotaExceeded"}


def failed(world, borgpull, *steps, times=1):
    """Let the last run end by these steps, after a good one of an hour ago; return what status says of it, as text."""
    remembered(world, default=(1, "ok", "create"))
    world.local([["run", "0123456789abcdef"], ["start"], *steps], expect="26h", borg=world.quiet_serve())
    for _ in range(times):
        assert borgpull("run", "web1")[0] == 2
    code, out, _ = borgpull("status")
    (one,) = json.loads(borgpull("status", "--json")[1])["jobs"]
    return code, out, one


def said(msgid, level="ERROR"):
    return ["err", json.dumps({**FULL, "levelname": level, "msgid": msgid})]


def test_a_full_quota_is_told_by_borgs_name_for_it_and_since_when(world, borgpull) -> None:
    code, out, one = failed(world, borgpull, said("StorageQuotaExceeded"), ["exit", "failed", 45], times=2)
    assert code == 1 and out.startswith(
        "web1 default: failing, last good 1 h 0 min ago, last run failed (StorageQuotaExceeded)"
    )
    assert re.search(r", failing for [0-9] s, run 0123456789abcdef$", out.strip()) and "ATTACK" not in out
    assert one["last"]["detail"] == "StorageQuotaExceeded" and one["possible_attack"] is False
    assert one["last"]["since"] <= one["last"]["time"] and one["last"]["run"] == "0123456789abcdef"


@pytest.mark.parametrize("msgid", ["Cache.RepositoryReplay", "TAMRequiredError", "KeyfileMismatchError"])
def test_what_may_be_an_attack_looks_different_from_a_full_disk(world, borgpull, msgid) -> None:
    code, out, one = failed(
        world, borgpull, said("StorageQuotaExceeded", "WARNING"), said(msgid), ["exit", "failed", 64]
    )
    assert code == 2 and f"last run failed ({msgid}), failing for " in out and out.strip().endswith("POSSIBLE ATTACK")
    assert one["possible_attack"] is True and json.loads(borgpull("status", "--json")[1])["possible_attack"] is True
    assert re.match(rf"BORGPULL CRITICAL - web1 default: .*{msgid}.*POSSIBLE ATTACK", borgpull("status", "--nagios")[1])


def test_a_reason_of_the_gates_that_may_be_an_attack_is_critical(world, borgpull) -> None:
    code, out, _ = failed(world, borgpull, ["refuse", "refused", 77, "repository-replaced"])
    assert code == 2 and "last run refused (repository-replaced)" in out and "POSSIBLE ATTACK" in out
    code, out, _ = failed(world, borgpull, ["refuse", "failed", 74, "no-space"])
    assert code == 1 and "last run failed (no-space)" in out and "ATTACK" not in out


def test_what_a_person_has_accepted_is_a_failed_run_and_no_attack_any_more(world, borgpull) -> None:
    failed(world, borgpull, ["refuse", "refused", 77, "repository-replaced"])
    state = state_file.load(world.folders, NAME)
    state.alert("repository-replaced", "x", time.time())
    state_file.save(world.folders, NAME, state)
    state.jobs["dumps"] = state.jobs["default"]
    state_file.save(world.folders, NAME, state)
    assert borgpull("forget", "web1", "--job", "dumps")[0] == 0
    assert "last run refused (repository-replaced), failing for" in borgpull("status")[1]
    assert borgpull("status")[1].splitlines()[0].endswith("POSSIBLE ATTACK")  # that was about something else
    assert borgpull("accept", "web1", "--reason", "was me")[0] == 0
    code, out, _ = borgpull("status")
    assert code == 1 and "last run refused (repository-replaced)" in out and "ATTACK" not in out


def test_a_clients_name_for_a_message_that_is_none_is_not_shown(world, borgpull) -> None:
    for name in ("a b", "x" * 65, "", "\u202eevil", "../x\n"):
        code, out, one = failed(world, borgpull, said(name), ["exit", "failed", 2])
        assert code == 1 and one["last"]["detail"] is None and "last run failed, failing for" in out


def test_another_host_key_is_no_host_that_is_away(world, borgpull) -> None:
    for text, detail, level in (
        ("Host key verification failed.", "host-key", 2),
        ("root@web1: Permission denied (publickey).", "key", 1),
        ("ssh: connect to host web1 port 22: No route to host", None, 1),
    ):
        state = State()
        transcript = Transcript()
        transcript.keep(Message("unframed", "WARNING", text))
        verdict = Verdict("failed", "ssh", 255, "ssh-failed")
        note_run(state, Ended("default", verdict, transcript, None, time.time()))
        state_file.save(world.folders, NAME, state)
        world.local([], expect="26h")
        code, out, _ = borgpull("status")
        why = f"ssh-failed: {detail}" if detail else "ssh-failed"
        assert code == level and f"last run failed ({why})" in out and ("POSSIBLE ATTACK" in out) is (level == 2)


def test_an_alert_that_may_be_an_attack_says_so(world, borgpull) -> None:
    world.local([], expect="26h")
    remembered(world, default=(1, "ok", "create"))
    for reason, attack in (("rpc-refused", True), ("config-changed", True), ("state-lost", False)):
        state = state_file.load(world.folders, NAME)
        state.alerts.clear()
        state.alert(reason, "what it was", time.time())
        state_file.save(world.folders, NAME, state)
        assert ("POSSIBLE ATTACK" in borgpull("status")[1]) is attack
        told = json.loads(borgpull("status", "--json")[1])
        assert (told["possible_attack"], told["alerts"][0]["possible_attack"]) == (attack, attack)
        code, out, _ = borgpull("status", "--nagios")
        assert code == 2 and f"ALERT {reason}{' (POSSIBLE ATTACK)' if attack else ''}" in out


def test_every_word_that_may_mean_an_attack_is_one_that_is_said() -> None:
    alerts = re.findall(r"(?m)^\| `([a-z-]+)` \|", Path("docs/targets.md").read_text())
    assert set(suspicion.OURS) <= {*alerts, *REASONS, *ADVICE}
    assert all(suspicion.suspicious(None, name) for name in (*suspicion.OURS, *suspicion.BORG, *suspicion.SSH))
    assert not any(map(suspicion.suspicious, ("StorageQuotaExceeded", "no-space", "timeout", "state-lost", None)))


def test_the_time_since_when_it_fails_goes_with_the_next_good_run() -> None:
    first = Past(1.0, "failed").after(None)
    second = Past(2.0, "refused").after(first)
    assert (first.since, second.since) == (1.0, 1.0)
    assert Past(3.0, "warning").after(second).since is None
    assert Past(4.0, "failed").after(Past(3.0, "ok")).since == 4.0
    assert Past(4.0, "failed").after(Past(3.0, "failed")).since == 3.0  # as an earlier version kept it


# ---- slips of the hand


@pytest.mark.parametrize("reason", ["window-too-long", "window-closed", "policy-invalid"])
def test_a_window_that_is_refused_is_no_failed_backup(world, borgpull, reason) -> None:
    world.local([["refuse", "refused", 77, reason]], expect="26h", borg=world.quiet_serve())
    remembered(world, default=(1, "ok", "create"))
    assert borgpull("window", "web1", "--for", "5h")[0] == 2
    assert borgpull("status")[:2] == (0, "web1 default: ok, last good 1 h 0 min ago\n")
    assert state_file.load(world.folders, NAME).last.outcome == "ok"


# ---- warnings that are expected


@pytest.mark.parametrize(("accepts", "status"), [("", 1), ("[vanished]", 1), ("[changed, vanished]", 0)])
def test_warnings_that_the_target_accepts_are_told_and_not_judged(world, borgpull, accepts, status) -> None:
    counts = {"outcome": "warning", "origin": "borg", "code": 1, "warnings": {"vanished": 703, "changed": 1}}
    more = {"accept_warnings": accepts} if accepts else {}
    steps = [["start"], ["backup"], ["say", "exit", counts], ["status", 1]]
    world.local(steps, expect="26h", borg=world.quiet_serve(), **more)
    code, out, err = borgpull("run", "web1", "--json")
    told = json.loads(out)
    assert (code, told["outcome"]) == (status, "warning" if status else "ok"), err
    assert told["warnings"] == counts["warnings"] and told["reason"] == (None if status else "accepted-warnings")
    assert borgpull("status")[0] == status
    _, _, err = borgpull("run", "web1")
    assert "703 vanished, 1 changed" in err


def test_each_job_is_judged_by_its_own_rhythm(world, borgpull) -> None:
    world.local([], jobs="{default: {every: 24h}, prune: {every: 7d, deletes: 5}, check: {kind: read, expect: 30d}}")
    rows = {"default": (27, "ok", "create"), "prune": (150, "ok", "prune"), "check": (710, "ok", "check")}
    remembered(world, **rows)
    status, out, _ = borgpull("status")
    assert status == 2 and [line.split(",")[0] for line in out.splitlines()] == [
        "web1 default: overdue",
        "web1 prune: ok",
        "web1 check: ok",
    ]
    assert "(default)" not in out
    (one,) = map(json.loads, borgpull("status", "--json")[1].splitlines())
    assert [(job["expect"], job["expect_said"]) for job in one["jobs"]] == [
        (93600, True),
        (7 * 86400 + 7200, True),
        (30 * 86400, True),
    ]


def test_a_job_that_another_timer_runs_is_judged_by_its_own_rhythm_alone(world, borgpull) -> None:
    world.local([], jobs="{default: {}, prune: {deletes: 5, run: no, every: 7d}, check: {kind: read, run: no}}")
    remembered(world, default=(1, "ok", "create"), prune=(200, "ok", "prune"), check=(9000, "ok", "check"))
    status, out, _ = borgpull("status")
    assert status == 2 and [line.split(",")[0] for line in out.splitlines()] == [
        "web1 default: ok",
        "web1 prune: overdue",
        "web1 check: ok",
    ]


PAUSE = "{until: 2999-01-01, reason: moves}"


def test_a_paused_target_is_shown_and_not_judged(world, borgpull) -> None:
    world.local([], jobs="[default, etc]", paused=PAUSE, expect="26h")
    remembered(world, default=(900, "ok", "create"), etc=(None, "failed", "create"))
    status, out, _ = borgpull("status")
    assert status == 0 and out.splitlines()[0] == "web1: paused, until 2999-01-01 00:00: moves"
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == ["web1 default: seen", "web1 etc: seen"]
    assert borgpull("status", "--nagios")[1].startswith("BORGPULL OK - 1 target, 1 paused |")
    world.local([], jobs="[default, etc]", paused="{until: 2026-01-01, reason: moved}", expect="26h")
    status, out, _ = borgpull("status")
    assert status == 2 and "web1 default: overdue" in out and "paused" not in out


def test_a_pause_hides_no_alert_and_no_attack(world, borgpull) -> None:
    world.local([], paused=PAUSE)
    remembered(world, default=(900, "ok", "create"))
    state = state_file.load(world.folders, NAME)
    state.alert("audit-broken", "x", 1.0)
    state_file.save(world.folders, NAME, state)
    assert borgpull("status")[0] == 2
    bad = Past(time.time(), "failed", "rpc-refused")
    state_file.save(world.folders, NAME, State(last=bad, jobs={"default": JobRecord(bad, None, "create")}))
    status, out, _ = borgpull("status")
    assert status == 2 and "POSSIBLE ATTACK" in out


def test_broken_defaults_are_told_once_and_to_monitoring_on_stdout(world, borgpull) -> None:
    for name in ("web1", "web2"):
        world.local([], name=name)
    Path(world.folders.defaults).write_text("quota: 1T\nhost: web1\n")
    place = f"{world.folders.defaults}:2:1: unknown key 'host'"
    status, out, err = borgpull("status")
    assert (status, out) == (2, "") and err.count(place) == 1
    status, out, err = borgpull("status", "--nagios")
    assert (status, err) == (2, "") and out.startswith(f"BORGPULL CRITICAL - {place}") and out.count("\n") == 1
