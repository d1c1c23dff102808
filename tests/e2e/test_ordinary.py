"""Windows where the client's gate is an ordinary user's: what they can do through one, and who else cannot."""

import os
from types import SimpleNamespace

import machines
import people
import pytest
from machines import run, wait_for
from pair import Pair
from windows import assert_nothing_is_left, opened

# Asks on a window's socket for the window; prints what comes back, and gives it back at once.
REQUEST = """
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.settimeout(30)
try:
    connection.connect(sys.argv[1])
    connection.send(json.dumps({"argv": ["borg", "list"], "login": None, "repository": None, "renew": False}).encode())
    answer = connection.recv(65536)
    print(os.geteuid(), *answer.decode().splitlines())
    if answer:
        connection.send(json.dumps({"status": 0}).encode())
        while connection.recv(65536):
            pass
except PermissionError:
    print(os.geteuid(), "permission denied")
except (BrokenPipeError, ConnectionResetError):
    print(os.geteuid())
"""


@pytest.fixture
def one(scratch, server):
    """An ordinary user who backs up and restores; the server is ours."""
    debian = SimpleNamespace(path="/usr/bin/borg")  # one that the user can read
    with people.somebody(scratch, "one") as user, machines.Sshd(scratch / "sshd", user=user.name) as sshd:
        sshd.directory.chmod(0o711)  # it reads the keys as the user
        client = machines.Client(user.home / "client", server.repository, borg=debian.path)
        client.policy(window="30m")
        user.own(user.home)
        program = people.install(scratch / "programs") / "borgctl"
        pair = Pair(client, server, sshd, debian, "stdio", lambda *words: user.run([program, *words]))
        for words in (("--job", "init"), ()):
            code, told = pair.told(*words)
            assert (code, told["outcome"]) == (0, "ok"), told
        yield SimpleNamespace(user=user, program=program, pair=pair, client=client, scratch=scratch)
        wait_for(lambda: not sshd.sessions(), what=f"the sessions to end; left: {sshd.sessions()}")


def borgctl(one, *words, **options):
    return one.user.run([one.program, *words], timeout=100, **options)


def through_window(one, *words, **options):
    return borgctl(one, "window", "--policy", one.client.policy_file, "--wait", "60", "--", "borg", *words, **options)


def socket_of(one):
    """Return the socket of the window that is open."""
    return wait_for(lambda: next(one.client.base.glob("runs/*/window"), None), 30, "the window's socket")


def request(path, run=run):
    done = run(["/usr/bin/python3", "-I", "-c", REQUEST, path])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_ordinary_user_restores_through_a_window(one):
    restored = one.user.home / "restored"
    with opened(one.pair) as window:
        listed = through_window(one, "list", "--short")
        assert listed.returncode == 0, listed.stderr
        (archive,) = listed.stdout.split()
        restored.mkdir()
        one.user.own(restored)
        result = through_window(one, "extract", f"::{archive}", cwd=restored)
        assert result.returncode == 0, result.stderr
        script = one.user.home / "shell"
        script.write_text("#!/bin/sh\nborg list --short && exit 7\n")
        script.chmod(0o755)
        shell = one.user.options() | {"env": one.user.options(SHELL=str(script))["env"]}
        result = run([one.program, "window", "--policy", one.client.policy_file], timeout=100, **shell)
        assert (result.returncode, result.stdout.split()) == (7, [archive]), result.stderr
        page = borgctl(one, "recovery", one.client.policy_file, "--wait", "60")
        assert page.returncode == 0, page.stderr
        assert "/.config/borgctl/passphrase (0600)" in page.stdout and "/etc/borgctl" not in page.stdout
    there = restored / str(one.client.source).lstrip("/")
    assert machines.same_tree(one.client.source, there) == []
    assert {path.lstat().st_uid for path in there.rglob("*")} == {one.user.uid}
    records = one.client.records("window")
    assert [record["argv"][1] for record in records] == ["list", "extract", "list", "key"]
    assert {record["uid"] for record in records} == {one.user.uid}
    assert "secret" not in window.said()
    assert_nothing_is_left(one.pair)


def test_nobody_but_that_user_and_root_can_use_their_window(one):
    if os.geteuid() != 0:
        pytest.skip("only root can be three users")
    with people.person(one.scratch, "other") as other, opened(one.pair) as window:
        path = socket_of(one)
        asked = other.run([one.program, "window", "--policy", one.client.policy_file, "--", "borg", "list"])
        assert asked.returncode == 78 and "only root or the gate's user" in asked.stderr, asked.stderr
        assert request(path, other.run) == f"{other.uid} permission denied"
        for opened_up in (one.client.directory, one.client.base, path.parent.parent, path.parent):
            opened_up.chmod(0o755)
        path.chmod(0o666)
        assert request(path, other.run) == f"{other.uid}"  # sent away without a word
        assert one.client.records("window") == [] and window.poll() is None
        assert path.exists()
        assert request(path).startswith(f'0 {{"run": "{path.parent.name}"')
        assert [record["uid"] for record in one.client.records("window")] == [0]
        assert through_window(one, "list", "--short").returncode == 0
    assert_nothing_is_left(one.pair)


def test_what_borg_12_cannot_save_for_an_ordinary_user_is_said_by_lint(one):
    """It opens the directory above, which on a shared host may be open for passing through only; 1.4 does not."""
    opens = run([one.pair.borg.path, "--version"]).stdout.startswith("borg 1.2.")
    place = one.scratch / "homes/one"
    place.mkdir(parents=True)
    (place / "file").touch()
    one.user.own(place)
    one.client.policy(jobs={"default": {"paths": [place]}})
    for mode, outcome, said in ((0o311, "failed" if opens else "ok", opens), (0o755, "ok", False)):
        place.parent.chmod(mode)
        _, told = one.pair.told()
        linted = borgctl(one, "lint", one.client.policy_file).stdout
        assert (told["outcome"], "opens the directory above" in linted) == (outcome, said), linted


def test_root_is_not_led_by_another_users_policy_and_is_told_how_to_become_them(one):
    if os.geteuid() != 0:
        pytest.skip("for root alone is that a danger")
    policy = one.client.policy_file
    for words in (("window", "--policy", policy, "--", "borg", "list"), ("recovery", policy), ("passphrase", policy)):
        done = run([machines.program("borgctl"), *words])
        assert done.returncode == 78 and f"runuser -u {one.user.name} -- borgctl" in done.stderr, done.stderr
