"""What borg has sent when a run has to end is not lost: it is told in time to write a checkpoint."""

import os

from machines import PASSPHRASE, key_line, run
from pulling import last_line, over_stdio


def test_a_run_that_ends_at_its_limit_leaves_a_checkpoint_and_the_next_one_goes_on(client, key, sshd, server, borg):
    sshd.authorize(key_line(key, client.command(key)))

    def pull(request):
        return over_stdio(sshd.ssh_argv(key), request, borg.path, server.repository, server.state)

    assert pull("run init").returncode == 0
    for number in range(80):
        (client.source / f"large{number:02}").write_bytes(os.urandom(1_000_000))
    jobs = {"default": {"paths": [client.source], "options": {"upload-ratelimit": 1500}}}
    client.policy(jobs=jobs, limits={"runtime": "15s"})
    result = pull("run default")
    assert (last_line(result)["outcome"], last_line(result)["reason"]) == ("limit", "runtime-limit"), result.stderr
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(server.state / "admin")}
    listed = run([borg.path, "list", "--short", "--consider-checkpoints", server.repository], env=env)
    assert [name for name in listed.stdout.split() if name.endswith(".checkpoint")], listed.stderr
    client.policy()
    assert pull("run default").returncode == 0
