"""The passphrase changed through windows, however that is interrupted; repositories moved, replaced and swapped."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import machines
import pytest
from machines import PASSPHRASE, run
from pair import with_an_archive
from windows import archives, assert_nothing_is_left, borg, borgctl, opened


@pytest.fixture(params=[("borg-1.4", "repokey-blake2"), ("borg-debian", "keyfile-blake2")], ids="-".join)
def kind(request):
    return request.param


@pytest.fixture
def pair(kept, find_borg, kind):
    return kept(with_an_archive, find_borg(kind[0]), "stdio", kind[1])


@pytest.fixture
def one_pair(kept, one_borg):
    return kept(with_an_archive, one_borg, "stdio", "repokey-blake2")


def change(client, *words, **options):
    return borgctl("passphrase", client.policy_file, "--wait", "60", *words, **options)


def test_a_new_passphrase_takes_the_place_of_the_old_one_everywhere(pair):
    file = pair.client.passphrase_file
    with opened(pair, allow="passphrase"):
        result = change(pair.client)
        assert result.returncode == 0, result.stderr
        new = file.read_text()
        assert new.strip() not in (PASSPHRASE, "") and len(new.strip()) >= 40
        assert new.strip() not in result.stdout + result.stderr + pair.client.audit_file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        assert not os.path.lexists(f"{file}.new")
        assert len(archives(pair.client)) == 1
        file.write_text(f"{PASSPHRASE}\n")
        assert borg(pair.client, "list").returncode != 0
        file.write_text(new)
    assert pair.told()[0] == 0
    assert_nothing_is_left(pair)
    assert alerted(pair) == []


def alerted(pair):
    """Return what `borgpull status` finds alarming."""
    return json.loads(pair.borgpull("status", "--json").stdout.splitlines()[0])["alerts"]


def test_the_passphrase_is_changed_in_a_window_for_that_alone(one_pair):
    config = (one_pair.server.repository / "config").read_bytes()
    with opened(one_pair, allow="delete") as window:
        refused = change(one_pair.client)
        assert refused.returncode == 2
        assert "borgpull window TARGET --allow passphrase" in refused.stderr
        assert window.wait(60) == 2, window.said()
    assert "borgpull window web1 --allow passphrase" in window.said()
    assert (one_pair.server.repository / "config").read_bytes() == config
    assert [alert["reason"] for alert in alerted(one_pair)] == ["rpc-refused"]
    with opened(one_pair, allow="passphrase"):
        assert change(one_pair.client).returncode == 0
    assert_nothing_is_left(one_pair)


def test_a_passphrase_of_the_admins_own_is_typed_twice(one_pair):
    with opened(one_pair, allow="passphrase"):
        result = change(one_pair.client, "--ask", input="own words\nown words\n")
        assert result.returncode == 0, result.stderr
    assert one_pair.client.passphrase_file.read_text() == "own words\n"
    assert one_pair.told()[0] == 0


def test_a_change_that_was_interrupted_before_borg_did_anything_is_carried_through(one_pair):
    file = one_pair.client.passphrase_file
    waiting = file.with_name("passphrase.new")
    waiting.touch(mode=0o600)
    waiting.write_text("the one that waits\n")
    assert one_pair.told()[0] == 0  # backups go on
    with opened(one_pair, allow="passphrase"):
        result = change(one_pair.client)
        assert result.returncode == 0, result.stderr
    assert file.read_text() == "the one that waits\n"
    assert not waiting.exists()
    assert one_pair.told()[0] == 0


def test_a_change_that_was_interrupted_after_borg_had_changed_the_key_is_finished(pair):
    """As if killed after borg's change: the file holds the old passphrase still, and the gate knows the old key."""
    file = pair.client.passphrase_file
    pins = {pin: pin.read_text() for pin in pair.client.base.glob("key-*")}
    with opened(pair, allow="passphrase"):
        assert change(pair.client).returncode == 0
        file.rename(f"{file}.new")
        file.touch(mode=0o600)
        file.write_text(f"{PASSPHRASE}\n")
        for pin, text in pins.items():
            pin.write_text(text)
        assert pair.told()[0] == 2
        result = change(pair.client)
        assert result.returncode == 0, result.stderr
        assert "interrupted" in result.stdout
    assert file.read_text().strip() != PASSPHRASE
    assert not os.path.lexists(f"{file}.new")
    assert pair.told()[0] == 0


