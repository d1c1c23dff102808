"""A policy's file: the corpora of policies, whose hands it is in, and what its keys mean."""

import os
import re
import stat

import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.policy import load
from borgctl.policy.load import InvalidPolicy
from borgctl.policy.model import Limits
from borgctl.strict_yaml import LARGEST

INVALID = sorted((stage.CORPORA / "policies/invalid").glob("*.yaml"))
DELIVERED = sorted((stage.CORPORA.parents[1] / "policy").glob("**/*.yaml"))
SMALLEST = """\
version: 1
repositories: {/srv/a: {encryption: required}}
passphrase: {file: /etc/borgctl/passphrase}
jobs: {default: {paths: [/etc]}}
"""
# Design, section 5, word for word
DESIGN = """\
version: 1
repositories:
  /srv/borg/{hostname}: {encryption: required}     # 'encryption: none' must be said; id: pins it by hand
passphrase: {file: /etc/borgctl/passphrase}        # or {program: [/usr/bin/pass, show, borg]}
jobs:                                              # written here, asked for by name
  default: {paths: [/etc, /home]}                  # command: create, archive: "{hostname}-{job}-{now}"
  dumps:
    paths: [/var/backups]
    exclude: ["*.tmp"]
    options: {compression: zstd, one-file-system: true}
    before: [[/usr/local/bin/dump-db, --all]]      # fails: no borg, 'after' still runs
    after: [[/usr/local/bin/thaw]]
  prune: {command: prune, options: {keep-daily: 7, glob-archives: "{hostname}-default-*"}}
  init: {command: init, options: {encryption: repokey-blake2}}
# ---- everything below may be left out
borg: /usr/bin/borg
base: /var/lib/borgctl/web1                        # $XDG_STATE_HOME/borgctl/… for an ordinary user
user: _borgctl                                     # whom borg runs as when the gate is root (name or number)
commands: {}                                       # what the server may spell out: list: {options: [json]} …
environment: {set: {}, accept: []}
transports: [stdio]
socket: {directory: /run/borgctl}
published: no
disclose: counts                                   # counts | names: what the server learns beyond numbers
window: no                                         # or the longest time, 30m
limits: {runtime: 12h, sessions: 8, nice: 10, ionice: idle, memory: 8G}
sandbox: require                                   # require | prefer | off
audit: {file: /var/log/borgctl/audit.jsonl, syslog: yes}
"""


def refused(path):
    with pytest.raises(InvalidPolicy) as caught:
        load.read(str(path))
    return caught.value


def file(directory, text=SMALLEST, mode=0o600):
    path = directory / "p.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# ---- the corpora


def test_the_corpus_of_invalid_policies_is_as_large_as_it_was_meant_to_be():
    assert len(INVALID) >= 40


@pytest.mark.parametrize("source", INVALID, ids=lambda path: path.stem)
def test_an_invalid_policy_is_refused_with_every_mistake_where_it_stands(source, tmp_path):
    text = source.read_text("utf-8")
    expected = re.findall(r"^# expect: (.*)$", text, re.MULTILINE)
    assert expected, "begins with '# expect: LINE:COLUMN: text'"
    path = file(tmp_path, text)
    error = refused(path)
    assert error.reason.code == "policy-invalid"
    found = [problem.removeprefix(f"{path}:") for problem in error.detail.split(f"; {path}:")]
    assert len(found) == len(expected), found
    for one, beginning in zip(found, expected, strict=True):
        assert one.startswith(beginning)
    assert "\n" not in error.detail and error.detail.isprintable()


@pytest.mark.parametrize("source", DELIVERED, ids=lambda path: path.stem)
def test_each_policy_that_we_deliver_is_read(source, tmp_path):
    assert stage.written(tmp_path, source.read_text("utf-8"), source.name).jobs


def test_there_is_a_policy_to_start_from():
    assert DELIVERED


def test_the_example_of_the_design_is_read_and_says_the_defaults(tmp_path):
    policy = stage.written(tmp_path, DESIGN, "web1.yaml")
    assert list(policy.jobs) == ["default", "dumps", "prune", "init"]
    assert policy.limits == Limits()
    assert policy.sandbox == "require" and not policy.published and not policy.names_disclosed
    default = stage.written(tmp_path, SMALLEST, "web1.yaml")
    for name in (
        "borg",
        "user",
        "window",
        "transports",
        "published",
        "names_disclosed",
        "limits",
        "sandbox",
        "commands",
        "environment",
    ):
        assert getattr(default, name) == getattr(policy, name), name
    if stage.ROOT:
        assert (default.base, default.audit, default.socket_directory) == (
            policy.base,
            policy.audit,
            policy.socket_directory,
        )


