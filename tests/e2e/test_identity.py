"""Which repository is it? Another one than before is refused before borg sees it: no byte is encrypted for it."""

import re
import shlex
import shutil
import sys

import hostile_serve
import pytest
from machines import PASSPHRASE, run, wait_for
from pulling import Initialized, last_line, over_stdio

HOSTILE = shlex.quote(hostile_serve.__file__)


@pytest.fixture
def initialized(kept, borg):
    return kept(Initialized, borg)


@pytest.fixture
def client(initialized):
    return initialized.client


@pytest.fixture
def server(initialized):
    return initialized.server


@pytest.fixture
def pull(initialized, sshd, borg, scratch):
    """Pull over stdio; `pull(request, mode)` through a serve that is hostile in this way."""

    def pull(request, mode=None):
        serve = borg.path
        if mode:
            serve = scratch / "serve"
            serve.write_text(f'#!/bin/sh\nexec {sys.executable} -I {HOSTILE} {mode} {borg.path} "$@"\n')
            serve.chmod(0o755)
        server, argv = initialized.server, sshd.ssh_argv(initialized.key)
        return over_stdio(argv, request, str(serve), server.repository, server.state)

    return pull


def state(repository):
    return {path: path.stat().st_size for path in (repository / "data").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("borg", "mode"),
    [
        *(("borg-1.4", mode) for mode in ("forged", "twice", "three-keys", "before-it-is-asked")),
        *(("borg-debian", mode) for mode in ("forged", "other-form", "as-an-error")),
    ],
    indirect=["borg"],
)
def test_a_forged_id_is_refused_before_anything_is_encrypted(pull, client, server, mode):
    assert pull("run default").returncode == 0
    before = state(server.repository)
    result = pull("run default", mode)
    told = last_line(result)
    assert told["origin"] == "gate"
    assert told["reason"] in ("repository-replaced", "transport-failed"), result.stderr
    assert state(server.repository) == before
    assert not list(client.base.glob(f"borg/.config/borg/security/{hostile_serve.FORGED.hex()}"))
    assert client.records("exit")[-1]["outcome"] == told["outcome"]
    assert pull("run default").returncode == 0


def test_answers_that_nobody_asked_for_end_the_run_before_borg_has_them(pull, client):
    assert pull("run default").returncode == 0
    (client.source / "new").write_bytes(bytes(range(256)) * 1000)
    result = last_line(pull("run default", "unasked"))
    assert (result["origin"], result["reason"]) == ("gate", "transport-failed"), result
    record = client.records("exit")[-1]
    assert record["compared"] == ["repository", "key"] and record["received"] < 1 << 20
    assert pull("run default").returncode == 0


def test_a_forged_id_at_the_first_use_stays_the_only_one(pull, client, server):
    (kept,) = client.base.glob("repository-*")
    kept.unlink()
    assert last_line(pull("run default", "forged"))["outcome"] == "ok"
    assert kept.read_text() == hostile_serve.FORGED.hex()
    assert last_line(pull("run default"))["reason"] == "repository-replaced"


def test_another_key_under_the_known_id_is_refused(pull, client, server, borg, scratch):
    """With one passphrase for two repositories, the server could show one's id with the other's key."""
    assert pull("run default").returncode == 0
    other = scratch / "other"
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(scratch / "base")}
    assert run([borg.path, "init", "-e", "repokey-blake2", other], env=env).returncode == 0
    identity = re.search("(?m)^id = .*$", (server.repository / "config").read_text())[0]
    (other / "config").write_text(re.sub("(?m)^id = .*$", identity, (other / "config").read_text()))
    shutil.rmtree(server.repository)
    shutil.copytree(other, server.repository)
    before = state(server.repository)
    assert last_line(pull("run default"))["reason"] == "repository-replaced"
    assert state(server.repository) == before


def test_every_command_gets_past_the_first_words(pull, client):
    jobs = {
        "init": {"command": "init", "options": {"encryption": "repokey"}},
        "default": {"paths": [client.source]},
        "check": {"command": "check", "options": {"verify-data": True}},
        "fsck": {"command": "check", "options": {"repository-only": True}},
        "list": {"command": "list"},
        "info": {"command": "info"},
        "prune": {"command": "prune", "options": {"keep-last": 1, "glob-archives": "*"}},
    }
    client.policy(jobs=jobs, disclose="names", commands={"list": {"options": []}, "info": {"options": []}})
    for job in ("default", "default", "check", "fsck", "list", "info", "prune", "check"):
        assert last_line(pull(f"run {job}"))["outcome"] == "ok", job
    archive = next(r for r in reversed(client.records("accept")) if r["job"] == "default")["argv"][-2].partition("::")[
        2
    ]
    for request in (f"borg list ::{archive}", f"borg info ::{archive}"):
        assert last_line(pull(request))["outcome"] == "ok"


def test_another_repository_at_the_same_path_is_refused(pull, client, server, borg, scratch):
    assert pull("run default").returncode == 0
    for encryption in ("none", "repokey", "repokey-blake2"):
        shutil.rmtree(server.repository)
        env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(scratch / "other")}
        assert run([borg.path, "init", "-e", encryption, server.repository], env=env).returncode == 0
        before = state(server.repository)
        assert last_line(pull("run default"))["reason"] == "repository-replaced"
        assert state(server.repository) == before


def test_an_empty_place_and_an_emptied_repository_get_nothing(pull, client, server):
    assert pull("run default").returncode == 0
    config = (server.repository / "config").read_text()
    for emptied in (False, True):
        shutil.rmtree(server.repository)
        server.repository.mkdir()
        if emptied:
            (server.repository / "config").write_text(config)
            (server.repository / "data").mkdir()
            (server.repository / "README").write_text("This is a Borg Backup repository.\n")
        result = last_line(pull("run default"))
        assert result["outcome"] == "failed", (emptied, result)
        assert not any(path.stat().st_size > 1000 for path in server.repository.rglob("*") if path.is_file())


def test_an_older_copy_of_the_same_repository_is_borgs_own_refusal(pull, client, server, scratch):
    assert pull("run default").returncode == 0
    shutil.copytree(server.repository, scratch / "older")
    (client.source / "new").write_text("new")
    assert pull("run default").returncode == 0
    shutil.rmtree(server.repository)
    shutil.copytree(scratch / "older", server.repository)
    result = pull("run default")
    assert (last_line(result)["outcome"], last_line(result)["origin"]) == ("failed", "borg")


def test_init_is_for_a_repository_that_was_never_used(pull, client, server):
    server.repository.rename(server.repository.with_name("away"))
    result = pull("run init")
    assert last_line(result)["reason"] == "repository-known"
    assert not server.repository.exists()
    assert client.records()[-1]["type"] == "refuse"


def test_a_borg_that_never_opens_the_repository_has_not_succeeded(pull, client, scratch):
    borg = scratch / "borg"
    for status in (0, 1, 107, 127):
        borg.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo borg 1.4.5\nexit {status}\n')
        borg.chmod(0o755)
        client.policy(borg=borg, sandbox="off")
        result = pull("run default")
        assert last_line(result)["outcome"] == "failed", status
        assert result.returncode not in (0, 1)
    wait_for(lambda: client.records("exit")[-1]["outcome"] == "failed")
