"""A fleet with a good, a failing and a suspect target, over a real sshd: whoever asks is told the same of each."""

import json
import re

import machines
from machines import run
from pair import with_a_repository
from scraped import scraped
from terminals import on_a_terminal

from borgctl.text import size


def beside(pair, name, **keys):
    """Make a target like web1, with web1's key, a repository like its own, and these keys of its file."""
    config, repository = pair.server.config, pair.server.repositories / name
    assert run(["cp", "--archive", pair.server.repository, repository]).returncode == 0
    keys |= {"repository": repository, "identity": config / "keys/web1"}
    lines = [line for line in (config / "targets/web1.yaml").read_text().splitlines() if line.split(":")[0] not in keys]
    text = "\n".join([*lines, *(f"{key}: {value}" for key, value in keys.items()), ""])
    (config / f"targets/{name}.yaml").write_text(text)


def test_a_good_a_failing_and_a_suspect_target_are_the_same_to_table_json_nagios_and_prometheus(
    find_borg, kept, scratch
):
    pair = kept(with_a_repository, find_borg("borg-1.4"), "stdio")
    pair.set("jobs", "[default]")
    beside(pair, "away", port=machines.free_port())
    beside(pair, "changed", host_key=" ".join(machines.keypair(scratch, "other").public.split()[:2]))
    pair.client.wait_for_a_new_name()
    assert pair.borgpull("run", "--all").returncode == 2

    answer = pair.borgpull("status", "--json")
    told = {one["target"]: one for one in map(json.loads, answer.stdout.splitlines())}
    levels = {"away": 1, "changed": 2, "web1": 0}
    assert (answer.returncode, {name: one["status"] for name, one in told.items()}) == (2, levels)
    assert {name: one["possible_attack"] for name, one in told.items()} == {
        "away": False,
        "changed": True,
        "web1": False,
    }
    jobs = {name: one["jobs"][0] for name, one in told.items()}
    assert {name: job["state"] for name, job in jobs.items()} == {"away": "new", "changed": "new", "web1": "ok"}
    assert jobs["changed"]["last"]["detail"] == "host-key" and jobs["away"]["last"]["reason"] == "ssh-failed"
    (recorded,) = [
        row
        for row in map(json.loads, pair.borgpull("history", "web1", "--json").stdout.splitlines())
        if row["job"] == "default"
    ]
    trend = jobs["web1"]["trend"]
    assert trend["files"] > 0 and trend["original"] > 0
    assert {name: recorded[name] for name in trend if name in recorded} == {
        name: value for name, value in trend.items() if name in recorded
    }

    written = scratch / "textfile"
    written.mkdir()
    assert pair.borgpull("metrics", "--textfile", written).returncode == 0
    found = scraped((written / "borgpull.prom").read_text())
    assert {name: found("borgpull_target_status", target=name) for name in levels} == levels
    assert found.where("borgpull_failing", "target") == {"away", "changed"}
    assert found.where("borgpull_target_suspect", "target") == {"changed"}
    assert found.where("borgpull_last_run_outcome", "target", 0) == {"web1"}
    metrics = {
        "files": "files",
        "original": "original_bytes",
        "put_bytes": "stored_bytes",
        "duration": "duration_seconds",
    }
    for name, metric in metrics.items():
        value = found(f"borgpull_last_success_{metric}", target="web1", backup_job="default")
        assert round(value, 3) == trend[name] if name == "duration" else value == trend[name], name
    assert found("borgpull_last_success_files", target="away", backup_job="default") is None

    nagios = pair.borgpull("status", "--nagios")
    assert nagios.returncode == 2 and nagios.stdout.startswith("BORGPULL CRITICAL - changed default: new, added ")
    assert "; away default: new, " in nagios.stdout and f"'web1_default_size'={trend['original']}B" in nagios.stdout
    assert nagios.stdout.count("POSSIBLE ATTACK") == 1 and "web1 default:" not in nagios.stdout

    table = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal("borgpull", *pair.server.borgpull("status")[1:], COLUMNS="120"))
    rows = {line.split()[0]: line for line in table.splitlines() if re.match(r"(?:away|changed|web1) +default ", line)}
    assert {name: row.split()[2] for name, row in rows.items()} == {"away": "new", "changed": "new", "web1": "ok"}
    assert f" {size(trend['original'])} " in rows["web1"] and f" {size(trend['put_bytes'])} " in rows["web1"]
    assert "3 targets: 1 all well, 1 with warnings, 1 critical, 1 POSSIBLY ATTACKED" in table