def test_at_no_moment_is_the_passphrase_lost_however_a_change_is_killed(one_pair, scratch):
    """Kill the change at random moments; one of the two files opens the repository, and calling again finishes it."""
    dice = random.Random(5)
    file = one_pair.client.passphrase_file
    with opened(one_pair, seconds=170, allow="passphrase"):
        for _ in range(5):
            argv = [machines.program("borgctl"), "passphrase", str(one_pair.client.policy_file), "--wait", "60"]
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(dice.uniform(0.5, 7))
            process.send_signal(signal.SIGKILL)
            process.wait()
            files = [path for path in (file, file.with_name("passphrase.new")) if path.exists()]
            assert any(opens(one_pair, path.read_text().strip()) for path in files), files
    with opened(one_pair, allow="passphrase"):
        result = change(one_pair.client)
        assert result.returncode == 0, result.stderr
    assert opens(one_pair, file.read_text().strip())
    assert not os.path.lexists(f"{file}.new")
    assert one_pair.told()[0] == 0


def opens(pair, passphrase):
    """Tell whether this passphrase opens the repository, on the server itself and without disturbing anybody."""
    env = {
        "PATH": "/usr/bin:/bin",
        "BORG_PASSPHRASE": passphrase,
        "BORG_BASE_DIR": str(pair.server.directory / "admin"),
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }
    return run([pair.borg.path, "list", "--bypass-lock", pair.server.repository], env=env).returncode == 0


def test_a_passphrase_that_repositories_share_or_a_program_gives_is_not_changed(one_pair, scratch):
    client = one_pair.client
    text = client.policy_file.read_text()
    program = scratch / "pass"
    program.write_text(f"#!/bin/sh\necho {PASSPHRASE}\n")
    program.chmod(0o700)
    client.policy_file.write_text(text.replace(f"{{file: {client.passphrase_file}}}", f"{{program: [{program}]}}"))
    assert change(client).returncode == 78
    one = f"{one_pair.server.repository}: {{encryption: required}}"
    client.policy_file.write_text(text.replace(one, f"{one}, /srv/other: {{encryption: required}}"))
    several = change(client, "--repository", one_pair.server.repository)
    assert several.returncode == 78
    assert "several repositories" in several.stderr


def test_a_key_that_the_admin_changed_by_other_means_is_adopted_if_the_passphrase_opens_it(one_pair):
    """With a server that shows another key nothing is adopted: neither by a run, nor by asking for it."""
    new = {"BORG_NEW_PASSPHRASE": "by other means", "BORG_PASSPHRASE": PASSPHRASE}
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(one_pair.server.directory / "admin"), **new}
    changed = run([one_pair.borg.path, "key", "change-passphrase", one_pair.server.repository], env=env)
    assert changed.returncode == 0, changed.stderr
    assert one_pair.told()[1]["reason"] == "repository-replaced"
    with opened(one_pair, allow="passphrase"):
        wrong = change(one_pair.client, "--adopt")
        assert wrong.returncode == 2
        assert "does not open" in wrong.stderr
    assert one_pair.told()[1]["reason"] == "repository-replaced"
    one_pair.client.passphrase_file.write_text("by other means\n")
    with opened(one_pair, allow="passphrase"):
        right = change(one_pair.client, "--adopt")
        assert right.returncode == 0, right.stderr
    assert one_pair.told()[0] == 0


# ---- moved


def moved(client, *words):
    return borgctl("moved", client.policy_file, *words)


def relocate(pair, name="elsewhere"):
    """Move the repository on the server, and say so in target and policy."""
    old, new = pair.server.repository, pair.server.repositories / name
    old.rename(new)
    pair.set("repository", new)
    pair.server.repository = new
    pair.client.policy_file.write_text(pair.client.policy_file.read_text().replace(str(old), str(new)))
    return old, new


def test_a_repository_that_was_moved_is_used_when_the_admin_says_so_and_not_before(pair):
    old, _ = relocate(pair)
    told = pair.told()[1]
    assert told["outcome"] == "failed", told
    assert "borgctl moved" in pair.run().stderr
    asked = moved(pair.client)
    assert (asked.returncode, "say --from OLD-PATH" in asked.stderr) == (2, True)
    result = moved(pair.client, "--from", old)
    assert result.returncode == 0, result.stderr
    code, told = pair.told()
    assert (code, told["outcome"]) == (0, "ok"), told
    assert not list(pair.client.base.glob("moved-*"))  # once
    assert pair.told()[0] == 0


def test_a_move_can_be_seen_through_a_window_too(one_pair):
    old, _ = relocate(one_pair)
    assert moved(one_pair.client, "--from", old).returncode == 0
    with opened(one_pair):
        assert len(archives(one_pair.client)) == 1
        assert not list(one_pair.client.base.glob("moved-*"))
        assert len(archives(one_pair.client)) == 1


