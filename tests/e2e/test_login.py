"""Each login of the design: root, an ordinary user, and a user whose forced command is one sudo rule."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machines
import people
import pytest
from machines import run
from pulling import last_line, over_stdio, served_socket

USER = f"bt{os.getpid()}-login"


@pytest.fixture
def user(scratch):
    """A system user for this test; root alone can make one."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user")
    home = scratch / "home"
    made = ["useradd", "--system", "--create-home", "--home-dir", home, "--shell", "/bin/sh", "--password", "*", USER]
    subprocess.run(made, check=True)
    scratch.chmod(0o711)
    try:
        yield pwd.getpwnam(USER)
    finally:
        subprocess.run(["userdel", USER], check=True)


def authorized(policy, key, sshd, *options):
    argv = [machines.program("borgctl"), "authorize", key.public, policy, "--host-key", sshd.host_key_file]
    printed = run([*argv, *options])
    assert printed.returncode == 0, printed.stderr
    (line,) = [line for line in printed.stdout.splitlines() if line and not line.startswith("#")]
    return line, printed.stdout


@pytest.fixture
def rule():
    """A file in /etc/sudoers.d for this test."""
    assert shutil.which("sudo"), "no sudo: run 'make setup', or 'apt-get install sudo'"
    path = Path(f"/etc/sudoers.d/{USER}")
    yield path
    path.unlink(missing_ok=True)


def test_root_behind_one_sudo_rule_of_an_unprivileged_login_user(client, server, key, scratch, user, rule, one_borg):
    with machines.Sshd(scratch / "sshd", user=USER) as sshd:
        sshd.directory.chmod(0o711)  # sshd reads the keys as the user
        line, text = authorized(client.policy_file, key, sshd, "--login", "sudo")
        sshd.authorize(line)
        printed = re.findall(r"^#   ((?:Defaults!|borgctl ALL=).*)$", text, re.M)
        assert len(printed) == 2
        rule.write_text("".join(f"{entry.replace('borgctl ALL', f'{USER} ALL')}\n" for entry in printed))
        rule.chmod(0o440)
        checked = run(["visudo", "-cf", rule])
        assert checked.returncode == 0, checked.stderr
        for request, outcome in (("run init", "ok"), ("run default", "ok"), ("run weekly", "refused")):
            result = over_stdio(sshd.ssh_argv(key), request, one_borg.path, server.repository, server.state)
            assert last_line(result)["outcome"] == outcome, result.stderr
        assert client.records("accept")[-1]["peer"] == "127.0.0.1"
        # the rule is for this very command line
        other = run(["runuser", "-u", USER, "--", "sudo", "-n", "/bin/sh", "-c", "id"])
        assert other.returncode != 0
        wider = run(["runuser", "-u", USER, "--", "sudo", "-n", *client.command(key).split(), "--key", "x"])
        assert wider.returncode != 0


def test_the_socket_of_an_unprivileged_login_user_reaches_root_behind_the_sudo_rule(
    client, server, key, scratch, user, rule, one_borg
):
    """The socket is made by an sshd that has become that user, and connected by a gate that has become root again."""
    directory = scratch / "run"
    directory.mkdir(mode=0o700)
    os.chown(directory, user.pw_uid, user.pw_gid)
    client.policy(socket={"directory": directory})
    with machines.Sshd(scratch / "sshd", user=USER) as sshd:
        sshd.directory.chmod(0o711)
        line, text = authorized(client.policy_file, key, sshd, "--login", "sudo", "--transport", "socket")
        sshd.authorize(line)
        block = text.partition("# 2.")[2].partition("# 3.")[0]
        settings = [entry[1:].strip() for entry in block.splitlines() if entry.startswith("#   ")]
        sshd.configure([setting.replace("Match User borgctl", f"Match User {USER}") for setting in settings])
        printed = re.findall(r"^#   ((?:Defaults!|borgctl ALL=).*)$", text, re.M)
        rule.write_text("".join(f"{entry.replace('borgctl ALL', f'{USER} ALL')}\n" for entry in printed))
        rule.chmod(0o440)
        local = scratch / "l.sock"
        with served_socket(local, one_borg.path, server.repository, server.state) as serves:
            for job, outcome in (("init", "ok"), ("default", "ok"), ("weekly", "refused")):
                remote = directory / f"{job}.sock"
                result = run([*sshd.ssh_argv(key, "-R", f"{remote}:{local}"), f"run {job} --socket={remote}"])
                assert last_line(result)["outcome"] == outcome, result.stderr
                assert not remote.exists()
        assert len(serves) == 2
        assert [record["transport"] for record in client.records("accept")] == ["socket", "socket"]
        outsider = run(["runuser", "-u", USER, "--", "sh", "-c", f"ls {client.directory}"])
        assert outsider.returncode != 0


