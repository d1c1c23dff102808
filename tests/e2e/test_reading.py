"""A run that does not end: the client's record names the file that borg was at; the server learns nothing."""

import os

import pytest
from machines import key_line
from pulling import last_line, over_stdio


@pytest.fixture
def pull(client, key, sshd, server, borg):
    """What asks the gate over a real sshd, with a `borg serve` at the other end."""
    sshd.authorize(key_line(key, client.command(key)))
    return lambda request: over_stdio(sshd.ssh_argv(key), request, borg.path, server.repository, server.state)


@pytest.mark.parametrize(("borg", "disclose"), [("borg-1.4", "counts"), ("borg-debian", "names")], indirect=["borg"])
def test_a_run_that_a_sparse_file_keeps_names_it_in_the_clients_record(client, pull, disclose):
    file = client.source / "disk-image.img"
    file.touch()
    os.truncate(file, 8 << 40)
    assert last_line(pull("run init"))["outcome"] == "ok"
    client.policy(limits={"runtime": "8s"}, disclose=disclose)
    result = pull("run default")
    assert last_line(result)["reason"] == "runtime-limit", result.stderr
    record = client.records("exit")[-1]
    assert (record["reason"], record["reading"]) == ("runtime-limit", str(file))
    assert "disk-image" not in result.stderr


def test_a_sparse_file_is_skipped_over_where_the_policy_says_so(client, pull):
    """What docs/policy.md says of holes: the size of the file takes no time."""
    (client.source / "disk-image.img").touch()
    os.truncate(client.source / "disk-image.img", 64 << 30)
    assert last_line(pull("run init"))["outcome"] == "ok"
    options = {"sparse": True, "chunker-params": "fixed,4194304"}
    client.policy(jobs={"default": {"paths": [client.source], "options": options}})
    assert last_line(pull("run default"))["outcome"] == "ok"
    assert "reading" not in client.records("exit")[-1]
