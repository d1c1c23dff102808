"""The line for monitoring: what is worst comes first, and no target pushes another one out."""

import pytest

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.nagios import nagios
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, State
from borgctl.text import LONGEST

ALERTS = {reason: Alert(reason, "what it was", 1.0) for reason in ("state-lost", "audit-broken")}


def said(*standings: Standing) -> str:
    return nagios(FleetStatus(standings, 0.0)).partition(" | ")[0]


def late(name: str, jobs: int = 1, text: str | None = None) -> Standing:
    rows = (Row(name, f"j{number:02d}{'x' * 50}", "overdue", text=text) for number in range(jobs))
    return Standing(name, tuple(rows), State())


def test_alerts_come_before_rows_and_possible_attacks_before_all_else() -> None:
    new = Standing("a1", (Row("a1", "default", "new"),), State())
    attacked = Standing("web1", (Row("web1", "default", "overdue"),), State(alerts=ALERTS))
    assert said(new, late("b1"), attacked).split("; ") == [
        "BORGPULL CRITICAL - web1: ALERT audit-broken (POSSIBLE ATTACK)",
        "web1: ALERT state-lost",
        "web1 default: overdue",
        f"b1 j00{'x' * 50}: overdue",
        "a1 default: new",
    ]


def test_of_one_target_only_a_few_entries_are_said() -> None:
    line = said(late("a1", 100), Standing("db1", (), State(alerts=ALERTS)))
    assert line.count("a1 j") == 3 and "; a1: and 97 more" in line
    assert line.startswith("BORGPULL CRITICAL - db1: ALERT audit-broken")


@pytest.mark.parametrize("text", ["t" * 400, "t" * 5000])
def test_no_words_of_one_target_push_another_one_out(text: str) -> None:
    line = said(*(late(f"a{number}", 100, text) for number in range(5)), late("z1"))
    assert len(line) <= LONGEST + 100 and "more characters" not in line
    assert all(f"; a{number} j00" in line for number in range(1, 5)) and "; z1 j00" in line


def test_each_of_very_many_targets_is_named_as_long_as_there_is_room() -> None:
    names = [f"web{number}" for number in range(200)]
    line = said(*(late(name, 3) for name in names))
    assert line.startswith("BORGPULL CRITICAL - 200 targets: web0, web1, ") and line.endswith(", web199")
