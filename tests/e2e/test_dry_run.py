"""A dry run with real borgs: it works, shows counts or names, and counts as no backup on either side."""

import json
import re

import machines
import pytest
from machines import run
from pair import with_a_repository


@pytest.fixture
def pair(kept, find_borg, way):
    return kept(with_a_repository, find_borg(way[0]), way[1])


def jobs(pair, **options):
    return {
        "default": {"paths": [pair.client.source], "exclude": ["*/hidden-*"], "options": {"dry-run": True, **options}}
    }


@pytest.mark.parametrize("disclose", ["counts", "names"])
def test_a_dry_run_is_allowed_shows_what_it_may_and_is_no_backup(pair, disclose):
    for name in ("hidden-one", "hidden-two", "seen"):
        (pair.client.source / name).touch()
    pair.client.policy(jobs=jobs(pair, list=True), disclose=disclose)
    result = pair.run("--json")
    told = json.loads(result.stdout.splitlines()[-1])
    assert (result.returncode, told["outcome"], told["reason"]) == (1, "warning", "dry-run"), (told, result.stderr)
    texts = [message["text"] for message in told["messages"] if message["source"] == "gate"]
    (text,) = [text for text in texts if text.startswith("dry run: nothing is saved")]
    saved = int(re.search(r"; (\d+) files and directories would be saved, 2 are left out", text)[1])
    found = [path for path in (pair.client.source, *pair.client.source.rglob("*")) if not path.is_socket()]
    assert saved == len(found) - 2
    assert "hidden-one" not in text + result.stderr
    listed = [f"x {pair.client.source}/hidden-{name}" for name in ("one", "two")] if disclose == "names" else []
    assert sorted(line for line in told["listed"] if "hidden" in line) == listed
    assert bool(told["listed"]) == (disclose == "names")
    ended = pair.client.records("exit")[-1]
    assert (ended["outcome"], ended["reason"], ended["repository_id"]) == ("ok", "dry-run", None)
    assert json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)["archives"] == []


def test_a_dry_run_is_the_last_good_run_of_nobody(pair):
    pair.client.policy(jobs=jobs(pair))
    assert pair.told()[0] == 1
    status = json.loads(pair.borgpull("status", "--json").stdout)
    assert status["jobs"][0]["good"] is None if "jobs" in status else status["good"] is None, status
    own = run([machines.program("borgctl"), "status", pair.client.policy_file])
    assert own.returncode == 2 and "default: never" in own.stdout


def test_a_path_that_is_missing_fails_a_dry_run_too(pair):
    pair.client.policy(jobs={"default": {"paths": ["/nonexistent/x"], "options": {"dry-run": True}}})
    code, told = pair.told()
    assert (code, told["outcome"], told["reason"]) == (2, "failed", "source-missing"), told
