"""Many clients in one call, with real sshd and borg: each has its own outcome, and all that tells of them agrees."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from typing import NamedTuple

import html_page
import machines
import pytest
from machines import run
from scraped import scraped

LYING = {"type": "borgctl", "event": "exit", "run": "0123456789abcdef", "outcome": "ok", "origin": "borg", "code": 0}


class Ending(NamedTuple):
    """How a client's run ends: its outcome and reason, and what the summary calls it."""

    outcome: str
    reason: str | None
    kind: str
    job: str = "default"


OK = Ending("ok", None, "ok")
# The one table: all that tells of the fleet is held against it.
EXPECTED = {
    "crashing": Ending(
        "failed", "ssh-failed", "unreachable"
    ),  # a killed gate says nothing: ssh ends as if not connected
    "good1": OK,
    "good2": OK,
    "hung": Ending("timeout", "timeout", "failed"),
    "lying": Ending("failed", "no-start", "failed"),
    "refusing": Ending("refused", "unknown-job", "refused", "nightly"),
    "slow": OK,
    "unreachable": Ending("failed", "ssh-failed", "unreachable"),
}
ENDED = {name: (one.outcome, one.reason) for name, one in EXPECTED.items()}
JOBS = {name: one.job for name, one in EXPECTED.items()}
WRONG = {name for name, one in EXPECTED.items() if one is not OK}


class Fleet:
    """One server, and a client behind each target; `members` are real ones, by their names."""

    def __init__(self, directory, sshd, borg):
        self.server = machines.Server(directory / "server")
        self.sshd, self.borg = sshd, borg
        self.members = {}
        self._lines = []

    def borgpull(self, *words, **options):
        return run(self.server.borgpull(*words), **options)

    def set(self, name, **keys):
        target = self.server.config / f"targets/{name}.yaml"
        lines = [line for line in target.read_text().splitlines() if line.partition(":")[0] not in keys]
        target.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in keys.items()), ""]))

    def add(self, name, *, port=None, command=None):
        """Add a target; with a `command` in the place of the gate, the client is hostile."""
        repository = self.server.repositories / name
        words = ("add", name, f"{self.sshd.user}@127.0.0.1", "--port", port or self.sshd.port)
        words += ("--repository", repository, "--quota", "1G")
        client = machines.Client(self.server.directory / name, repository, borg=self.borg.path)
        added = self.borgpull(*words, "--client-policy", client.policy_file)
        assert added.returncode == 0, added.stderr
        public = re.search(r"borgctl authorize '([^']+)'", added.stdout)[1]
        argv = [machines.program("borgctl"), "authorize", public, client.policy_file]
        printed = run([*argv, "--host-key", self.sshd.host_key_file])
        (line,) = [line for line in printed.stdout.splitlines() if line and not line.startswith("#")]
        self._lines.append(line if command is None else f"restrict,command={json.dumps(command)} {public}")
        self.sshd.replace_keys(*self._lines)
        self.set(name, borg=self.borg.path, jobs="[default]", expect="1h", host_key=self.sshd.host_key)
        self.members[name] = client
        return client

    def init(self, name):
        done = self.borgpull("run", name, "--job", "init")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def fleet(scratch, sshd, find_borg):
    """Eight clients, of which three can be trusted; and what listens for one that says nothing."""
    borg = find_borg("borg-1.4")
    fleet = Fleet(scratch, sshd, borg)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for name in ("good1", "good2"):
            fleet.add(name)
        slow = fleet.add("slow")
        jobs = {"default": {"paths": [slow.source], "before": [["/bin/sleep", "3"]]}}
        slow.policy(jobs=jobs | {"init": {"command": "init", "options": {"encryption": "repokey-blake2"}}})
        fleet.add("refusing")
        fleet.add("crashing", command="kill -9 $$")
        (scratch / "lying").write_text(f"#!/bin/sh\necho '{json.dumps(LYING)}' >&2\n")
        (scratch / "lying").chmod(0o755)
        fleet.add("lying", command=str(scratch / "lying"))
        fleet.add("hung", port=mute.getsockname()[1])
        fleet.add("unreachable", port=machines.free_port())
        for name in ("good1", "good2", "slow"):
            fleet.init(name)
        for name in ("crashing", "lying", "hung", "refusing", "unreachable"):
            (fleet.server.repositories / name).mkdir()
            run(["cp", "-rT", fleet.server.repositories / "good1", fleet.server.repositories / name])
        fleet.set("hung", timeout="4s")
        fleet.set("refusing", jobs="[nightly]")
        yield fleet


