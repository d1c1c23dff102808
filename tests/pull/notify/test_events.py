"""What there is to tell: each thing once, and again only once it was well."""

from borgctl.data_class import replace
from borgctl.pull.notify.events import judge, unrecorded
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, Past, State
from borgctl.pull.state.told import MOST_TRIES, Entry
from borgctl.pull.targets.telling import KINDS, USUAL

NOW = 1_000_000.0
LATER = 2 * NOW  # a good run after all that the tests tell
GOOD = Row("web1", "default", "ok", age=60.0, last=Past(LATER, "ok"), good=Past(LATER, "ok"))
FAILING = Row("web1", "default", "failing", age=60.0, last=Past(NOW, "failed", "ssh-failed"), good=Past(0.0, "ok"))
OVERDUE = replace(FAILING, state="overdue")
LATE = replace(GOOD, state="overdue", last=Past(0.0, "ok"), good=Past(0.0, "ok"))
UNREACHED = Row("web1", None, "failing", last=Past(NOW, "failed", "ssh-failed", "host-key"))


def standing(*rows: Row, alerts: tuple[Alert, ...] = ()) -> Standing:
    return Standing("web1", rows, State(alerts={alert.reason: alert for alert in alerts}))


class Service:
    """A service that is told, call after call, an hour apart."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.entries, self.now = kinds or USUAL, {}, NOW

    def call(self, seen: Standing, *, sent: bool = True) -> list[str]:
        """Tell what is due; return the titles."""
        self.now += 3600.0
        self.entries, due = judge(seen, self.kinds, self.entries, self.now)
        for key in due:
            entry = self.entries[key]
            self.entries[key] = replace(entry, tries=entry.tries + 1, tried=self.now, done=sent)
            if sent and key.startswith("recovered:"):
                del self.entries[key]
        return [event.title for event in due.values()]


def test_a_job_that_fails_each_hour_is_told_once_and_so_is_that_it_is_well_again() -> None:
    service = Service()
    assert service.call(standing(GOOD)) == []
    assert service.call(standing(FAILING)) == ["web1 default: failed (ssh-failed)"]
    assert [service.call(standing(FAILING)) for _ in range(3)] == [[], [], []]
    assert service.call(standing(GOOD)) == ["web1 default: well again"]
    assert service.call(standing(GOOD)) == [] and service.entries == {}
    assert service.call(standing(FAILING)) == ["web1 default: failed (ssh-failed)"]


def test_a_job_that_fails_until_it_is_overdue_is_two_events_and_recovers_once() -> None:
    service = Service()
    service.call(standing(FAILING))
    assert service.call(standing(OVERDUE)) == ["web1 default: overdue"]
    assert service.call(standing(OVERDUE)) == []
    assert service.call(standing(GOOD)) == ["web1 default: well again"]


def test_only_the_kinds_that_a_service_is_told_are_due() -> None:
    for kind in KINDS:
        titles = Service(kind).call(standing(OVERDUE, alerts=(Alert("audit-broken", "x", NOW),)))
        assert len(titles) == {"failed": 1, "overdue": 1, "suspect": 1}.get(kind, 0), kind
    quiet = Service("failed")
    quiet.call(standing(FAILING))
    assert quiet.call(standing(GOOD)) == [] and quiet.entries == {}


def test_what_could_not_be_sent_is_due_again_and_not_for_ever() -> None:
    service = Service()
    titles = [service.call(standing(FAILING), sent=False) for _ in range(MOST_TRIES + 2)]
    assert titles == [["web1 default: failed (ssh-failed)"]] * MOST_TRIES + [[], []]
    assert service.call(standing(GOOD)) == [], "of a failure that nobody was told of nobody has to hear the end"
    service.call(standing(FAILING))
    titles = [service.call(standing(GOOD), sent=False) for _ in range(MOST_TRIES + 2)]
    assert titles == [["web1 default: well again"]] * MOST_TRIES + [[], []] and service.entries == {}


def test_a_job_that_fails_again_before_its_recovery_was_told_has_failed() -> None:
    service = Service()
    service.call(standing(FAILING))
    service.call(standing(GOOD), sent=False)
    assert service.call(standing(FAILING)) == ["web1 default: failed (ssh-failed)"]


def test_another_call_does_not_tell_what_this_one_is_telling() -> None:
    first, due = judge(standing(FAILING), USUAL, {}, NOW)
    (key,) = due
    claimed = {key: replace(first[key], tries=1, tried=NOW)}
    assert judge(standing(FAILING), USUAL, claimed, NOW + 10)[1] == {}
    assert list(judge(standing(FAILING), USUAL, claimed, NOW + 3600)[1]) == [key], "it was killed meanwhile"


def test_each_alert_is_told_once_until_it_is_accepted_and_raised_anew() -> None:
    service, alert = Service(), Alert("rpc-refused", "job default: destroy", NOW)
    assert service.call(standing(GOOD, alerts=(alert,))) == ["web1: POSSIBLE ATTACK (rpc-refused)"]
    again = Alert("rpc-refused", "job default: destroy", NOW, count=9, latest=NOW + 5)
    slow = Alert("backup-slow", "x", NOW)
    assert service.call(standing(GOOD, alerts=(again, slow))) == ["web1: ALERT (backup-slow)"]
    assert service.call(standing(GOOD)) == []
    assert service.call(standing(GOOD, alerts=(Alert("rpc-refused", "x", NOW + 99),))) != []


def test_a_failure_that_may_be_an_attack_is_told_as_that_too() -> None:
    service = Service()
    titles = service.call(standing(UNREACHED, GOOD))
    assert titles == ["web1: failed (host-key)", "web1: POSSIBLE ATTACK (host-key)"]
    assert service.call(standing(GOOD)) == ["web1: well again"]


def test_a_target_that_cannot_run_is_told_until_nothing_but_good_jobs_is_left() -> None:
    service = Service()
    broken = Row("web1", None, "invalid", text="3:1: unknown key")
    assert service.call(standing(broken)) == ["web1: cannot run (invalid)"]
    assert service.call(standing(Row("web1", "default", "new"))) == []
    assert service.call(standing(GOOD)) == ["web1: well again"]


def test_a_pause_tells_nothing_and_forgets_nothing() -> None:
    service = Service()
    service.call(standing(FAILING))
    paused = standing(Row("web1", None, "paused"), replace(FAILING, state="seen"))
    assert service.call(paused) == []
    assert service.call(standing(FAILING)) == []
    assert service.call(standing(GOOD)) == ["web1 default: well again"]


def test_a_job_that_is_gone_is_forgotten_without_a_word() -> None:
    service = Service()
    service.call(standing(FAILING, replace(GOOD, job="other")))
    assert service.call(standing(replace(GOOD, job="other"))) == [] and service.entries == {}


def test_a_job_that_nobody_expects_may_fail_by_hand() -> None:
    assert Service().call(standing(GOOD, replace(FAILING, job="list", state="seen"))) == []


def test_late_alone_is_not_failed() -> None:
    assert Service().call(standing(LATE)) == ["web1 default: overdue"]
    never = Row("web1", "default", "never", expect=60)
    assert Service().call(standing(never)) == ["web1 default: overdue"]


def test_a_failure_is_over_by_a_good_run_and_not_because_nothing_is_wrong_in_a_file_any_more() -> None:
    service, before = Service(), replace(GOOD, good=Past(NOW, "ok"))
    assert service.call(standing(Row("web1", None, "invalid"))) == ["web1: cannot run (invalid)"]
    assert service.call(standing(before)) == []
    assert service.call(standing(GOOD)) == ["web1: well again"]
    service.call(standing(LATE))
    assert service.call(standing(before)) == [], "'expect' was raised"
    assert service.call(standing(GOOD)) == ["web1 default: well again"]


def test_a_clock_that_is_set_back_does_not_hide_that_a_job_is_well_again() -> None:
    service = Service()
    service.now = 5 * NOW
    service.call(standing(FAILING))
    service.now = NOW
    assert service.call(standing(replace(GOOD, good=Past(NOW, "ok")))) == ["web1 default: well again"]


def test_what_is_in_no_state_is_told_by_the_report_of_the_run() -> None:
    seen = standing(replace(GOOD, good=Past(NOW, "ok")))
    full = unrecorded("web1", "internal", "text", [("state-unwritable", "No space left on device")])
    entries, due = judge(seen, USUAL, {}, NOW + 60, full)
    assert [event.title for event in due.values()] == ["web1: failed (internal)", "web1: ALERT (state-unwritable)"]
    told = {key: replace(entry, done=True) for key, entry in entries.items()}
    assert judge(seen, USUAL, told, NOW + 3600, full)[1] == {}
    assert judge(seen, USUAL, told, NOW + 7200)[1] == {}, "no run has shown that it is well again"
    assert [event.kind for event in judge(standing(GOOD), USUAL, told, NOW + 7200)[1].values()] == ["recovered"]
    assert unrecorded("web1", "ssh-failed", "text", []) == {}


def test_entries_of_another_release_do_no_harm() -> None:
    entries, due = judge(standing(GOOD), USUAL, {"": Entry(0.0), "x:y": Entry(0.0), "suspect": Entry(0.0)}, NOW)
    assert (entries, due) == ({}, {})