def test_another_repository_at_the_new_path_is_refused_after_a_move(one_pair, scratch):
    old, new = relocate(one_pair)
    assert moved(one_pair.client, "--from", old).returncode == 0
    new.rename(scratch / "hidden")
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(scratch / "b")}
    assert run([one_pair.borg.path, "init", "-e", "repokey-blake2", new], env=env).returncode == 0
    assert one_pair.told()[1]["origin"] == "launcher"  # its own state knows another one
    assert [alert["reason"] for alert in alerted(one_pair)] == ["repository-replaced"]
    assert one_pair.borgpull("forget", "web1", "--repository").returncode == 0
    _, told = one_pair.told()
    assert (told["origin"], told["reason"]) == ("gate", "repository-replaced")
    assert list(one_pair.client.base.glob("moved-*"))  # it is still to be said yes to the right one
    assert one_pair.borgpull("forget", "web1", "--repository").returncode == 0
    (scratch / "swapped").mkdir()
    new.rename(scratch / "swapped/repository")
    (scratch / "hidden").rename(new)
    assert one_pair.told()[1]["outcome"] == "ok"
    assert [alert["reason"] for alert in alerted(one_pair)] == ["repository-replaced"]  # until a person accepts it


def test_a_server_that_lost_everything_begins_anew_when_the_admin_says_so(one_pair, scratch):
    one_pair.server.repository.rename(scratch / "gone")
    accepted = len(one_pair.client.records("accept"))
    assert one_pair.told("--job", "init")[1]["reason"] == "repository-gone"
    assert len(one_pair.client.records("accept")) == accepted  # nobody was asked for anything
    assert one_pair.borgpull("forget", "web1", "--repository").returncode == 0
    code, told = one_pair.told("--job", "init")
    assert (told["origin"], told["reason"]) == ("gate", "repository-known")
    assert "nothing to do" in moved(one_pair.client).stdout
    result = moved(one_pair.client, "--forget")
    assert result.returncode == 0
    assert "trust" in result.stdout
    code, told = one_pair.told("--job", "init")
    assert (code, told["outcome"]) == (0, "ok"), told
    assert one_pair.told("--job", "init")[1]["reason"] == "repository-known"
    assert one_pair.told()[0] == 0
    assert [alert["reason"] for alert in alerted(one_pair)] == ["repository-gone"]  # until a person accepts it


def test_an_earlier_state_of_a_repository_is_taken_when_the_admin_says_so_and_not_before(pair, scratch):
    repository, security = pair.server.repository, pair.client.base / "borg/.config/borg/security"
    shutil.copytree(repository, scratch / "earlier")
    assert pair.told()[1]["outcome"] == "ok"
    shutil.rmtree(repository)
    (scratch / "earlier").rename(repository)
    for _ in range(2):
        result = pair.run()
        assert (result.returncode, "borgctl moved POLICY --earlier" in result.stderr) == (2, True), result.stderr
    nonces = [path.read_text() for path in security.glob("*/nonce")]
    assert nonces
    result = moved(pair.client, "--earlier")
    assert (result.returncode, "archives made since then are gone" in result.stdout) == (0, True), result.stderr
    assert [path.read_text() for path in security.glob("*/nonce")] == nonces
    for _ in range(2):
        assert pair.told()[1]["outcome"] == "ok"


def test_no_link_in_borgs_own_directories_is_followed_to_forget_how_new_a_repository_is(one_pair, scratch):
    security, known = one_pair.client.base / "borg/.config/borg/security", scratch / "security"
    security.rename(known)
    security.symlink_to(known)
    before = sorted(path.name for path in known.glob("*/*"))
    result = moved(one_pair.client, "--earlier")
    assert (result.returncode, "in the policy's 'base'" in result.stderr) == (2, True)
    assert sorted(path.name for path in known.glob("*/*")) == before


def test_a_move_that_makes_no_sense_changes_nothing(one_pair):
    before = {path.name: path.read_text() for path in one_pair.client.base.glob("*-*") if path.is_file()}
    for words in (("--from", "/never/known"), ("--from", one_pair.server.repository), ("--from", "/x", "--forget")):
        assert moved(one_pair.client, *words).returncode == 2, words
    assert {path.name: path.read_text() for path in one_pair.client.base.glob("*-*") if path.is_file()} == before


# ---- remove


def test_a_removed_target_is_gone_and_its_repository_is_not(one_pair):
    result = one_pair.borgpull("remove", "web1")
    assert result.returncode == 0, result.stderr
    assert str(one_pair.server.repository) in result.stdout
    assert "authorized_keys" in result.stdout
    assert (one_pair.server.repository / "config").exists()
    left = [
        path for path in one_pair.server.directory.rglob("*web1*") if one_pair.server.repositories not in path.parents
    ]
    assert left == []
    assert one_pair.run().returncode == 2
    assert one_pair.borgpull("remove", "web1").returncode == 2