def opened(sshd, key):
    """Return what doctor calls open or broken for this key, by topic."""
    argv = [machines.program("borgctl"), "doctor", "--key", key.public, "--login", sshd.user, "--addr", "127.0.0.1"]
    report = json.loads(run([*argv, "--sshd-config", sshd.directory / "sshd_config", "--json"]).stdout)
    findings = [finding for section in report["sections"] for finding in section["findings"]]
    return {finding["topic"] for finding in findings if finding["level"] in ("open", "error")}


def settings(text):
    """Return the settings for sshd that authorize printed, without their comment signs."""
    block = text.partition("# 2.")[2].partition("# 3.")[0]
    return [line[1:].strip() for line in block.splitlines() if line.startswith("#   ")]


def test_root_behind_forced_commands_only(server, key, scratch, one_borg):
    if os.geteuid() != 0:
        pytest.skip("only root's sshd lets root in")
    client = machines.Client(scratch / "client", server.repository, borg=one_borg.path)
    with machines.Sshd(scratch / "sshd", root_login="forced-commands-only") as sshd:
        line, text = authorized(client.policy_file, key, sshd, "--from", "127.0.0.1,192.0.2.0/24")
        assert "PermitRootLogin prohibit-password" in text and "forced-commands-only" in text
        other = machines.keypair(scratch, "other")
        sshd.authorize(f"restrict {other.public}")
        assert run([*sshd.ssh_argv(other), "true"]).returncode == 255
        sshd.authorize(line)
        assert last_line(run([*sshd.ssh_argv(key), "hello"]))["outcome"] == "ok"
        assert opened(sshd, key) == set()


@pytest.mark.parametrize("transport", ["stdio", "socket"])
def test_what_is_printed_for_an_unprivileged_login_leaves_nothing_open(
    server, key, scratch, user, rule, one_borg, transport
):
    client = machines.Client(scratch / "client", server.repository, borg=one_borg.path)
    with machines.Sshd(scratch / "sshd", user=USER) as sshd:
        sshd.directory.chmod(0o711)
        line, text = authorized(client.policy_file, key, sshd, "--login", "sudo", "--transport", transport)
        sshd.configure([setting.replace("User borgctl", f"User {USER}") for setting in settings(text)])
        sshd.authorize(line)
        printed = re.findall(r"^#   ((?:Defaults!|borgctl ALL=).*)$", text, re.M)
        rule.write_text("".join(f"{entry.replace('borgctl ALL', f'{USER} ALL')}\n" for entry in printed))
        rule.chmod(0o440)
        assert last_line(run([*sshd.ssh_argv(key), "hello"]))["outcome"] == "ok"
        assert opened(sshd, key) == set()


AUTHORIZE = """
import encodings.ascii, os, sys
from borgctl.cli.setup.authorize import Authorization, render
gid, uid, key, policy, host_key = sys.argv[1:]
os.setgroups([])
os.setgid(int(gid))
os.setuid(int(uid))
print(render(Authorization(key, policy, host_key=host_key)))
"""


def test_an_ordinary_user_backs_up_what_they_can_read(server, key, scratch, user):
    home = Path(user.pw_dir)
    client = machines.Client(home / "client", server.repository, borg="/usr/bin/borg")
    secret = client.source / "etc/secret"
    subprocess.run(["chown", "-R", USER, home], check=True)
    secret.chmod(0)
    os.chown(secret, 0, 0)
    python = people.install(scratch / "python", gate_alone=True) / "python3"
    with machines.Sshd(scratch / "sshd", user=USER) as sshd:
        sshd.directory.chmod(0o711)
        words = (user.pw_gid, user.pw_uid, key.public, client.policy_file, sshd.host_key_file)
        printed = run([sys.executable, "-I", "-c", AUTHORIZE, *words])
        assert f"add this line to ~{USER}/.ssh/authorized_keys" in printed.stdout, printed.stderr
        (line,) = [line for line in printed.stdout.splitlines() if line and not line.startswith("#")]
        sshd.authorize(line.replace(sys.executable, str(python)))
        for request, outcome in (("run init", "ok"), ("run default", "warning")):
            result = over_stdio(sshd.ssh_argv(key), request, "/usr/bin/borg", server.repository, server.state)
            assert last_line(result)["outcome"] == outcome, result.stderr
    assert client.audit_file.stat().st_uid == user.pw_uid
    assert client.records("exit")[-1]["outcome"] == "warning"
