"""What to do about a refusal: a line to paste where the client may have meant well, else a warning."""

from pathlib import Path

import pytest

from borgctl.pull.report.refusals import HOSTILE, advice_on_refusal
from borgctl.pull.repository.guard_process import Refused
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import read

TEXT = "host: web1\nrepository: /srv/borg/web1\nquota: 20M\n"
FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")


def advice(method: str, rule: str, job: str | None, jobs: str = "", session: str = "create") -> str:
    target = read(f"{TEXT}{jobs}\n", TargetName("web1"), FOLDERS)
    return advice_on_refusal(Refused(method, session, rule, ""), target, job)


@pytest.mark.parametrize(
    ("jobs", "line"),
    [
        ("", "jobs: {prune: {deletes: 5000, run: no}}"),
        ("jobs: [default]", "jobs: {default: {}, prune: {deletes: 5000, run: no}}"),
        ("jobs: [default, prune]", "jobs: {default: {}, prune: {deletes: 5000}}"),
        ("jobs: {prune: {deletes: 9000, run: no}}", "jobs: {prune: {deletes: 90000, run: no}}"),
        ("jobs: {check: {kind: read}}", "jobs: {check: {kind: read}, prune: {deletes: 5000, run: no}}"),
    ],
)
def test_a_prune_that_may_not_delete_ends_with_the_line_to_paste(jobs: str, line: str) -> None:
    assert advice("delete", "delete", "prune", jobs).endswith(f": {line}")


def test_a_run_before_there_is_a_repository_ends_with_the_command_that_makes_one(tmp_path: Path) -> None:
    place = f"repository: {tmp_path}/web1\n"
    target = read(f"host: web1\n{place}quota: 20M\n", TargetName("web1"), FOLDERS)
    refused = Refused("open", "init", "create", "")
    assert "once: borgpull run web1 --job init" in advice_on_refusal(refused, target, "default")
    (tmp_path / "web1").mkdir()
    assert "once: borgpull run web1 --job init" in advice_on_refusal(refused, target, "prune")
    (tmp_path / "web1/config").touch()
    assert "a new repository where something is" in advice_on_refusal(refused, target, "init")


@pytest.mark.parametrize(
    ("method", "allow"),
    [("put", "write"), ("commit", "write"), ("delete", "delete"), ("save_key", "passphrase")],
)
def test_in_a_window_the_word_is_named_that_would_allow_it(method: str, allow: str) -> None:
    assert advice(method, "session", None, session="window-read").endswith(f"borgpull window web1 --allow {allow}")


@pytest.mark.parametrize(
    ("method", "rule", "job"),
    [
        ("destroy", "never", "default"),
        ("destroy", "never", None),
        ("break_lock", "never", None),
        ("save_key", "session", "default"),
        ("open", "path", "default"),
        ("unknown", "encoding", "default"),
        ("put", "quota", "default"),
        ("commit", "compact", None),
        ("put", "lock", None),
    ],
)
def test_all_else_is_no_borg_that_borgctl_started(method: str, rule: str, job: str | None) -> None:
    assert advice(method, rule, job) == HOSTILE


def test_what_a_spelled_out_request_may_not_do_is_no_matter_of_a_window() -> None:
    assert "borgpull borg web1 --deletes 50000 -- prune" in advice("delete", "delete", None, session="prune")
    assert advice("put", "session", None, session="read") == HOSTILE
    assert advice("delete", "delete", None, session="create") == HOSTILE


def test_an_init_that_was_cut_short_is_told_from_an_attack_by_whoever_looks() -> None:
    assert "remove what is left at /srv/borg/web1" in advice("open", "create", "init")
