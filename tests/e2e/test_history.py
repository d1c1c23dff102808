"""The history of runs with real borgs: a source that was lost in part is no success that nobody notices."""

import json
import os

import pytest
from machines import run
from pair import with_a_repository

WAYS = [("borg-1.4", "stdio"), ("borg-debian", "socket")]


@pytest.fixture(params=WAYS, ids="-".join)
def pair(request, find_borg, kept):
    """A client and a server with a repository, and a directory that a job saves."""
    name, transport = request.param
    pair = kept(with_a_repository, find_borg(name), transport)
    data = pair.client.directory / "shrinking"
    data.mkdir()
    for number in range(20):
        (data / f"file-{number}").write_bytes(bytes([number]) * 100_000)
    pair.client.policy(disclose="counts", jobs={"default": {"paths": [data]}})
    pair.set("jobs", "[default]")
    yield pair, data
    assert run(["rm", "-r", data]).returncode == 0


def history(pair, *words):
    """Return the rows of `borgpull history --json`."""
    shown = pair.borgpull("history", "web1", "--json", *words)
    assert (shown.returncode, shown.stderr) == (0, ""), shown
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_after_three_good_runs_a_source_that_lost_its_files_is_a_warning_until_a_person_accepts_it(pair):
    pair, data = pair
    before = len(history(pair))
    for _ in range(3):
        pair.good()
    for number in range(1, 20):
        (data / f"file-{number}").unlink()
    result = pair.run()
    assert result.returncode == 1, result.stderr
    assert "web1 default: warning (launcher: backup-shrunken, status 0), 1 files" in result.stderr
    assert "ALERT: backup-shrunken: job default: 1 files, 100." in result.stderr
    assert "the last 3 good runs had 20 files, 2.0 MB (median)" in result.stderr
    assert "hint: the backup was made, and is empty, or less than half as large as usual" in result.stderr
    status = pair.borgpull("status", "web1")
    assert status.returncode == 2 and "ALERT: backup-shrunken" in status.stdout
    assert "alert-stands" in pair.borgpull("compact", "web1").stderr
    assert pair.borgpull("accept", "web1", "--reason", "moved to another machine").returncode == 0
    pair.good()
    assert pair.borgpull("status", "web1").returncode == 0

    rows = history(pair)[before:]
    assert [(row["outcome"], row["reason"], row["files"]) for row in rows] == [
        *[("ok", None, 20)] * 3,
        ("warning", "backup-shrunken", 1),
        ("ok", None, 1),
    ]
    assert [row["alerts"] for row in rows] == [[], [], [], [{"reason": "backup-shrunken", "accepted": True}], []]
    first, second = rows[:2]
    assert first["archive"] and first["archive"] != second["archive"] and first["run"] != second["run"]
    assert first["original"] >= 2_000_000 > first["compressed"] >= first["deduplicated"] > second["deduplicated"] >= 0
    assert first["deduplicated"] // 2 < first["put_bytes"] < first["received"] < first["put_bytes"] + 100_000
    assert all(1000 < row["sent"] < 100_000 for row in rows), "what serve answers, and ssh's own"
    table = pair.borgpull("history", "--since", "1d").stdout.splitlines()
    assert len(table) == 1 + before + len(rows) and "backup-shrunken, accepted, " in table[-2], table


def test_bytes_are_counted_each_way(find_borg, kept):
    pair = kept(with_a_repository, find_borg("borg-1.4"), "stdio")
    noise = pair.client.source / "noise"
    noise.write_bytes(os.urandom(3_000_000))
    pair.client.policy(
        jobs={
            "default": {"paths": [pair.client.source]},
            "check": {"command": "check", "options": {"verify-data": True}},
        }
    )
    pair.set("jobs", "{default: {}, check: {kind: read}}")
    code, _ = pair.told()
    noise.unlink()
    assert code == 0
    saved, checked = history(pair)[-2:]
    assert (saved["job"], checked["job"], checked["command"]) == ("default", "check", "check")
    assert saved["put_bytes"] > 3_000_000 > saved["sent"] and checked["put_bytes"] == 0
    assert 3_000_000 < checked["sent"] < 4_000_000 and checked["received"] < 100_000
