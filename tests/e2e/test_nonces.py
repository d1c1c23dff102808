"""Two texts under one key stream: a server that goes back to the state after `init` never gets them.

Each of these situations had a server read what two runs sent, as borg counts its nonces for each base and each id, and
believes the server where it has no count of its own.
"""

import os
import re
import shlex
import shutil
import sys

import counters
import hostile_serve
import pytest
from machines import PASSPHRASE, run
from pulling import Initialized, last_line, over_stdio

HOSTILE = shlex.quote(hostile_serve.__file__)
BASE = "borg/.config/borg/security"


class Pull:
    """Pulls of one client; `after_init` is the repository as the server kept it then."""

    def __init__(self, client, key, sshd, server, borg, scratch):
        self.client, self.key, self.sshd, self.server, self.borg, self.scratch = (
            client,
            key,
            sshd,
            server,
            borg,
            scratch,
        )
        self.after_init = scratch / "after-init"
        shutil.copytree(server.repository, self.after_init)

    def __call__(self, request, mode=None, repository=None):
        serve = self.borg.path
        if mode:
            serve = self.scratch / "serve"
            serve.write_text(f'#!/bin/sh\nexec {sys.executable} -I {HOSTILE} {mode} {self.borg.path} "$@"\n')
            serve.chmod(0o755)
        where = repository or self.server.repository
        return over_stdio(self.sshd.ssh_argv(self.key), request, str(serve), where, self.server.state)

    def ok(self, *words, **options):
        result = self(*words, **options)
        assert last_line(result)["outcome"] == "ok", result.stderr

    def backup(self, text, **options):
        """Back up a file with this text; return a copy of what the server then has."""
        (self.client.source / "text").write_bytes(text)
        self.ok("run default", **options)
        kept = self.scratch / f"kept-{len(list(self.scratch.glob('kept-*')))}"
        shutil.copytree(options.get("repository") or self.server.repository, kept)
        return kept

    def go_back(self, where=None):
        """Put the server's repository into the state after init."""
        shutil.rmtree(where or self.server.repository, ignore_errors=True)
        shutil.copytree(self.after_init, where or self.server.repository)

    def verify(self):
        """Check all data as somebody who has the passphrase."""
        env = {
            "PATH": "/usr/bin:/bin",
            "BORG_PASSPHRASE": PASSPHRASE,
            "BORG_BASE_DIR": str(self.scratch / "admin"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        done = run([self.borg.path, "check", "--verify-data", self.server.repository], env=env)
        assert done.returncode == 0, done.stderr

    def nonce(self):
        (file,) = self.client.base.glob(f"{BASE}/*/nonce")
        return int(file.read_text(), 16)


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
def key(initialized):
    return initialized.key


@pytest.fixture
def pull(client, key, sshd, server, borg, scratch):
    return Pull(client, key, sshd, server, borg, scratch)


def test_the_key_is_known_from_init_on(pull, client, server):
    import hashlib

    config = (server.repository / "config").read_text()
    key = re.sub("\n[ \t]+", "\n", re.search(r"(?ms)^key = (.*?)(?=^\S|\Z)", config)[1]).strip()
    (kept,) = client.base.glob("key-*")
    assert kept.read_text() == hashlib.sha256(key.encode()).hexdigest()
    (client.source / "text").write_text("x")
    pull.ok("run default")
    record = client.records("exit")[-1]
    assert record["compared"] == ["repository", "key"]
    assert kept.read_text() == hashlib.sha256(key.encode()).hexdigest()


def test_a_key_that_the_server_puts_in_the_new_ones_place_is_refused(pull, client, server, borg, scratch):
    """The passphrase is the same for all repositories of a policy: a server has another key that it opens."""
    other = scratch / "other"
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(scratch / "base")}
    assert run([borg.path, "init", "-e", "repokey-blake2", other], env=env).returncode == 0
    identity = re.search("(?m)^id = .*$", (server.repository / "config").read_text())[0]
    (other / "config").write_text(re.sub("(?m)^id = .*$", identity, (other / "config").read_text()))
    shutil.rmtree(server.repository)
    shutil.copytree(other, server.repository)
    assert last_line(pull("run default"))["reason"] == "repository-replaced"


@pytest.mark.parametrize("lost", ["base", "security"])
def test_a_lost_base_begins_far_from_what_was_used(pull, client, lost):
    """A new machine is the same: a base that knows nothing."""
    first = pull.backup(b"a" * 200_000)
    pull.go_back()
    shutil.rmtree(client.base if lost == "base" else client.base / "borg")
    second = pull.backup(b"b" * 200_000)
    assert not counters.twice(first, second)
    assert 1 << 40 <= pull.nonce() < 1 << 63
    pull.verify()


def test_another_path_with_another_id_for_the_same_repository_begins_elsewhere(pull, client, server):
    first = pull.backup(b"a" * 200_000)
    other = server.repositories / "other"
    pull.go_back(other)
    forged = re.sub("(?m)^id = .*$", f"id = {hostile_serve.FORGED.hex()}", (other / "config").read_text())
    (other / "config").write_text(forged)
    (client.base / "borg").exists()
    client.policy(repositories={other: {"encryption": "required"}})
    second = pull.backup(b"b" * 200_000, repository=other)
    assert not counters.twice(first, second)


def test_a_second_base_of_this_client_for_one_repository_is_refused(pull, client):
    pull.backup(b"a" * 200_000)
    pull.go_back()
    other = client.directory / "other"
    client.policy(base=other)
    for _ in range(2):
        result = pull("run default")
        assert last_line(result)["reason"] == "repository-elsewhere", result.stderr
    assert str(client.base) in client.records("exit")[-1]["detail"]
    assert not list(other.glob("repository-*")) and not list(other.glob(f"{BASE}/*/nonce"))
    client.policy()
    shutil.rmtree(pull.server.repository)
    shutil.copytree(pull.scratch / "kept-0", pull.server.repository)
    pull.ok("run default")


def test_a_copy_of_the_base_that_somebody_keeps_beside_it_is_no_second_base(pull, client):
    pull.backup(b"a")
    shutil.copytree(client.base, client.directory / "base.bak")
    pull.backup(b"b")


def test_two_bases_in_turn_never_count_the_same(pull, client, scratch):
    """Two machines with one honest server: each goes on behind the other."""
    kept = [pull.backup(b"a" * 50_000)]
    away = scratch / "away"
    for turn in range(3):
        if away.exists():
            client.base.rename(scratch / "third")
            away.rename(client.base)
            (scratch / "third").rename(away)
            shutil.rmtree(client.base / "borg/.cache", ignore_errors=True)
            for file in client.base.glob(f"{BASE}/*/manifest-timestamp"):
                file.unlink()
        else:
            client.base.rename(away)
        kept.append(pull.backup(bytes([98 + turn]) * 50_000))
    assert not counters.twice(*kept)
    pull.verify()


@pytest.mark.parametrize("mode", ["nonce-near-the-end", "nonce-half-way"])
def test_a_nonce_that_would_use_up_the_range_ends_the_run_and_harms_nothing(pull, client, mode):
    pull.backup(b"a")
    before = pull.nonce()
    result = last_line(pull("run default", mode))
    assert (result["origin"], result["reason"]) == ("gate", "nonce-refused"), result
    assert pull.nonce() == before
    pull.backup(b"b")
    pull.verify()


def test_the_server_does_not_choose_from_where_borg_counts_on(pull):
    """It knows the nonces of every base that it has seen: of a second one on another machine, say."""
    pull.backup(b"a")
    (pull.server.repository / "nonce").write_text(f"{1 << 55:016x}")
    pull.backup(b"b")
    assert pull.nonce() > (1 << 55) + (1 << 40)
    named = range(1 << 55, (1 << 55) + (1 << 40))
    assert not {first for first, _, _ in counters.spans(pull.server.repository) if first in named}
    pull.backup(b"c")
    pull.verify()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("object-with-a-far-nonce", "nonce-refused"),
        ("object-with-a-far-nonce-from-an-old-server", "transport-failed"),
    ],
)
def test_an_object_of_the_servers_does_not_use_up_the_range(pull, client, mode, reason):
    """`check` begins at the nonce of any object, before it knows whether that is whole."""
    client.policy(jobs={"default": {"paths": [client.source]}, "check": {"command": "check"}})
    pull.backup(b"a")
    result = last_line(pull("run check", mode))
    assert (result["origin"], result["reason"]) == ("gate", reason), result
    assert pull.nonce() < 1 << 41
    pull.backup(b"b")
    pull.verify()


