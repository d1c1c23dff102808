"""Hostile clients that speak borg's protocol themselves, behind a real sshd and in front of a real serve.

What they try is refused or comes to nothing, no run of theirs is good, and the repository is as it was.
"""

import hashlib
import json
import shlex
import sys
from pathlib import Path

import machines
import pytest
import raw_client
from machines import run

ATTACKS = {
    "destroy": "open: create",
    "destroy_what_is_open": "destroy: never",
    "save_key": "save_key: session",
    "second_open": "open: order",
    "other_path": "open: path",
    "break_lock": "open: lock",
    "write_without_the_lock": "put: lock",
    "compact": "commit: compact",
    "repair": "check: repair",
    "commit_of_nothing": "commit: empty",
    "nonce": "commit_nonce_reservation: nonce",
    "positional": "unknown: encoding",
    "delete": "delete: delete",
    "begin_anew": "open: create",
}
LIES = ["nothing", "nothing_by_another_name", "no_manifest", "no_commit", "rolled_back"]


class Hostile:
    """A server with a repository that has one archive, and a client that will attack it."""

    def __init__(self, server, sshd, key, borg):
        self.server, self.sshd, self.key, self.borg = server, sshd, key, borg
        self.repository = server.repository
        self.env = {
            "PATH": "/usr/bin:/bin",
            "BORG_BASE_DIR": str(server.directory / "admin"),
            "BORG_PASSPHRASE": "secret",
        }
        self.target()
        assert self.local("init", "-e", "repokey-blake2", self.repository).returncode == 0
        (server.directory / "data").write_bytes(bytes(range(256)) * 1000)
        assert self.local("create", f"{self.repository}::one", server.directory / "data").returncode == 0

    def local(self, *words):
        return run([self.borg.path, *words], env=self.env)

    def target(self, *lines, quota="1G"):
        path = self.server.config / "targets/web1.yaml"
        path.parent.mkdir(exist_ok=True)
        text = [f"host: {self.sshd.user}@127.0.0.1", f"port: {self.sshd.port}", f"identity: {self.key.path}"]
        text += [f"host_key: {self.sshd.host_key}", f"repository: {self.repository}", f"borg: {self.borg.path}"]
        path.write_text("\n".join([*text, f"quota: {quota}", *lines, ""]))

    def attack(self, name, *words, job="default"):
        """Let the client attack in a run; return borgpull's exit status and its object of that run."""
        python = f"PYTHONPATH={shlex.quote(str(Path(raw_client.__file__).parent))} {shlex.quote(sys.executable)}"
        command = f"{python} {shlex.quote(raw_client.__file__)} {name} {shlex.quote(str(self.repository))}"
        self.sshd.replace_keys(machines.key_line(self.key, command, "restrict,port-forwarding"))
        done = run(self.server.borgpull("run", "--json", "web1", "--job", job, *words), timeout=300)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def seen(self):
        """Return what of the repository's files an attack must not change: all but what a session notes for itself."""
        own = ("lock.", "index.", "hints.", "integrity.", "nonce", "transactions")
        files = [path for path in self.repository.rglob("*") if path.is_file() and not path.name.startswith(own)]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def assert_unharmed(self):
        listed = self.local("list", "--short", self.repository)
        assert listed.stdout == "one\n", listed.stderr
        assert self.local("check", self.repository).returncode == 0


@pytest.fixture
def hostile(server, sshd, key, borg):
    return Hostile(server, sshd, key, borg)


def test_each_attack_is_refused_and_told_and_changes_nothing(hostile):
    before = hostile.seen()
    for name, expected in ATTACKS.items():
        code, told = hostile.attack(name)
        assert (code, told["outcome"], told["reason"]) == (2, "failed", "rpc-refused"), (name, told)
        assert f"{told['refused']['method']}: {told['refused']['rule']}" == expected, name
        assert [alert["reason"] for alert in told["alerts"]] == ["rpc-refused"], name
        assert hostile.seen() == before, name
    hostile.assert_unharmed()
    status = run(hostile.server.borgpull("status"))
    assert status.returncode == 2 and "ALERT: rpc-refused: job default" in status.stdout
    assert f"{len(ATTACKS)} times" in status.stdout


def test_a_forwarded_socket_is_guarded_as_well(hostile, scratch):
    sockets = scratch / "s"
    sockets.mkdir()
    hostile.target("transport: socket", f"socket_directory: {sockets}")
    before = hostile.seen()
    for name in ("destroy", "delete", "save_key"):
        code, told = hostile.attack(name)
        assert (code, told["reason"]) == (2, "rpc-refused"), (name, told)
        assert f"{told['refused']['method']}: {told['refused']['rule']}" == ATTACKS[name]
        for left in sockets.iterdir():  # this client's own to remove
            left.unlink()
    assert hostile.seen() == before
    hostile.assert_unharmed()
    code, told = hostile.attack("no_manifest")
    assert (code, told["reason"]) == (2, "nothing-committed"), told


def test_no_client_that_saved_nothing_has_a_good_run(hostile):
    for name in LIES:
        code, told = hostile.attack(name)
        assert (code, told["outcome"]) == (2, "failed"), (name, told)
        assert told["reason"] in ("nothing-committed", "serve-failed", "rpc-refused"), (name, told)
    status = json.loads(run(hostile.server.borgpull("status", "--json")).stdout)
    assert [job["good"] for job in status["jobs"]] == [None]


def test_a_manifest_that_serve_refused_makes_no_good_run_whatever_else_was_committed(hostile):
    hostile.target(quota="10M")
    code, told = hostile.attack("another_commit")
    assert (code, told["outcome"], told["reason"]) == (2, "failed", "nothing-committed"), told
    assert told["passed"]["committed_manifests"] == 1
    assert hostile.local("list", "--short", hostile.repository).stdout == "one\n"


def test_what_is_sent_beyond_the_quota_does_not_stay(hostile):
    hostile.target(quota="20M")
    code, told = hostile.attack("beyond_the_quota")
    assert (code, told["reason"]) == (2, "rpc-refused"), told
    assert (told["refused"]["method"], told["refused"]["rule"]) == ("put", "quota")
    size = sum(path.stat().st_size for path in hostile.repository.rglob("*") if path.is_file())
    print(f"{size / 1e6:.0f} MB of 600 MB")
    assert size < 100e6, "quota, and 64 MiB that an honest client may have on its way"
    assert told["passed"]["put_bytes"] == told["passed"]["puts"] * 10_000_000
    hostile.assert_unharmed()


def test_a_prune_may_delete_what_the_target_file_says_and_no_more(hostile):
    hostile.target("jobs: {prune: {deletes: 1, run: no}}")
    code, told = hostile.attack("delete", job="prune")
    assert (code, told["reason"], told["passed"]["deletes"]) == (2, "rpc-refused", 1), told
    hostile.assert_unharmed()


def test_a_job_that_reads_cannot_write(hostile):
    hostile.target("jobs: {look: {kind: read, run: no}}")
    before = hostile.seen()
    code, told = hostile.attack("no_manifest", job="look")
    assert (code, told["reason"], told["refused"]["session"]) == (2, "rpc-refused", "read"), told
    assert hostile.seen() == before
    hostile.assert_unharmed()


def test_a_repository_begins_only_where_nothing_is(hostile):
    hostile.repository.rename(f"{hostile.repository}.away")
    hostile.repository.mkdir()
    (hostile.repository / "notes").write_text("of somebody's")
    code, told = hostile.attack("begin_anew")
    assert (code, told["reason"]) == (2, "rpc-refused"), told
    assert [path.name for path in hostile.repository.iterdir()] == ["notes"]
