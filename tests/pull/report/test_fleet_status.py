"""One value of how a fleet stands, and all renderings of it: they agree about each target."""

import json
import re
import time
from pathlib import Path

import pytest
from fleets import RUN, STANDINGS, good, made, recorded, remember
from scraped import scraped

from borgctl.pull.report.fleet_status import survey
from borgctl.pull.report.status_table import drawn
from borgctl.pull.state.history import ACCEPTED, RAISED

LEVELS = {name: expected.level for name, expected in STANDINGS.items()}
JOBS = {name: expected for name, expected in STANDINGS.items() if expected.state not in ("invalid", "paused")}


@pytest.fixture
def fleet(world) -> None:
    made(world)


def test_json_and_metrics_say_the_same_of_each_target(world, borgpull, fleet) -> None:
    status, out, err = borgpull("status", "--json")
    told = {one["target"]: one for one in map(json.loads, out.splitlines())}
    assert (status, err, {name: one["status"] for name, one in told.items()}) == (2, "", LEVELS)
    found = scraped(borgpull("metrics")[1])
    assert {name: found("borgpull_target_status", target=name) for name in STANDINGS} == LEVELS
    for name, expected in STANDINGS.items():
        one = told[name]
        assert expected.state in [job["state"] for job in one["jobs"]]
        assert one["possible_attack"] is expected.suspect
        assert found("borgpull_target_suspect", target=name) == expected.suspect
        assert one["paused"] is (found("borgpull_target_paused", target=name) == 1) is (name == "web-paused")
        assert tuple(alert["reason"] for alert in one["alerts"]) == expected.alerts
    assert {(code, target) for target, one in STANDINGS.items() for code in one.alerts} == {
        (dict(labels)["code"], dict(labels)["target"]) for name, labels in found.samples if name == "borgpull_alert"
    }
    for metric in ("overdue", "failing"):
        expected_names = {name for name, expected in STANDINGS.items() if getattr(expected, metric)}
        assert found.where(f"borgpull_{metric}", "target") == expected_names
    assert found.where("borgpull_target_broken", "target") == {"web-broken"}
    assert found.where("borgpull_target_not_ready", "target") == {"web-not-ready"}