def test_a_base_whose_nonces_were_used_up_says_so(pull, client):
    pull.backup(b"a")
    (file,) = client.base.glob(f"{BASE}/*/nonce")
    with open(file, "r+") as opened:
        opened.write(f"{(1 << 63) + 5:016x}")
    result = last_line(pull("run default"))
    assert (result["origin"], result["reason"]) == ("gate", "nonce-refused"), result


@pytest.mark.parametrize("trap", ["link", "directory"])
def test_what_borgs_user_left_in_the_nonces_place_is_not_followed(pull, client, scratch, trap):
    pull.backup(b"a")
    precious = scratch / "precious"
    precious.mkdir()
    (file,) = client.base.glob(f"{BASE}/*/nonce")
    owner = file.stat()
    shutil.rmtree(file.parent)
    if trap == "link":
        file.parent.symlink_to(precious)
        os.chown(file.parent, owner.st_uid, owner.st_gid, follow_symlinks=False)
        assert last_line(pull("run default"))["reason"] == "base-unusable"
        assert not list(precious.iterdir())
    else:
        file.mkdir(parents=True)
        for made in (file, file.parent):
            os.chown(made, owner.st_uid, owner.st_gid)
        assert last_line(pull("run default"))["outcome"] != "ok"


def test_a_stale_lock_of_the_cache_whose_number_is_anothers_does_not_hold_up(pull, client):
    pull.backup(b"a")
    (cache,) = (path for path in client.base.glob("borg/.cache/borg/*") if re.fullmatch("[0-9a-f]{64}", path.name))
    owner, host = cache.stat(), (client.base / "host-id").read_text()
    lock = cache / "lock.exclusive"
    lock.mkdir()
    (lock / f"{host}.1-0").touch()
    (cache / "lock.roster").write_text(f'{{"exclusive": [["{host}", 1, 0]]}}')
    for made in (lock, lock / f"{host}.1-0", cache / "lock.roster"):
        os.chown(made, owner.st_uid, owner.st_gid)
    pull.backup(b"b")
    assert not lock.exists()
