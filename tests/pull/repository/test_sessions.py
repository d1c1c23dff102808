"""What kind of session a job or a window gets, by the server's files and options."""

from pathlib import Path

import pytest
from stage import CORPORA

from borgctl.pull.repository.rpc_sessions import SESSIONS
from borgctl.pull.repository.sessions import WINDOWS, GuardSession, bounds, session_for, window_session
from borgctl.pull.run import call_session
from borgctl.pull.state.state import State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import read
from borgctl.values import JobName

LEAST = (CORPORA / "targets/valid/least.yaml").read_text()
FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")


def session(jobs: str, job: str, known: bool = True) -> GuardSession:
    return session_for(read(LEAST + jobs, TargetName("web1"), FOLDERS), JobName(job), known)


@pytest.mark.parametrize(
    ("jobs", "job", "known", "expected"),
    [
        ("", "default", True, GuardSession("create")),
        ("", "prune", True, GuardSession("create")),  # its name is the client's word
        ("", "init", True, GuardSession("create")),
        ("", "init", False, GuardSession("init")),
        ("", "default", False, GuardSession("init")),
        ("jobs: [default]", "default", True, GuardSession("create")),
        ("jobs: {prune: {deletes: 7}}", "prune", True, GuardSession("prune", 7)),
        ("jobs: {prune: {deletes: any}}", "prune", True, GuardSession("prune", None)),
        ("jobs: {prune: {deletes: 7}}", "prune", False, GuardSession("init")),
        ("jobs: {prune: {deletes: 7}}", "other", True, GuardSession("create")),
        ("jobs: {check: {kind: read}}", "check", True, GuardSession("read")),
        ("jobs: {check: {kind: read}}", "check", False, GuardSession("read")),  # what reads never begins a repository
    ],
)
def test_the_kind_follows_from_the_target_file_and_from_what_is_there(jobs, job, known, expected) -> None:
    assert session(jobs, job, known) == expected


@pytest.mark.parametrize("state", [State(repository="a" * 64), State(config="b" * 64)])
def test_a_repository_that_is_remembered_is_not_begun_anew_where_it_is_gone(state) -> None:
    target = read(LEAST, TargetName("web1"), FOLDERS)
    assert not Path(str(target.repository)).exists()
    assert call_session.session_of(target, JobName("default"), state) == GuardSession("create")
    assert call_session.session_of(target, JobName("default"), State()) == GuardSession("init")


def test_the_guard_knows_every_kind() -> None:
    assert {"read", "create", "prune", "init", *(window_session(what).name for what in WINDOWS)} == set(SESSIONS)


def test_only_a_window_for_deleting_may_delete_what_others_put() -> None:
    assert [what for what in WINDOWS if window_session(what).deletes is None] == ["delete"]
    assert [what for what in WINDOWS if SESSIONS[f"window-{what}"].any_delete] == ["delete"]


def test_a_full_repository_leaves_the_slack_alone_and_an_empty_one_the_quota_too() -> None:
    create = GuardSession("create")
    assert bounds(create, 20e6, 0)["quota"] == 20_000_000 + (64 << 20)
    assert bounds(create, 20e6, 15_000_000)["quota"] == 5_000_000 + (64 << 20)
    assert bounds(create, 20e6, 30_000_000)["quota"] == 64 << 20


def test_a_job_commits_a_thousand_times_and_a_window_ten_thousand() -> None:
    """A checkpoint each 30 minutes; `recreate`, which only a window allows, commits twice for each archive."""
    found = {name: bounds(GuardSession(name), 20e6, 0)["commits"] for name in SESSIONS}
    assert {name for name, most in found.items() if most == 10_000} == {f"window-{what}" for what in WINDOWS}
    assert {most for name, most in found.items() if not name.startswith("window")} == {1_000}
