"""Who could not be told is in each form of the status: a warning, and no alert."""

from borgctl.pull.report.fleet_status import FleetStatus
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.nagios import nagios
from borgctl.pull.report.target_status import Standing
from borgctl.pull.report.untold import Untold
from borgctl.pull.state.state import State
from borgctl.pull.state.told import Failure

REFUSED = Untold("web1", "notify 1 (json://…)", Failure(0.0, 60.0, 2, "answered with status 403"))
KILLED = Untold("web1", "on_failure", Failure(0.0, 0.0, 0, ""))
GOOD = Row("web1", "default", "ok", age=60.0)


def test_it_makes_a_good_target_a_warning_and_is_told_everywhere() -> None:
    standing = Standing("web1", (GOOD,), State(), None, (REFUSED, KILLED))
    assert (Standing("web1", (GOOD,), State()).level, standing.level) == (0, 1)
    assert list(map(str, standing.lines))[1:] == [
        "web1: not told: notify 1 (json://…): answered with status 403 (2 times, first 1970-01-01T00:00:00+00:00)",
        "web1: not told: on_failure: the try broke off (first 1970-01-01T00:00:00+00:00)",
    ]
    assert [one["who"] for one in standing.plain["untold"]] == ["notify 1 (json://…)", "on_failure"]
    line = nagios(FleetStatus((standing,), 0.0))
    assert line.startswith("BORGPULL WARNING - web1: not told: notify 1 (json://…): answered with status 403; web1:")
