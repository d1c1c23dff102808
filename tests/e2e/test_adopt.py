"""The page on adoption: a repository of push mode, with its archives, is pulled into from now on."""

import machines
import pytest
from machines import run
from pair import set_up
from windows import archives, borg, opened


@pytest.fixture(params=[("borg-1.4", "repokey-blake2"), ("borg-debian", "keyfile-blake2")], ids="-".join)
def adopted(request, find_borg, scratch, sshd):
    """Return a pair over a repository that the client has filled by itself, and the files of its old keys."""
    name, mode = request.param
    pair = set_up(scratch, sshd, find_borg(name), "stdio")
    old = scratch / "old"
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(old), "BORG_PASSPHRASE": machines.PASSPHRASE}
    for words in (("init", f"--encryption={mode}", "REPO"), ("create", "REPO::pushed", str(pair.client.source))):
        done = run([pair.borg.path, *(word.replace("REPO", str(pair.server.repository)) for word in words)], env=env)
        assert done.returncode == 0, done.stderr
    pair.client.policy(window="30m")
    return pair, list(old.glob(".config/borg/keys/*"))


def test_a_repository_of_push_mode_is_pulled_into_with_all_its_archives(adopted):
    pair, keys = adopted
    if keys:
        first = pair.run()
        assert first.returncode == 2 and "borgctl window -- borg key import :: FILE" in first.stderr, first
        with opened(pair):
            imported = borg(pair.client, "key", "import", "::", keys[0])
            assert imported.returncode == 0, imported.stderr
    pair.good()
    with opened(pair):
        pushed, *pulled = archives(pair.client)
    assert pushed == "pushed" and len(pulled) == 1
