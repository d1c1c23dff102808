"""The metrics: what Prometheus' own parser reads of them, whatever is in a target, a state or a name."""

import re
import time
from pathlib import Path

import pytest
from fleets import RUN, made, recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from scraped import scraped

from borgctl.pull.report.exposition import exposition
from borgctl.pull.report.fleet_status import FleetStatus, survey
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.metrics import METRICS
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, Past, State
from borgctl.text import printable_ascii


def text_of(*standings: Standing) -> str:
    return exposition(METRICS, FleetStatus(standings, 1000.0)).decode("ascii")


def test_every_metric_of_the_table_is_printed_with_its_labels_and_no_other(world, borgpull) -> None:
    made(world)
    status, out, err = borgpull("metrics")
    assert (status, err) == (0, "")
    assert scraped(out).labels == {metric.name: set(metric.labels) for metric in METRICS}
    assert not re.search(r"(?m)^(?!# (?:HELP|TYPE) borgpull_|borgpull_)", out.rstrip("\n"))


def test_the_metrics_of_a_job_are_what_is_known_of_it(world, borgpull) -> None:
    made(world)
    begun = time.time()
    found = scraped(borgpull("metrics")[1])

    def value(name: str, target: str = "web-good") -> float | None:
        return found(f"borgpull_{name}", target=target, backup_job="default")

    assert begun <= found("borgpull_written_timestamp_seconds") <= time.time()
    assert found("borgpull_targets") == 10
    two_hours_ago = pytest.approx(begun - 7200, abs=60)
    assert value("last_success_timestamp_seconds") == value("last_run_timestamp_seconds") == two_hours_ago
    assert value("expected_age_seconds") == 93600
    assert value("last_success_duration_seconds") == 30 and value("last_success_files") == 4
    sizes = [value(f"last_success_{name}_bytes") for name in ("original", "compressed", "deduplicated", "stored")]
    assert sizes == [4_000_000, 2_000_000, 400_000, 500_000]
    assert (value("usual_original_bytes"), value("usual_duration_seconds")) == (2_000_000, 10)
    outcomes = {name: value("last_run_outcome", f"web-{name}") for name in ("good", "alert", "failing", "never", "new")}
    assert outcomes == {"good": 0, "alert": 1, "failing": 2, "never": 2, "new": None}
    assert value("last_success_timestamp_seconds", "web-never") is None, "a 0 would be a run of 1970"
    assert value("overdue", "web-paused") == value("failing", "web-paused") == 0
    assert value("usual_original_bytes", "web-overdue") is None, "one run says nothing of what is usual"


def test_a_target_without_a_job_yet_is_judged_too(world, borgpull) -> None:
    world.local([], jobs=None)
    found = scraped(borgpull("metrics")[1])
    assert found("borgpull_overdue", target="web1", backup_job="") == 0
    assert found("borgpull_target_status", target="web1") == 1


def test_an_alert_counts_how_often_it_came_and_goes_with_its_acceptance() -> None:
    alerts = {"state-lost": Alert("state-lost", "x", 1.0, count=3, latest=2.0)}
    found = scraped(text_of(Standing("web1", (), State(alerts=alerts))))
    assert found("borgpull_alert", target="web1", code="state-lost") == 3
    assert "borgpull_alert" not in scraped(text_of(Standing("web1", (), State()))).labels


def test_what_keeps_all_targets_from_being_judged_is_a_metric_of_each(world, borgpull) -> None:
    """Else the file of yesterday would stay, with all that was well then."""
    made(world)
    Path(world.folders.defaults).write_text("quota: 1T\nquota: 2T\n")
    status, out, _ = borgpull("metrics")
    found = scraped(out)
    assert status == 0 and len(found.where("borgpull_target_broken", "target")) == found("borgpull_targets") == 10


def test_a_file_whose_name_is_none_of_a_targets_is_a_broken_target(world, borgpull) -> None:
    world.local([])
    for name in ("\udcff\n", 'a"b\\', "\u202e", "a\\x1b", "a\x1b"):
        Path(world.folders.targets, f"{name}.yaml").touch()
    found = scraped(borgpull("metrics")[1])
    names = {printable_ascii(name) for name in ("\udcff\n", 'a"b\\', "\u202e", "a\\x1b", "a\x1b")}
    assert found.where("borgpull_target_broken", "target") == names and len(names) == 5


WORDS = st.text(st.characters(), min_size=1, max_size=8)
TIMES = st.floats(0, 253402300799)
PASTS = st.none() | st.builds(Past, TIMES, st.sampled_from(["ok", "warning", "failed"]) | WORDS)
STATES = st.sampled_from(["ok", "seen", "warning", "failing", "new", "overdue", "never", "paused", "invalid"])


@settings(max_examples=40)
@given(st.dictionaries(WORDS, st.tuples(STATES, PASTS, PASTS, st.sets(WORDS, max_size=3)), max_size=4))
def test_whatever_a_fleet_is_called_and_went_through_can_be_read_back(fleet) -> None:
    standings = [
        Standing(
            name,
            (Row(name, "default", state, last=last, good=good),),
            State(alerts={code: Alert(code, code, 1.0) for code in codes}),
        )
        for name, (state, last, good, codes) in fleet.items()
    ]
    found = scraped(text_of(*standings))
    assert found("borgpull_targets") == len(fleet)
    for standing in standings:
        label = printable_ascii(standing.target)
        assert found("borgpull_target_status", target=label) == standing.level
        codes = map(printable_ascii, standing.state.alerts)
        assert all(found("borgpull_alert", target=label, code=code) == 1 for code in codes)


def test_a_state_that_a_hand_wrote_keeps_nobody_from_reading_of_the_others() -> None:
    """Two samples with the same labels, or a number that no float holds."""
    alerts = {key: Alert("x", "x", 1.0, count=10**400) for key in ("x", "y")}
    found = scraped(text_of(Standing("web1", (), State(alerts=alerts)), Standing("web2", (), State())))
    assert found("borgpull_alert", target="web1", code="x") == 2**53
    assert found("borgpull_target_status", target="web2") == 0


def test_a_large_number_keeps_its_size(world) -> None:
    made(world)
    recorded(world, "web-good", 1, original=(1 << 63) - 1, files=10**15, run=RUN)
    found = scraped(exposition(METRICS, survey(world.folders, ["web-good"], time.time())).decode())
    assert found("borgpull_last_success_original_bytes", target="web-good", backup_job="default") == 2.0**63
    assert found("borgpull_last_success_files", target="web-good", backup_job="default") == 10**15