def test_a_users_defaults_are_in_their_home_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/evil")
    monkeypatch.setenv("XDG_STATE_HOME", "/evil")
    policy = load.read(str(file(tmp_path)))
    assert "/evil" not in policy.base + policy.audit.file + policy.socket_directory


def test_a_job_is_read_as_it_is_written(tmp_path):
    dumps = stage.written(tmp_path, DESIGN).jobs["dumps"]
    assert dumps.options == (("compression", "zstd"), ("one-file-system", None), ("exclude", "*.tmp"))
    assert dumps.before == (("/usr/local/bin/dump-db", "--all"),)
    assert dumps.line == 7


def test_a_flag_that_says_no_is_not_given(tmp_path):
    text = SMALLEST.replace("paths: [/etc]", "paths: [/etc], options: {stats: no, json: yes}")
    assert stage.written(tmp_path, text).jobs["default"].options == (("json", None),)


def test_an_option_that_repeats_may_be_one_value_or_a_list(tmp_path):
    for written, count in (("/p", 1), ("[/p, /q]", 2)):
        text = SMALLEST.replace("paths: [/etc]", f"paths: [/etc], options: {{patterns-from: {written}}}")
        assert len(stage.written(tmp_path, text).jobs["default"].options) == count


def test_an_open_repository_needs_no_passphrase(tmp_path):
    text = "version: 1\nrepositories: {/srv/a: {encryption: none}}\njobs: {default: {paths: [/etc]}}\n"
    policy = stage.written(tmp_path, text)
    assert policy.passphrase.file is None and not policy.passphrase.program


def test_the_digest_is_that_of_the_bytes(tmp_path):
    import hashlib

    policy = stage.written(tmp_path, SMALLEST)
    assert policy.digest == hashlib.sha256(SMALLEST.encode()).hexdigest()


def test_a_policy_that_is_invalid_still_says_where_its_log_is(tmp_path):
    error = refused(file(tmp_path, SMALLEST + "audit: {file: /var/log/x/audit.jsonl}\nbogus: 1\n"))
    assert error.log == "/var/log/x/audit.jsonl"


def test_a_word_of_borgs_own_that_is_not_a_policy_is_refused_quickly(tmp_path):
    assert refused(file(tmp_path, "#" + "x" * (LARGEST - 1))).reason.code == "policy-invalid"
    assert refused(file(tmp_path, "#" + "x" * LARGEST)).reason.code == "policy-unsafe"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xc3(", b"a: \x80", "a: b".encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_invalid(content, tmp_path):
    path = file(tmp_path)
    path.write_bytes(content)
    assert refused(path).reason.code == "policy-invalid"


# ---- in whose hands


def test_a_missing_policy_is_unreadable(tmp_path):
    assert refused(tmp_path / "none.yaml").reason.code == "policy-unreadable"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_a_policy_that_others_may_write_is_unsafe(mode, tmp_path):
    assert refused(file(tmp_path, mode=mode)).reason.code == "policy-unsafe"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_policy_in_a_directory_that_others_may_write_is_unsafe(mode, tmp_path):
    path = file(tmp_path)
    tmp_path.chmod(mode)
    assert refused(path).reason.code == "policy-unsafe"


@pytest.mark.parametrize("path", ["p.yaml", "./p.yaml", "~/p.yaml", ""])
def test_a_relative_policy_is_unsafe(path, tmp_path, monkeypatch):
    file(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert refused(path).reason.code == "policy-unsafe"


def test_a_directory_a_fifo_and_a_device_are_no_policy(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path, tmp_path / "fifo", "/dev/null"):
        assert refused(path).reason.code == "policy-unsafe"


@pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")
def test_a_policy_of_another_user_is_unsafe(tmp_path):
    path = file(tmp_path)
    os.chown(path, 54321, 54321)
    assert refused(path).reason.code == "policy-unsafe"


def test_every_error_is_one_of_ours(tmp_path):
    path = file(tmp_path)
    path.chmod(0)
    found = stage.outcome(BorgctlError, load.read, str(path))
    if isinstance(found, BorgctlError):  # root reads it all the same
        assert found.reason.code == "policy-unreadable"
    assert stat.S_IMODE(path.stat().st_mode) == 0
