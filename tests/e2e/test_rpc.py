"""A client that speaks borg's protocol itself: what `borg serve --append-only` lets it do, and what the guard does not.

Each attack is made on serve alone first, where it works (a test that no longer needs the guard says so), then on serve
behind the guard, where the repository stays as it was, to the byte.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import machines
import pytest
import rpc

from borgctl.pull.repository import transactions

KEY = b"a\rb = c"


@dataclass
class Place:
    """A repository with an archive, and the borg that made it."""

    borg: str
    path: Path

    def serve(self, session=None, **more):
        return rpc.Serve(self.borg, str(self.path), session, **more)

    def files(self):
        """Return what is there."""
        paths = [path for path in self.path.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def made(borg):
    """A directory with a repository that has an archive; made once, with borg itself."""
    with machines.scratch() as directory:
        env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": directory, "HOME": directory, "BORG_PASSPHRASE": "x"}
        source = Path(directory) / "source"
        source.write_bytes(os.urandom(10_000))
        path = f"{directory}/repo"
        for words in (["init", "--encryption=repokey-blake2", path], ["create", f"{path}::one", str(source)]):
            subprocess.run([borg.path, *words], env=env, check=True, capture_output=True, timeout=120)
        yield path


@pytest.fixture
def place(borg, made, scratch):
    return Place(borg.path, Path(shutil.copytree(made, f"{scratch}/repo")))


def begin(party, path, **changed):
    """Negotiate and open; return the answer to open."""
    party.ask(rpc.negotiate())
    return party.ask(rpc.opening(path, **changed))


def attack_destroy(party, path):
    begin(party, path)
    party.say(rpc.call(3, "destroy"))


def attack_create_and_destroy(party, path):
    begin(party, path, create=True)
    party.say(rpc.call(3, "destroy"))


def attack_create_and_repair(party, path):
    begin(party, path, create=True)
    party.say(rpc.call(3, "check", repair=True, save_space=False, max_duration=0))


def attack_destroy_in_the_positional_form(party, path):
    party.say(rpc.pack((1, 1, "open", (str(path), True, 1, True, True, False))), rpc.pack((1, 2, "destroy", ())))


def attack_save_key(party, path):
    begin(party, path)
    party.say(rpc.call(3, "save_key", keydata=b"AAAA"))


def attack_config(party, path):
    begin(party, path)
    party.say(rpc.call(3, "save_key", keydata=KEY))


def attack_break_lock(party, path):
    begin(party, path, lock=False)
    party.say(rpc.call(3, "break_lock"))


def attack_write_without_a_lock(party, path):
    begin(party, path, lock=False, exclusive=False)
    party.say(rpc.put(3, b"1" * 32, b"junk"), rpc.commit(4))


def attack_delete_all(party, path):
    begin(party, path)
    ids = party.ask(rpc.call(3, "list", limit=100, marker=None)) or []
    party.say(*(rpc.call(number, "delete", id=id_) for number, id_ in enumerate(ids, 4)), rpc.commit(4 + len(ids)))


def attack_nonce(party, path):
    begin(party, path)
    start = party.ask(rpc.call(3, "get_free_nonce"))
    party.say(rpc.call(4, "commit_nonce_reservation", next_unreserved=(1 << 64) - 1, start_nonce=start))


def attack_object_too_large(party, path):
    """Serve marks the old object deleted, and only then finds that the new one is larger than any may be."""
    begin(party, path)
    for id_ in party.ask(rpc.call(3, "list", limit=100, marker=None)) or []:
        if id_ != rpc.MANIFEST:
            party.say(rpc.put(4, id_, bytes(20 << 20)), rpc.commit(5))
            return


ATTACKS = {name[7:]: attack for name, attack in list(globals().items()) if name.startswith("attack_")}
HARMLESS_ALONE = {"destroy", "create_and_repair", "break_lock"}  # append-only refuses two; there is no lock to break


@pytest.mark.parametrize("attack", sorted(ATTACKS.keys() - HARMLESS_ALONE))
def test_serve_alone_lets_it_happen(place, attack):
    before = place.files()
    with place.serve() as party:
        ATTACKS[attack](party, place.path)
        party.end()
    assert before != place.files()


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.parametrize("session", ["create", "init", "window-write"])
def test_behind_the_guard_nothing_happens(place, attack, session):
    before = place.files()
    with place.serve(session) as party:
        ATTACKS[attack](party, place.path)
        status, events = party.end()
    assert status == 3
    assert [event["event"] for event in events] == ["refused", "end"]
    assert place.files() == before


def test_puts_beyond_the_quota_are_written_by_serve_alone_and_not_behind_the_guard(place):
    def fill(party):
        begin(party, place.path)
        for number in range(3, 33):
            party.say(rpc.put(number, os.urandom(32), os.urandom(1_000_000)))
        party.say(rpc.call(33, "rollback"))

    def size():
        return sum(path.stat().st_size for path in place.path.rglob("*") if path.is_file())

    before = size()
    words = ("--quota", str(12 * 1_000_041), "--puts", "100", "--commits", "3")
    with place.serve("create", words=words, quota="10M") as party:
        fill(party)
        status, events = party.end()
    assert (status, events[0]["rule"], events[1]["put_bytes"]) == (3, "quota", 12_000_000)
    assert size() < before + 12_200_000
    with place.serve(quota="10M") as party:
        fill(party)
        party.end()
    assert size() > before + 30_000_000


@pytest.mark.parametrize("session", ["create", "window-write"])
def test_an_object_of_an_earlier_session_is_not_ones_own_for_having_been_put_again(place, session):
    with place.serve(session) as party:
        begin(party, place.path)
        known = party.ask(rpc.call(3, "list", limit=100, marker=None))
        known = [id_ for id_ in known if id_ != rpc.MANIFEST]
        party.say(rpc.put(4, known[0], b"junk"), rpc.call(5, "delete", id=known[0]), rpc.commit(6))
        status, events = party.end()
    assert (status, events[0]["rule"], events[1]["overwrites"]) == (3, "delete", 1)
    with place.serve("read") as party:
        begin(party, place.path)
        assert set(known) < set(party.ask(rpc.call(3, "list", limit=100, marker=None)))


def test_no_client_fills_the_disk_with_files_that_have_no_bytes(place):
    """Each put of the manifest makes serve begin a new file, and each over an older one makes two."""
    words = ("--quota", str(1 << 30), "--puts", "100000", "--commits", "3")
    before = len(place.files())
    with place.serve("create", words=words) as party:
        begin(party, place.path)
        for number in range(3, 33):
            party.say(rpc.put(number, rpc.MANIFEST, b"", wait=True))
        status, events = party.end()
    assert (status, events[0]["rule"], events[1]["manifests"]) == (3, "manifests", 3)
    assert len(place.files()) <= before + 8


def test_the_client_is_cut_off_at_the_first_refused_message_and_serve_ends_in_order(place):
    with place.serve("create") as party:
        begin(party, place.path)
        party.say(rpc.call(3, "destroy"))
        assert party.answer() is None
        status, _ = party.end()
        assert (status, party.serve.returncode) == (3, 0)
    assert not list(place.path.glob("lock.*"))


def commit_of_nothing(party, path):
    """Put, commit, then make serve forget its counts, and write down that it has none."""
    begin(party, path)
    party.say(rpc.put(3, os.urandom(32), b"junk"), rpc.commit(4))
    party.say(rpc.call(5, "check", repair=False, save_space=False, max_duration=1))
    party.say(rpc.call(6, "list", limit=1, marker=None), rpc.commit(7))
    return party.end()


def test_a_commit_of_nothing_lets_serve_alone_forget_the_quota(place):
    with place.serve() as party:
        commit_of_nothing(party, place.path)
    (hints,) = place.path.glob("hints.*")
    assert transactions.quota_use(hints.read_bytes()) == 0
    assert transactions.used(str(place.path)) > 10_000, "the files on the disk count in any case"


@pytest.mark.parametrize("session", ["create", "window-write"])
def test_behind_the_guard_serve_keeps_its_counts(place, session):
    with place.serve(session) as party:
        status, events = commit_of_nothing(party, place.path)
    assert (status, events[0]["method"], events[1]["commits"]) == (3, "check", 1)
    (hints,) = place.path.glob("hints.*")
    assert transactions.quota_use(hints.read_bytes()) > 10_000


def test_an_empty_session_commits_nothing_and_says_so(place):
    with place.serve("create") as party:
        begin(party, place.path)
        status, events = party.end()
    assert status == 0
    assert events[-1]["committed_manifests"] == events[-1]["puts"] == 0
