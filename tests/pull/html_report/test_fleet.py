"""A fleet at a glance, and which runs are in which chart."""

from report_fleets import DAY, HOUR, backup, well

from borgctl.pull.html_report.fleet import survey
from borgctl.pull.html_report.past import LATEST
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import AtWork, Standing
from borgctl.pull.state.history import Run
from borgctl.pull.state.state import Alert, JobRecord, Past, State

NOW = 1.8e9
GOOD = Past(NOW - HOUR, "ok")


def target(name, *jobs, alerts=(), at_work=None):
    """Return a target's standing; each job as (name, state, borg's command)."""
    rows = tuple(Row(name, job, state, HOUR, 3600, last=GOOD, good=GOOD) for job, state, _ in jobs)
    known = {job: JobRecord(GOOD, GOOD, command) for job, _, command in jobs}
    return Standing(name, rows, State(jobs=known, alerts={one: Alert(one, "x", NOW) for one in alerts}), at_work)


def facts(fleet):
    return {fact.name: (fact.value, fact.note) for fact in fleet.facts}


def test_the_facts_count_targets_jobs_runs_and_sizes():
    standings = [
        target("a", ("etc", "ok", "create"), ("home", "overdue", "create"), ("prune", "ok", "prune")),
        target("b", ("default", "failing", "create"), at_work=AtWork("run", "default", 5.0)),
        target("c", ("default", "ok", "create"), alerts=["backup-slow", "audit-broken"]),
        Standing("d", (Row("d", None, "paused", text="until"), Row("d", "default", "seen")), State()),
    ]
    runs = [
        backup("a", NOW - 3 * DAY, job="etc", original=50),
        backup("a", NOW - 2 * HOUR, job="etc", original=100, put_bytes=7),
        backup("a", NOW - HOUR, job="etc", outcome="failed", original=900, put_bytes=4),
        backup("a", NOW - HOUR, job="home", outcome="warning", original=3000, put_bytes=11),
        backup("a", NOW - HOUR, job="prune", command="prune", original=None, put_bytes=None),
        backup("gone", NOW - HOUR, original=10**12),
        backup("b", NOW - 2 * DAY, original=20),
    ]
    assert facts(survey(standings, runs, NOW)) == {
        "Targets": ("4", "1 all well, 1 with warnings, 1 critical, 1 may be under attack; 1 paused"),
        "Jobs": ("6", "3 ok, 1 overdue, 1 failing, 1 seen"),
        "Alerts": ("2", "until a person accepts them"),
        "Running now": ("1", "as this page was made"),
        "Runs in the last day": ("4", "2 ok, 1 failed, 1 warning"),
        "Added in the last day": ("22 B", "to the repositories, by the server's count"),
        "Newest backups": ("3.1 kB", "3 jobs, by the clients' word"),
    }


def test_without_a_target_every_number_is_nought():
    fleet = survey([], [backup("gone", NOW)], NOW)
    assert {value for value, _ in facts(fleet).values()} == {"0", "0 B"}
    assert (fleet.concerns, fleet.backups, fleet.targets) == ((), (), ())


def test_each_job_that_makes_archives_has_a_row_of_its_own_and_a_target_without_one_has_one():
    standings = [
        target("a", ("etc", "ok", "create"), ("home", "never", None), ("prune", "ok", "prune")),
        target("b", ("check", "ok", "check"), ("prune", "overdue", "prune")),
        Standing("c", (Row("c", None, "invalid", text="x"),), State()),
        target("d"),
    ]
    fleet = survey(standings, [], NOW)
    assert [(one.target, one.job, *one.state) for one in fleet.backups] == [
        ("a", "etc", "ok", "ok"),
        ("a", "home", "critical", "never"),
        ("b", "-", "critical", "overdue"),
        ("c", "-", "critical", "invalid"),
        ("d", "-", "ok", "-"),
    ]
    assert [section.level for section in fleet.targets] == ["critical", "critical", "critical", "ok"]


def test_a_good_job_of_a_target_with_alerts_shows_them_beside_its_state():
    standings = [
        target("a", ("default", "ok", "create"), alerts=["backup-slow"]),
        target("b", ("default", "ok", "create"), alerts=["backup-slow", "audit-broken"]),
    ]
    one, two = survey(standings, [], NOW).backups
    assert (one.state, one.alerts) == (("ok", "ok"), ("critical", "1 alert"))
    assert (two.state, two.alerts) == (("ok", "ok"), ("attack", "2 alerts: possible attack"))


def test_a_chart_has_the_runs_of_its_job_alone_and_a_section_the_last_ones_of_all():
    standings = [target("a", ("etc", "ok", "create"), ("home", "ok", "create"))]
    runs = [backup("a", NOW - number, job=job, number=number) for number in range(40) for job in ("etc", "home")]
    runs += [
        Run("a", "borg", "etc", "list", None, NOW, NOW, 1.0, "ok"),
        Run("a", "hello", None, None, None, NOW, NOW, 1.0, "refused", "policy-invalid"),
    ]
    fleet = survey(standings, runs, NOW)
    assert [one.charts[0].title.partition(":")[0] for one in fleet.backups] == ["Duration of the last 30 runs"] * 2
    (section,) = fleet.targets
    assert len(section.runs) == LATEST
    assert [(run.job, *run.outcome, run.reason) for run in section.runs[:3]] == [
        ("hello", "critical", "refused", "policy-invalid"),
        ("etc", "ok", "ok", "-"),
        ("home", "ok", "ok", "-"),
    ]


def test_a_run_in_words():
    fleet = survey(*well(NOW), NOW)
    assert fleet.targets[0].runs[0] == (
        *("2027-01-15 07:00", "default", ("ok", "ok"), "-", "1040", "1.4 GB", "15.0 MB", "1 min 0 s"),
        "web1-default-40",
    )
    bare = survey([target("a")], [Run("a", "window", None, None, None, NOW, None, None, "failed", "broken-off")], NOW)
    assert bare.targets[0].runs[0] == ("2027-01-15 08:00", "window", ("critical", "failed"), "broken-off", *["-"] * 5)


def test_what_a_launcher_does_now_is_said():
    work = [AtWork("run", "default", 65.0), AtWork("hello", None, 1.0)]
    fleet = survey([target(f"t{number}", at_work=one) for number, one in enumerate(work)], [], NOW)
    assert [section.work for section in fleet.targets] == [
        "default running for 1 min 5 s",
        "asking the client for its jobs for 1 s",
    ]
