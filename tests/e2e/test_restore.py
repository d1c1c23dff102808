"""Restores from end to end, as docs/restore.md tells them: here, on a new machine, and with the server alone."""

import os
import re
import shutil

import machines
import pytest
from machines import PASSPHRASE, Client, Sshd, run, same_tree
from pair import Pair, with_an_archive, with_windows
from windows import archives, borgctl, opened
from windows import borg as through_window

MODES = ("repokey-blake2", "keyfile-blake2")


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def borg(mode, find_borg):
    return find_borg("borg-1.4" if mode.startswith("repokey") else "borg-debian")


@pytest.fixture
def pair(kept, borg, mode):
    return kept(with_an_archive, borg, "stdio", mode)


def page(client):
    """Print the recovery page; return its text, the passphrase on it, and the key as it is typed."""
    result = borgctl("recovery", client.policy_file, "--wait", "60")
    assert result.returncode == 0, result.stderr
    passphrase = re.search(r"(?m)^passphrase +(.+)$", result.stdout)[1]
    lines = re.findall(r"(?m)^(?:id| ?\d+): ([0-9a-f /]+ - [0-9a-f]{2})$", result.stdout)
    return result.stdout, passphrase, "".join(f"{line}\n" for line in lines)


def test_a_file_and_the_whole_tree_come_back_byte_for_byte(pair, scratch):
    with opened(pair):
        (archive,) = archives(pair.client)
        name = str(pair.client.source / "data.bin").lstrip("/")
        assert through_window(pair.client, "extract", f"::{archive}", name, cwd=scratch).returncode == 0
        assert (scratch / name).read_bytes() == (pair.client.source / "data.bin").read_bytes()
        whole = scratch / "whole"
        whole.mkdir()
        assert through_window(pair.client, "extract", f"::{archive}", cwd=whole).returncode == 0
    assert same_tree(pair.client.source, whole / str(pair.client.source).lstrip("/")) == []


def test_a_new_machine_restores_with_the_recovery_page_after_the_loss_of_the_old_one(pair, scratch, borg, mode):
    with opened(pair):
        text, passphrase, key = page(pair.client)
    source = scratch / "kept"
    shutil.copytree(pair.client.source, source, symlinks=True)
    place = str(pair.client.source).lstrip("/")
    shutil.rmtree(pair.client.directory)
    pair.sshd.replace_keys()
    with Sshd(scratch / "new-sshd") as sshd:
        client = Client(scratch / "new", pair.server.repository, borg=borg.path)
        assert f"repository  {pair.server.repository} on the server" in text
        assert (
            "server      127.0.0.1, where this machine is the target __________\n" in text
        )  # its key is not in ~/.ssh
        client.passphrase_file.write_text(passphrase + "\n")
        with_windows(client, mode)
        public = (pair.server.config / "keys/web1.pub").read_text().strip()
        argv = [machines.program("borgctl"), "authorize", public, client.policy_file, "--host-key", sshd.host_key_file]
        printed = run(argv).stdout
        (line,) = [line for line in printed.splitlines() if line and not line.startswith("#")]
        sshd.authorize(line)
        trusted = pair.borgpull("trust", "--replace", "web1", sshd.host_key)
        assert trusted.returncode == 0, trusted.stderr
        pair.set("port", sshd.port)
        new = Renewed(pair, client, sshd)
        with opened(new):
            if mode.startswith("keyfile"):
                imported = through_window(client, "key", "import", "--paper", "::", input=key)
                assert imported.returncode == 0, imported.stderr
            (archive,) = archives(client)
            out = scratch / "out"
            out.mkdir()
            result = through_window(client, "extract", f"::{archive}", cwd=out)
            assert result.returncode == 0, result.stderr
            told = through_window(client, "info", "--json").stdout
        assert same_tree(source, out / place) == []
        assert re.search(r"(?m)^id +([0-9a-f]{64})$", text)[1] in told
        code, report = new.told()  # backups go on from here, and the server has noticed that the log is another
        assert (code, report["outcome"]) == (1, "ok"), report
        assert [alert["reason"] for alert in report["alerts"]] == ["audit-broken"], report
        accepted = pair.borgpull("accept", "web1", "--reason", "a new machine")
        assert accepted.returncode == 0, accepted.stderr
        code, report = new.told()
        assert (code, report["outcome"]) == (0, "ok"), report


class Renewed(Pair):
    """The same server with a new client."""

    def __init__(self, old, client, sshd):
        self.client, self.sshd = client, sshd
        self.server, self.borg, self.transport = old.server, old.borg, old.transport


def test_the_server_alone_restores_where_the_admin_hands_it_the_page(pair, scratch, mode):
    with opened(pair):
        _, passphrase, key = page(pair.client)
    out = scratch / "out"
    out.mkdir()
    env = {
        "PATH": "/usr/bin:/bin",
        "BORG_PASSPHRASE": passphrase,
        "BORG_BASE_DIR": str(pair.server.directory / "admin"),
    }
    if mode.startswith("keyfile"):
        imported = run([pair.borg.path, "key", "import", "--paper", pair.server.repository], env=env, input=key)
        assert imported.returncode == 0, imported.stdout + imported.stderr
    names = run([pair.borg.path, "list", "--short", pair.server.repository], env=env)
    assert names.returncode == 0, names.stderr
    result = run([pair.borg.path, "extract", f"{pair.server.repository}::{names.stdout.strip()}"], env=env, cwd=out)
    assert result.returncode == 0, result.stderr
    assert same_tree(pair.client.source, out / str(pair.client.source).lstrip("/")) == []


@pytest.mark.parametrize("mode", ["repokey-blake2"])
def test_a_key_that_the_server_has_lost_comes_back_from_the_page(pair, scratch, mode):
    with opened(pair):
        _, passphrase, key = page(pair.client)
    config = pair.server.repository / "config"
    config.write_text(re.sub(r"(?ms)^key = .*\Z", "", config.read_text()))
    env = {
        "PATH": "/usr/bin:/bin",
        "BORG_PASSPHRASE": passphrase,
        "BORG_BASE_DIR": str(pair.server.directory / "admin"),
    }
    assert run([pair.borg.path, "list", pair.server.repository], env=env).returncode != 0
    imported = run([pair.borg.path, "key", "import", "--paper", pair.server.repository], env=env, input=key)
    assert imported.returncode == 0, imported.stderr
    code, told = pair.told()
    assert (code, told["outcome"]) == (1, "ok")  # the very key that the client knows, and the launcher saw the change
    assert [alert["reason"] for alert in told["alerts"]] == ["config-changed"]


def test_the_recovery_page_holds_the_passphrase_and_leaves_a_note(pair, mode):
    from borgctl.state import recovery
    from borgctl.state.state_dir import StateDir
    from borgctl.values import RepositoryPath

    path = RepositoryPath(str(pair.server.repository))
    base = StateDir.open(str(pair.client.base))
    try:
        assert "never printed" in recovery.due(base, path)
        with opened(pair, allow="passphrase"):
            assert page(pair.client)[1] == PASSPHRASE
            assert recovery.due(base, path) is None
            changed = borgctl("passphrase", pair.client.policy_file, "--wait", "60")
            assert changed.returncode == 0, changed.stderr
            assert "has changed since" in recovery.due(base, path)
            assert page(pair.client)[1] == pair.client.passphrase_file.read_text().strip()
            assert recovery.due(base, path) is None
    finally:
        os.close(base.fd)
