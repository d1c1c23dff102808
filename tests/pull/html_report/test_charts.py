"""Charts of a job's last runs say in words what they show."""

import math

from report_fleets import backup

from borgctl.pull.html_report.charts import charts, duration


def test_the_title_says_what_is_drawn_and_the_newest_value_stands_beside():
    runs = [backup("web1", day * 86400.0, number=day, duration=60.0 * day) for day in range(1, 41)]
    took, size, added = charts(runs)
    assert took[2:] == ("Duration of the last 30 runs: 40 min 0 s, from 11 min 0 s to 40 min 0 s", "40 min 0 s")
    assert size[2:] == ("Size of the last 30 runs: 1.4 GB, from 1.1 GB to 1.4 GB", "1.4 GB")
    assert added[2:] == ("Added by the last 30 runs: 15.0 MB, from 10.0 MB to 16.0 MB", "15.0 MB")
    assert [took.kind, size.kind, added.kind] == ["line", "line", "bars"]


def test_a_run_that_was_not_good_has_no_value_whatever_was_counted():
    runs = [
        backup("web1", 0.0, duration=60.0),
        backup("web1", 1.0, outcome="failed", duration=5.0, original=7, put_bytes=9),
    ]
    took, size, added = charts(runs)
    assert took.title == "Duration of the last 2 runs: 1 min 0 s; 1 of them without a value"
    assert size.title == "Size of the last 2 runs: 1.0 GB; 1 of them without a value"
    assert all(chart.shape.crosses.count("M") == 1 for chart in (took, size, added))


def test_where_nothing_is_known_that_is_said():
    for runs in ((), (backup("web1", 0.0, outcome="refused"),)):
        assert [(chart.title, chart.value) for chart in charts(runs)] == [
            (f"{name}: no good run is known", "-") for name in ("Duration", "Size", "Added")
        ]
    assert charts((backup("web1", 0.0),))[0].title == "Duration of the only run: 1 min 0 s"


def test_a_duration_that_no_run_has_is_unknown():
    for value in (math.inf, -math.inf, -1.0, 1e300, None):
        run = backup("web1", 0.0, duration=value)
        assert duration(run) is None and charts((run,))[0].value == "-"
