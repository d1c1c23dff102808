"""A client and a server on this machine that know each other, set up as the README says, with the real commands."""

import json
import re

import machines
from machines import run


class Pair:
    """A client and a server that know each other, set up by the two pastes of the README.

    `borgctl` runs that program with words as the client's admin; without it, as we are.
    """

    def __init__(self, client, server, sshd, borg, transport, borgctl=None):
        borgctl = borgctl or (lambda *words: run([machines.program("borgctl"), *words]))
        self.client, self.server, self.sshd, self.borg, self.transport = client, server, sshd, borg, transport
        policy = client.policy_file
        added = self.borgpull(
            *("add", "web1", f"{sshd.user}@127.0.0.1", "--port", sshd.port, "--repository", server.repository),
            *("--quota", "1G", "--transport", transport, "--client-policy", policy),
        )
        assert added.returncode == 0, added.stderr
        pasted = re.search(r"borgctl authorize '([^']+)' (\S+)", added.stdout)
        assert pasted[2] == str(policy)
        words = ("authorize", pasted[1], policy, "--transport", transport, "--host-key", sshd.host_key_file)
        printed = borgctl(*words)
        assert printed.returncode == 0, printed.stderr
        assert "Warning" not in printed.stdout or not str(policy).startswith("/root"), printed.stdout
        (self._key_line,) = [line for line in printed.stdout.splitlines() if line and not line.startswith("#")]
        self.join()
        trust = re.search(r"borgpull trust web1 '([^']+)'", printed.stdout)
        trusted = self.borgpull("trust", "web1", trust[1])
        assert trusted.returncode == 0, trusted.stderr
        if transport == "socket":
            self.set("socket_directory", client.socket_directory)
        self.set("borg", borg.path)
        self.set("jobs", "{prune: {deletes: any, run: no}}")

    def join(self):
        """Make the sshd know the client's server."""
        self.sshd.authorize(self._key_line)
        if self.transport == "socket":
            self.sshd.configure("StreamLocalBindUnlink no")

    def set(self, key, value):
        target = self.server.config / "targets/web1.yaml"
        lines = [line for line in target.read_text().splitlines() if not line.startswith(f"{key}:")]
        target.write_text("\n".join([*lines, f"{key}: {value}", ""]))

    def borgpull(self, *words, **options):
        return run(self.server.borgpull(*words), **options)

    def run(self, *words, **options):
        self.client.wait_for_a_new_name()
        return self.borgpull("run", "web1", *words, **options)

    def told(self, *words):
        """Run with --json; return the exit status and the last run's object."""
        result = self.run("--json", *words)
        assert result.stdout, result.stderr
        return result.returncode, json.loads(result.stdout.splitlines()[-1])

    def good(self, *words):
        """Run, and fail where all is not well."""
        code, told = self.told(*words)
        assert (code, told["outcome"]) == (0, "ok"), told

    def borg_local(self, *words):
        """Run borg on the repository itself, with the passphrase, as somebody who holds both."""
        env = {
            "PATH": "/usr/bin:/bin",
            "BORG_PASSPHRASE": machines.PASSPHRASE,
            "BORG_BASE_DIR": str(self.server.directory / "admin"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        return run([self.borg.path, *words], env=env, cwd=self.server.directory)


def set_up(directory, sshd, borg, transport):
    """Make a pair without a repository."""
    server = machines.Server(directory / "server")
    client = machines.Client(directory / "client", server.repository, borg=borg.path)
    return Pair(client, server, sshd, borg, transport)


def with_a_repository(directory, sshd, borg, transport):
    """Make a pair and its repository."""
    pair = set_up(directory, sshd, borg, transport)
    pair.good("--job", "init")
    return pair


def with_an_archive(directory, sshd, borg, transport, mode):
    """Make a pair, its repository and a first backup, under a policy that has windows."""
    pair = set_up(directory, sshd, borg, transport)
    with_windows(pair.client, mode)
    pair.good("--job", "init")
    pair.good()
    return pair


def with_windows(client, mode):
    """Write the policy that `with_an_archive` works under."""
    init = {"command": "init", "options": {"encryption": mode}}
    client.policy(window="30m", jobs={"default": {"paths": [client.source]}, "init": init})
