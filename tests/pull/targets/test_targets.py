"""Target files: what is read, and every mistake at its place."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import CORPORA

from borgctl.errors import BadValue
from borgctl.openssh_key import HostKey
from borgctl.pull.targets import jobs as targets_jobs
from borgctl.pull.targets import targets, values
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.jobs import TargetJob
from borgctl.pull.targets.paths import Folders, TargetName, choose, host_id
from borgctl.strict_yaml import Problems
from borgctl.values import JobName

HERE = CORPORA / "targets"
FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize("path", sorted((HERE / "invalid").iterdir()), ids=lambda path: path.stem)
def test_each_mistake_of_an_invalid_file_is_named_at_its_place(path: Path) -> None:
    text = path.read_text()
    with pytest.raises(Problems) as raised:
        targets.read(text, TargetName("web1"), FOLDERS)
    expected = re.findall(r"^# expect: (.*)$", text, re.MULTILINE)
    assert sorted(map(str, raised.value.all)) == sorted(expected)


@pytest.mark.parametrize("path", sorted((HERE / "valid").iterdir()), ids=lambda path: path.stem)
def test_valid_files_are_read(path: Path) -> None:
    assert targets.read(path.read_text(), TargetName("web1"), FOLDERS).repository.text == "/srv/borg/web1"


def test_a_short_file_has_the_documented_defaults() -> None:
    target = targets.read((HERE / "valid/least.yaml").read_text(), TargetName("web1"), FOLDERS)
    assert (target.identity, target.timeout, target.transport) == ("/etc/borgpull/keys/web1", 12 * 3600, "stdio")
    assert (target.borg, target.jobs, target.port, target.host_key) == ("/usr/bin/borg", None, None, None)


def test_a_described_job_says_what_it_may_do_and_every_other_may_only_add() -> None:
    target = targets.read((HERE / "valid/described-jobs.yaml").read_text(), TargetName("web1"), FOLDERS)
    assert [str(job) for job in target.jobs] == ["default", "tidy", "check"]
    kinds = {str(job.name): (job.kind, job.deletes, job.run) for job in target.described}
    assert kinds == {
        "default": ("create", 0, True),
        "prune": ("prune", 5000, False),
        "tidy": ("prune", None, True),
        "check": ("read", 0, True),
    }
    assert target.job(JobName("other")) == TargetJob(JobName("other"), "create", 0)


def test_where_no_described_job_runs_the_client_is_asked_what_it_offers() -> None:
    text = (HERE / "valid/least.yaml").read_text()
    assert targets.read(f"{text}jobs: {{prune: {{deletes: 5, run: no}}}}\n", TargetName("web1"), FOLDERS).jobs is None


RHYTHMS = st.none() | st.integers(1, 366 * 86400)


@given(
    st.lists(
        st.builds(TargetJob, st.sampled_from([JobName(c) for c in "abcd"]), every=RHYTHMS).flatmap(
            lambda job: RHYTHMS.map(lambda more: replace(job, expect=more and max(more, job.every or 0)))
        ),
        unique_by=lambda job: job.name,
    )
)
def test_the_line_that_is_advised_can_be_pasted(jobs: list[TargetJob]) -> None:
    text = (HERE / "valid/least.yaml").read_text()
    more = TargetJob(JobName("prune"), "prune", 5000, run=False)
    line = targets_jobs.line((*jobs, TargetJob(JobName("check"), "read", run=False)), more)
    described = targets.read(f"{text}{line}\n", TargetName("web1"), FOLDERS).described
    assert described == (*jobs, TargetJob(JobName("check"), "read", run=False), more)


def test_the_line_that_is_advised_has_rhythms_as_a_person_writes_them() -> None:
    job = TargetJob(JobName("a"), every=7 * 86400, expect=26 * 3600 * 10)
    assert targets_jobs.line((job,), TargetJob(JobName("b"), every=86400)).endswith(
        "a: {every: 7d, expect: 260h}, b: {every: 24h}}"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("expect: 3d", None),
        ("jobs: {default: {every: 7d}}", 7 * 86400 + 7200),
        ("expect: 3d\njobs: {default: {every: 7d}}", 7 * 86400 + 7200),
        ("jobs: {default: {every: 7d, expect: 9d}}", 9 * 86400),
        ("jobs: {default: {expect: 9d}}", 9 * 86400),
        ("jobs: {other: {every: 7d}}", None),
    ],
)
def test_what_is_expected_of_a_job_is_its_own_word_or_what_its_rhythm_gives(words, expected) -> None:
    target = targets.read((HERE / "valid/least.yaml").read_text() + words, TargetName("web1"), FOLDERS)
    assert target.expected("default") == expected


def test_a_host_key_loses_its_comment() -> None:
    assert HostKey.read(f"{ED25519} root@web1").text == ED25519


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        f"{ED25519}\n{ED25519}",
        f"web1 {ED25519}",
        ED25519[:-8],
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "ssh-ed25519 ====",
        f"command=x {ED25519}",
        "x" * 5000,
    ],
)
def test_what_is_no_host_key_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        HostKey.read(text)


@given(st.text())
def test_reading_a_host_is_total_and_no_host_is_an_option(text: str) -> None:
    try:
        host = values.host(text)
    except BadValue:
        return
    assert not host.startswith("-")
    assert re.fullmatch(r"[A-Za-z0-9@._:-]+", host)


@pytest.mark.parametrize(
    "text", ["a@-b", "-a@b", "a b", "ssh://web1", "web1:22", "a@b@c", "[::1]", "fe80::1%eth0", "a;b"]
)
def test_hosts_that_ssh_could_take_for_something_else_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.host(text)


@given(st.text(max_size=200))
def test_reading_any_text_gives_a_target_or_problems(text: str) -> None:
    with pytest.raises(Problems):
        targets.read(text, TargetName("web1"), FOLDERS)


@pytest.mark.parametrize(
    "name", ["", "run", "host-id", "-a", "a/b", ".", "..", ".a", "a\n", "x" * 65, "a b", "web1.lock", "ä", "history.db"]
)
def test_names_that_are_no_file_names_of_ours_are_refused(name: str) -> None:
    with pytest.raises(BadValue):
        TargetName(name)


def test_folders_that_ssh_would_expand_are_refused() -> None:
    for path in ("/a b", "/a%u", "relative", "/a/../b", "/a:b", "/${HOME}"):
        with pytest.raises(PullError):
            Folders(path, "/state")


def test_an_ordinary_user_has_folders_of_the_xdg_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = type("Account", (), {"pw_name": "ann", "pw_dir": "/home/ann"})
    monkeypatch.setattr("pwd.getpwuid", lambda _: nobody)
    assert choose(None, None, {}) == Folders("/home/ann/.config/borgpull", "/home/ann/.local/state/borgpull")
    assert choose(None, None, {"XDG_STATE_HOME": "/s"}).state == "/s/borgpull"
    nobody.pw_name = "borgpull"
    assert choose(None, None, {}) == Folders("/etc/borgpull", "/var/lib/borgpull")


def test_the_launcher_is_one_and_the_same_in_borgs_locks_and_a_damaged_name_is_told(world) -> None:
    os.makedirs(world.folders.state)
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: host_id(world.folders), range(32)))
    assert len(names) == 1
    assert os.listdir(world.folders.state) == ["host-id"]
    Path(world.folders.state, "host-id").write_text("web1")
    with pytest.raises(PullError, match="damaged"):
        host_id(world.folders)
