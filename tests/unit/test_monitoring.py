"""What stands in contrib for Prometheus and Grafana: each query names what is really emitted, and nothing else."""

import json
import re
import shutil
import subprocess

import promql
import pytest
import yaml
from stage import TOP

from borgctl.pull.commands.metrics import FILE
from borgctl.pull.report.metrics import METRICS
from borgctl.pull.report.suspicion import suspicious

RULES = TOP / "contrib/prometheus/borgpull.rules.yaml"
DASHBOARD = TOP / "contrib/grafana/borgpull.json"
CASES = TOP / "tests/corpora/prometheus/borgpull.rules.test.yaml"
LABELS = {metric.name: {*metric.labels} for metric in METRICS}
SERVER = "instance"  # a label that Prometheus itself gives


def rules() -> list[dict]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def dashboard() -> dict:
    return json.loads(DASHBOARD.read_text())


def queries() -> list[str]:
    """Return each query of the dashboard."""
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return found + [one["query"]["query"] for one in dashboard()["templating"]["list"] if one["type"] == "query"]


def faults(expression: str) -> list[str]:
    """Return what an expression names that nobody emits."""
    variable = re.fullmatch(r"label_values\((.*), (\w+)\)", expression)
    if variable:
        (metric,) = promql.read(variable[1]).metrics
        wrong = [] if variable[2] in LABELS.get(metric, set()) | {SERVER} else [variable[2]]
        return faults(variable[1]) + wrong
    named = promql.read(expression)
    wrong = sorted(named.metrics - LABELS.keys())
    wrong += [label for name, label, _ in named.matchers if label not in LABELS.get(name, set()) | {SERVER}]
    known = {label for name in named.metrics for label in LABELS.get(name, ())}
    return wrong + sorted(named.labels - known - {SERVER})


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_names_metrics_and_labels_that_are_emitted(rule) -> None:
    assert faults(rule["expr"]) == []
    metrics = promql.read(rule["expr"]).metrics
    labels = set().union(*(LABELS[name] for name in metrics)) | {SERVER}
    texts = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= (labels if "absent(" not in rule["expr"] else set())
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("query", queries())
def test_a_query_of_the_dashboard_names_metrics_and_labels_that_are_emitted(query) -> None:
    assert faults(query) == []


def test_a_query_that_names_anything_else_would_be_found() -> None:
    assert faults("borgpull_overdu == 1") == ["borgpull_overdu"]
    assert faults('borgpull_overdue{jub="x"} == 1') == ["jub"]
    assert faults("sum by (jub) (borgpull_overdue)") == ["jub"]
    assert faults("summ(borgpull_overdue)") == ["summ"]
    assert faults("label_values(borgpull_targets, target)") == ["target"]
    assert faults('label_values(borgpull_x{instance=~"$instance"}, target)') == ["borgpull_x", "target"]
    assert faults("time() - borgpull_overdue offset 5m and on (target) borgpull_target_status") == []
    for broken in ("sum(borgpull_overdue", "borgpull_overdue)", "borgpull_overdue{target}", "borgpull_overdue ; 1"):
        with pytest.raises((ValueError, IndexError)):
            faults(broken)


def test_each_way_in_which_something_is_wrong_has_a_rule() -> None:
    named = set().union(*(promql.read(rule["expr"]).metrics for rule in rules()))
    verdicts = {metric.name for metric in METRICS if metric.text.startswith("1 ") or "alert" in metric.name}
    assert verdicts - named == {"borgpull_target_paused"} and "borgpull_written_timestamp_seconds" in named


def test_the_codes_of_alerts_in_the_rules_are_alerts() -> None:
    alerts = re.findall(r"(?m)^\| `([a-z-]+)` \|", (TOP / "docs/targets.md").read_text())
    codes = {
        code
        for rule in rules()
        for _, label, text in promql.read(rule["expr"]).matchers
        if label == "code"
        for code in text.split("|")
    }
    assert codes == {"backup-shrunken", "nothing-backed-up"} <= set(alerts) and not any(map(suspicious, codes))


def test_the_dashboard_is_whole() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10 and board["uid"] == "borgpull"
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places) and all(
        panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels
    )
    sources = re.findall(r'"uid": "(\$\{\w+\})"', DASHBOARD.read_text())
    variables = {one["name"] for one in board["templating"]["list"]}
    assert (
        set(sources) == {"${datasource}"}
        and set(re.findall(r"\$(\w+)", " ".join(queries()))) | {"datasource"} == variables
    )
    legends = {target.get("legendFormat", "") for panel in panels for target in panel["targets"]}
    assert set(re.findall(r"\{\{(\w+)\}\}", " ".join(legends))) == {"target", "backup_job"}


def test_the_page_has_the_paths_that_the_units_have() -> None:
    page = (TOP / "docs/monitoring.md").read_text()
    unit = (TOP / "contrib/prometheus/borgpull-metrics.service").read_text()
    (start,) = re.findall(r"(?m)^ExecStart=(.*)$", unit)
    assert re.fullmatch(r"/opt/borgctl/bin/borgpull metrics --textfile (\S+)", start)
    assert start in page and start.rpartition(" ")[2] in unit.partition("ReadWritePaths=")[2] and FILE in page
    assert all(metric.name in page for metric in METRICS)
    assert all(rule["alert"] in page for rule in rules())


def test_promtool_takes_the_rules_and_each_alert_comes_when_it_should() -> None:
    """promtool(1) judges where it is installed; elsewhere the tests above do."""
    cases = yaml.safe_load(CASES.read_text())
    told = {case["alertname"] for test in cases["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert told == {rule["alert"] for rule in rules()}, "a rule without a case"
    if promtool := shutil.which("promtool"):
        for words in (("check", "rules", RULES), ("test", "rules", CASES)):
            done = subprocess.run([promtool, *map(str, words)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