def test_lines_and_the_table_and_the_line_for_nagios_say_the_same_of_each_target(
    world, borgpull, fleet, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = borgpull("status")
    lines = out.splitlines()
    table = drawn(survey(world.folders, STANDINGS, time.time()))
    nagios = borgpull("status", "--nagios")[1]
    assert (status, err) == (2, "") and nagios.startswith("BORGPULL CRITICAL - ")
    for name, expected in STANDINGS.items():
        title = f"{name} default" if name in JOBS and expected.state != "not-ready" else name
        assert [line for line in lines if line.startswith(f"{title}: {expected.state},")], name
        assert re.search(rf"(?m)^{name} +(default +)?{expected.state} ", table), name
        assert (f"{title}: {expected.state}" in nagios) is (expected.level > 0), name
        for alert in expected.alerts:
            assert f"{name}: ALERT {alert}" in nagios and f"{name}: ALERT: {alert}: what" in out
    assert sum("POSSIBLE ATTACK" in line for line in lines) == 2  # the run, and the alert about it
    assert re.sub(r"\s+", " ", table).endswith(
        "10 targets: 2 all well, 3 with warnings, 5 critical, 1 paused, 1 POSSIBLY ATTACKED "
    )


# ---- sizes and trends


def trend(borgpull, name: str = "web1") -> dict | None:
    (one,) = [one for one in map(json.loads, borgpull("status", "--json")[1].splitlines()) if one["target"] == name]
    return one["jobs"][0]["trend"]


def test_the_last_good_run_is_shown_beside_the_median_of_those_before(world, borgpull, fleet) -> None:
    found = trend(borgpull, "web-good")
    assert found.pop("begun") and found == {
        "archive": "web-good-default-4",
        "duration": 30.0,
        "files": 4,
        "original": 4_000_000,
        "compressed": 2_000_000,
        "deduplicated": 400_000,
        "put_bytes": 500_000,
        "usual": {"original": 2_000_000, "duration": 10.0},
        "growth": 1.0,
    }
    assert "'web-good_default_size'=4000000B 'web-good_default_duration'=30.000s" in borgpull("status", "--nagios")[1]
    assert trend(borgpull, "web-failing") is None


def test_two_earlier_runs_say_nothing_of_what_is_usual_unless_a_person_has(world, borgpull) -> None:
    remember(world, "web1", good(1))
    recorded(world, "web1", 1000, 1000, 3000)
    assert trend(borgpull)["growth"] is None and trend(borgpull)["usual"] == {"original": None, "duration": None}
    recorded(world, "web1", 4000, shrunken=ACCEPTED)
    assert trend(borgpull)["growth"] is None, "it is itself what is usual now"
    recorded(world, "web1", 6000)
    assert trend(borgpull)["growth"] == 0.5


def test_an_alarming_run_is_shown_and_is_not_what_is_usual(world, borgpull) -> None:
    remember(world, "web1", good(1))
    recorded(world, "web1", *[1000] * 3)
    recorded(world, "web1", 10, shrunken=RAISED, outcome="warning", reason="backup-shrunken")
    assert trend(borgpull)["growth"] == -0.99
    recorded(world, "web1", 500)
    assert trend(borgpull)["growth"] == -0.5


def test_at_most_ten_runs_are_compared(world, borgpull) -> None:
    remember(world, "web1", good(1))
    recorded(world, "web1", *[9000] * 11, *[1000] * 10, 1500)
    assert trend(borgpull)["growth"] == 0.5


def test_sizes_of_another_run_than_the_last_good_one_are_not_shown(world, borgpull) -> None:
    """The history may have lost the last run; sizes of an earlier one would look like that one's."""
    remember(world, "web1", good(1))
    recorded(world, "web1", 1000, run="f" * 16)
    assert trend(borgpull) is None
    recorded(world, "web1", 2000)
    assert trend(borgpull)["original"] == 2000
    recorded(world, "web1", 3000, outcome="failed")
    recorded(world, "web1", 4000, reason="dry-run")
    assert trend(borgpull)["original"] == 2000


def test_a_client_that_tells_no_sizes_has_a_duration(world, borgpull) -> None:
    remember(world, "web1", good(1))
    nothing = dict.fromkeys(("files", "original", "compressed", "deduplicated", "archive"))
    recorded(world, "web1", *[0] * 4, **nothing)
    found = trend(borgpull)
    assert (found["original"], found["growth"], found["duration"], found["usual"]["duration"]) == (None, None, 30.0, 10)


def test_a_history_that_cannot_be_read_is_told_and_changes_no_verdict(world, borgpull, fleet) -> None:
    before = borgpull("status", "web-good", "web-overdue")
    Path(world.folders.history).write_text("garbage")
    status, out, err = borgpull("status", "web-good", "web-overdue")
    assert (status, out) == before[:2] and before[2] == ""
    assert err.startswith(f"warning: the history of runs cannot be used: {world.folders.history}: damaged (")
    assert trend(borgpull, "web-good") is None
    status, out, err = borgpull("metrics")
    found = scraped(out)
    assert (status, found("borgpull_history_usable")) == (0, 0.0) and "cannot be used" in err
    assert found("borgpull_target_status", target="web-good") == 0 and "borgpull_last_success_files" not in found.labels
    assert borgpull("status", "--nagios")[2] == ""


def test_without_a_run_there_is_no_history_and_nothing_wrong_with_it(world, borgpull) -> None:
    remember(world, "web1", good(1))
    assert borgpull("status")[2] == "" and scraped(borgpull("metrics")[1])("borgpull_history_usable") == 1
    assert not Path(world.folders.history).exists()


def test_the_id_that_joins_state_and_history_is_the_runs_own(world, borgpull) -> None:
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve(), expect="26h")
    assert borgpull("run", "web1")[0] == 0
    found = trend(borgpull)
    assert found["duration"] > 0 and found["files"] is None
    assert json.loads(borgpull("status", "--json")[1])["jobs"][0]["good"]["run"] != RUN
