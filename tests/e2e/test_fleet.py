"""Many clients in one call, with real sshd and borg: each has its own outcome, and all that tells of them agrees."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import machines
import pytest
from machines import run

LYING = {"type": "borgctl", "event": "exit", "run": "0123456789abcdef", "outcome": "ok", "origin": "borg", "code": 0}
EXPECTED = {
    "crashing": ("failed", "ssh-failed"),  # a killed gate says nothing, and ssh ends as without a connection
    "good1": ("ok", None),
    "good2": ("ok", None),
    "hung": ("timeout", "timeout"),
    "lying": ("failed", "no-start"),
    "refusing": ("refused", "unknown-job"),
    "slow": ("ok", None),
    "unreachable": ("failed", "ssh-failed"),
}


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
        assert self.borgpull("trust", name, self.sshd.host_key).returncode == 0
        self.set(name, borg=self.borg.path, jobs="[default]", expect="1h")
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
        for name in ("good1", "good2", "slow", "refusing"):
            fleet.init(name)
        for name in ("crashing", "lying", "hung", "unreachable"):
            (fleet.server.repositories / name).mkdir()
            run(["cp", "-rT", fleet.server.repositories / "good1", fleet.server.repositories / name])
        fleet.set("hung", timeout="4s")
        fleet.set("refusing", jobs="[nightly]")
        yield fleet


def outcomes(stdout):
    """Return {target: (outcome, reason)} of what --json printed; a target has one report."""
    reports = [json.loads(line) for line in stdout.splitlines()]
    assert len({report["target"] for report in reports}) == len(reports)
    return {report["target"]: (report["outcome"], report["reason"]) for report in reports}


def test_each_client_of_a_fleet_has_its_own_outcome_and_all_that_tells_of_it_agrees(fleet):
    done = fleet.borgpull("run", "--all", "--parallel", "8", "--json", "--log-format", "logfmt", timeout=120)
    assert outcomes(done.stdout) == EXPECTED, done.stderr
    assert done.returncode == 2
    # the log and its end
    ended = re.findall(r'event="run ended" target=(\S+) .* outcome=(\S+) ', done.stderr)
    assert dict(ended) == {name: outcome for name, (outcome, _) in EXPECTED.items()}
    assert 'event="all: 2 failed, 1 refused, 2 unreachable, 3 ok, ' in done.stderr
    # status, as lines, JSON and for Nagios
    listed = [json.loads(line) for line in fleet.borgpull("status", "--json").stdout.splitlines()]
    good = {standing["target"] for standing in listed if standing["status"] == 0}
    assert good == {name for name, (outcome, _) in EXPECTED.items() if outcome == "ok"}
    last = {standing["target"]: standing["jobs"][0]["last"] for standing in listed}
    assert {name: (one["outcome"], one["reason"]) for name, one in last.items()} == EXPECTED
    nagios = fleet.borgpull("status", "--nagios")
    wrong = set(EXPECTED) - good
    assert nagios.returncode == 2 and all(f"{name} " in nagios.stdout for name in wrong)
    # history
    rows = [json.loads(line) for line in fleet.borgpull("history", "--json").stdout.splitlines()]
    newest = {row["target"]: (row["outcome"], row["reason"]) for row in rows if row["job"] != "init"}
    assert newest == EXPECTED

    # the same again: of the good ones nothing is due, the others are tried
    again = fleet.borgpull("run", "--all", "--due", "--retries", "0", "--json", "--parallel", "8", timeout=120)
    assert outcomes(again.stdout) == {name: EXPECTED[name] for name in wrong}

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