def objects(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


def by_target(objects):
    """Return {target: object}, of which each has one."""
    found = {one["target"]: one for one in objects}
    assert len(found) == len(objects)
    return found


def ended(reports):
    """Return {target: (outcome, reason)}."""
    return {name: (one["outcome"], one["reason"]) for name, one in by_target(reports).items()}


def rows_of(page, kind):
    """Return the rows of a page's tables of one kind, each as the texts of its cells by their labels."""
    rows = [row for row in page.all("tr") if any(one.attributes.get("class") == kind for one in row.above)]
    cells = [[one for one in row.inside if one.tag in ("td", "th")] for row in rows]
    return [
        {"": row[0].text.strip()} | {one.attributes["data-label"]: one.text.strip() for one in row[1:]}
        for row in cells
        if len(row) > 1 and "data-label" in row[1].attributes
    ]


def newest_runs(page):
    """Return {target: cells of its newest run}, of the sections about each target."""
    found = {}
    for section in (one for one in page.all("section") if one.attributes.get("class") == "target"):
        within = [one for one in page.elements if section in one.above or one is section]
        (title,) = [one.inside[0].text for one in within if one.tag == "h3"]
        cells = [
            one for one in within if one.tag == "td" and one.attributes["data-label"] in ("Job", "Outcome", "Reason")
        ]
        found[title] = tuple(one.text.strip() for one in cells[:3])
    return found


def all_agree(fleet, directory):
    """Hold all that tells how the fleet stands against the one table."""
    # status as JSON: what the others are held against where the table does not say it
    standings = by_target(objects(fleet.borgpull("status", "--json").stdout))
    rows = {name: next(row for row in one["jobs"] if row["job"] == JOBS[name]) for name, one in standings.items()}
    assert {name: (row["last"]["outcome"], row["last"]["reason"]) for name, row in rows.items()} == ENDED
    assert {name for name, one in standings.items() if one["status"]} == WRONG
    # for Nagios: what is wrong and nothing else, before its numbers
    nagios = fleet.borgpull("status", "--nagios")
    said = nagios.stdout.partition("|")[0]
    assert nagios.returncode == 2 and {name for name in EXPECTED if f"{name} {JOBS[name]}: " in said} == WRONG
    # history
    past = [one for one in objects(fleet.borgpull("history", "--json").stdout) if one["job"] != "init"]
    assert ended(past) == ENDED and {name: one["job"] for name, one in by_target(past).items()} == JOBS
    # metrics
    found = scraped(fleet.borgpull("metrics").stdout)
    assert found("borgpull_targets") == len(EXPECTED)
    for name, row in rows.items():
        labels, good = {"target": name, "backup_job": JOBS[name]}, name not in WRONG
        assert found("borgpull_target_status", target=name) == standings[name]["status"]
        assert found("borgpull_last_run_outcome", **labels) == (0 if good else 2)
        assert found("borgpull_failing", **labels) == (not good)
        assert found("borgpull_overdue", **labels) == (row["state"] in ("overdue", "never"))
        assert (found("borgpull_last_success_timestamp_seconds", **labels) is not None) == good
    # report: the table of all targets, and the newest run of each
    path = directory / "page.html"
    assert fleet.borgpull("report", "--html", path).returncode == 0
    page = html_page.read(path.read_bytes())
    table = {cells[""]: cells for cells in rows_of(page, "backups")}
    assert {name: cells["Job"] for name, cells in table.items()} == JOBS
    assert all(cells["State"].startswith(rows[name]["state"]) for name, cells in table.items())
    assert {name for name, cells in table.items() if cells["Last good"].endswith(" ago")} == set(EXPECTED) - WRONG
    newest = {
        name: (job, outcome, None if reason == "-" else reason)
        for name, (job, outcome, reason) in newest_runs(page).items()
    }
    assert newest == {name: (JOBS[name], *ENDED[name]) for name in EXPECTED}


def test_each_client_of_a_fleet_has_its_own_outcome_and_all_that_tells_of_it_agrees(fleet, scratch):
    done = fleet.borgpull("run", "--all", "--parallel", "8", "--json", "--log-format", "logfmt", timeout=120)
    assert ended(objects(done.stdout)) == ENDED, done.stderr
    assert done.returncode == 2
    # the log, and the summary at its end
    logged = re.findall(r'event="run ended" target=(\S+) .* outcome=(\S+) ', done.stderr)
    assert dict(logged) == {name: one.outcome for name, one in EXPECTED.items()}
    told = re.findall(r'event="(failed|refused|unreachable): (\S+) (\S+): ([a-z-]+)', done.stderr)
    assert set(told) == {(EXPECTED[name].kind, name, JOBS[name], EXPECTED[name].reason) for name in WRONG}
    counts = Counter(one.kind for one in EXPECTED.values())
    (counted,) = re.findall(r'event="all: (.*?), [0-9.]+ [kMG]?B original', done.stderr)
    assert counted == ", ".join(f"{counts[kind]} {kind}" for kind in ("failed", "refused", "unreachable", "ok"))
    all_agree(fleet, scratch)

    # the same again: of the good ones nothing is due, the others are tried
    again = fleet.borgpull("run", "--all", "--due", "--retries", "0", "--json", "--parallel", "8", timeout=120)
    assert ended(objects(again.stdout)) == {name: ENDED[name] for name in WRONG}

    # killed in the middle: the next call clears up, and runs all
    names = ("good1", "good2", "slow")
    argv = fleet.server.borgpull("run", *names, "--parallel", "3", "--json")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launcher:
        workdirs = fleet.server.state / "run"
        machines.wait_for(lambda: len(list(workdirs.iterdir())) == 3, what="three runs")
        time.sleep(1)  # in the middle of something
        os.kill(launcher.pid, signal.SIGKILL)
    done = fleet.borgpull("run", *names, "--parallel", "3", "--json", timeout=120)
    last = {json.loads(line)["target"]: json.loads(line)["outcome"] for line in done.stdout.splitlines()}
    assert last == dict.fromkeys(names, "ok"), done.stderr
    assert not list(workdirs.iterdir())
    assert '"broken-off"' in fleet.borgpull("history", "slow", "--json").stdout
