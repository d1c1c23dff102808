"""Why no policy may accept BORG_PASSPHRASE from a server, not even where the key is a keyfile on the client."""

import os

import pytest
from machines import run

from borgctl.policy import load
from borgctl.policy.load import InvalidPolicy


def test_a_server_that_knows_the_passphrase_swaps_the_repository_and_reads_what_it_is_sent(scratch, borg):
    """A keyfile does not help: borg takes an unknown repository with a key of its own, if the passphrase opens it."""

    def call(who, *words):
        env = {
            "PATH": "/usr/bin:/bin",
            "BORG_BASE_DIR": str(scratch / who),
            "BORG_PASSPHRASE": "known to the server",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "no",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "no",
        }
        return run([borg.path, *words], env=env, cwd=scratch)

    (scratch / "data").mkdir()
    (scratch / "data/file").write_text("secret")
    repository = scratch / "repository"
    assert call("client", "init", "-e", "keyfile-blake2", repository).returncode == 0
    assert call("client", "create", f"{repository}::one", "data").returncode == 0
    os.rename(repository, scratch / "away")
    assert call("server", "init", "-e", "repokey-blake2", repository).returncode == 0
    assert call("client", "create", f"{repository}::two", "data").returncode == 0  # no question, no warning
    assert call("server", "extract", "--stdout", f"{repository}::two", "data/file").stdout == "secret"


@pytest.mark.parametrize("name", ["BORG_PASSPHRASE", "BORG_PASSCOMMAND", "BORG_*", "BORG_RSH", "LD_PRELOAD", "PATH"])
def test_no_policy_can_accept_it_or_anything_like_it(client, name):
    for where in ("accept", "set"):
        value = [name] if where == "accept" else {name: "x"}
        with pytest.raises(InvalidPolicy, match="expected one of"):
            load.read(str(client.policy(environment={where: value})))
