"""doctor's verdicts against what a real sshd then really allows, row by row and option by option."""

import json
import os
import pwd
import shutil
import sys

import machines
import probes
import pytest
from machines import run

from borgctl.cli.doctor.examine import Examination, examine

FORWARDING = "restrict,port-forwarding"
NOBODY = 'permitopen="localhost:1"', 'permitlisten="localhost:1"'

# Options of the key line and lines of sshd_config: what each row leaves open is asked of sshd, not written here.
ROWS = {
    "restrict": ("restrict", ""),
    "restrict, with unlink": ("restrict", "StreamLocalBindUnlink yes"),
    "restrict comes last": ("port-forwarding,restrict", ""),
    "port-forwarding": (FORWARDING, ""),
    "no restrict": ("no-x11-forwarding", ""),
    "no-port-forwarding": ("no-port-forwarding", ""),
    "permitopen": (f"{FORWARDING},{NOBODY[0]}", ""),
    "permitopen for everything": (f'{FORWARDING},permitopen="*:*"', ""),
    "permitopen for a port of every host": (f'{FORWARDING},permitopen="*:1"', ""),
    "permitlisten": (f"{FORWARDING},{NOBODY[1]}", ""),
    "permitopen and permitlisten": (f"{FORWARDING},{','.join(NOBODY)}", ""),
    "tcp no": (FORWARDING, "AllowTcpForwarding no"),
    "tcp remote": (FORWARDING, "AllowTcpForwarding remote"),
    "tcp local": (FORWARDING, "AllowTcpForwarding local"),
    "tcp no, with permitlisten": (f"{FORWARDING},{NOBODY[1]}", "AllowTcpForwarding no"),
    "tcp remote, with permitopen": (f'{FORWARDING},permitopen="*:*"', "AllowTcpForwarding remote"),
    "sockets remote": (FORWARDING, "AllowStreamLocalForwarding remote"),
    "sockets local": (FORWARDING, "AllowStreamLocalForwarding local"),
    "sockets no": (FORWARDING, "AllowStreamLocalForwarding no"),
    "sockets remote, tcp no": (FORWARDING, "AllowStreamLocalForwarding remote\nAllowTcpForwarding no"),
    "sockets and tcp remote": (FORWARDING, "AllowStreamLocalForwarding remote\nAllowTcpForwarding remote"),
    "sockets and tcp remote, PermitListen none": (
        FORWARDING,
        "AllowStreamLocalForwarding remote\nAllowTcpForwarding remote\nPermitListen none",
    ),
    "PermitOpen none": (FORWARDING, "PermitOpen none"),
    "PermitOpen another": (FORWARDING, "PermitOpen localhost:1"),
    "PermitListen none": (FORWARDING, "PermitListen none"),
    "DisableForwarding": (FORWARDING, "DisableForwarding yes"),
    "unlink": (FORWARDING, "StreamLocalBindUnlink yes"),
    "mask": (FORWARDING, "StreamLocalBindMask 0000"),
    "a Match block for the user": (FORWARDING, "Match User {user}\n  AllowTcpForwarding no"),
    "a Match block for the address": (FORWARDING, "Match Address 127.0.0.1\n  DisableForwarding yes"),
    "a Match block for somebody else": (FORWARDING, "DisableForwarding no\nMatch User nobody\n  DisableForwarding yes"),
}


def doctor(sshd, key):
    """Return what doctor finds about this sshd."""
    config = str(sshd.directory / "sshd_config")
    return examine(Examination(key=key.public, login=sshd.user, addr="127.0.0.1", config=config)).plain


def topics(report, title):
    return {
        finding["topic"]: finding
        for section in report["sections"]
        if section["title"].startswith(title)
        for finding in section["findings"]
    }


def is_open(found, topic):
    return topic in found and found[topic]["level"] == "open"


def test_the_program_says_what_was_found_and_ends_with_its_status(sshd, key):
    sshd.authorize(machines.key_line(key, "true", FORWARDING))
    argv = [machines.program("borgctl"), "doctor", "--key", key.public, "--login", sshd.user, "--addr", "127.0.0.1"]
    done = run([*argv, "--sshd-config", sshd.directory / "sshd_config", "--json"])
    said, found = json.loads(done.stdout), doctor(sshd, key)
    assert (done.returncode, said["status"], found["status"], done.stderr) == (2, 2, 2, "")
    assert topics(said, "key ") == topics(found, "key ") and is_open(topics(said, "key "), "tcp-out")


@pytest.mark.parametrize("row", ROWS)
def test_forwarding_is_open_where_doctor_says_so_and_nowhere_else(sshd, key, scratch, row):
    options, settings = ROWS[row]
    sshd.configure(settings.format(user=sshd.user))
    sshd.authorize(machines.key_line(key, "true", options))
    found = topics(doctor(sshd, key), "key ")
    made = probes.listens_on_socket(sshd, key, scratch)
    really = {
        "tcp-out": probes.dials_tcp(sshd, key),
        "tcp-in": probes.listens_on_tcp(sshd, key),
        "socket-out": probes.dials_socket(sshd, key, scratch),
        "socket-in": made is not None,
        "unlink": probes.unlinks_a_file(sshd, key, scratch),
        "socket-mode": bool(made is not None and made & 0o177),
    }
    said = {topic: is_open(found, topic) for topic in really}
    if row == "permitopen for a port of every host":
        assert said.pop("tcp-out")  # another port than the one tried is open
        assert not really.pop("tcp-out")
    assert said == really


SAYS = 'test -t 0 && echo terminal; echo "agent=$SSH_AUTH_SOCK"'


@pytest.mark.parametrize(
    ("options", "settings", "terminal", "agent"),
    [
        ("restrict", "", False, False),
        ("restrict,pty", "", True, False),
        ("restrict,pty", "PermitTTY no", False, False),
        ("restrict,agent-forwarding", "", False, True),
        ("restrict,agent-forwarding", "AllowAgentForwarding no", False, False),
        ("restrict,agent-forwarding,PTY", "DisableForwarding yes", True, False),
        ("no-pty", "", False, True),
        ("no-agent-forwarding", "", True, False),
    ],
)
def test_terminal_and_agent_are_open_where_doctor_says_so(sshd, key, scratch, options, settings, terminal, agent):
    sshd.configure(settings)
    sshd.authorize(machines.key_line(key, SAYS, options))
    found = topics(doctor(sshd, key), "key ")
    assert probes.has_a_terminal(sshd, key) is terminal
    assert probes.has_an_agent(sshd, key, scratch) is agent
    assert is_open(found, "terminal") is terminal
    assert (found["agent"]["level"] == "warn") is agent


@pytest.mark.parametrize(
    ("options", "settings", "x11"),
    [
        ("restrict", "X11Forwarding yes", False),
        ("restrict,x11-forwarding", "X11Forwarding yes", True),
        ("restrict,x11-forwarding", "X11Forwarding no", False),
        ("restrict,x11-forwarding", "X11Forwarding yes\nDisableForwarding yes", False),
    ],
)
def test_x11_is_open_where_doctor_says_so(sshd, key, scratch, options, settings, x11):
    xauth = scratch / "xauth"
    xauth.write_text("#!/bin/sh\necho .\n")
    xauth.chmod(0o755)
    sshd.configure([settings, f"XAuthLocation {xauth}"])
    sshd.authorize(machines.key_line(key, 'echo "display=$DISPLAY"', options))
    said = run(sshd.ssh_argv(key, "-X"), env={**os.environ, "DISPLAY": ":99"}).stdout
    assert ("display=localhost:" in said) is x11
    assert is_open(topics(doctor(sshd, key), "key "), "x11") is x11


@pytest.mark.parametrize(
    ("options", "settings", "tunnel"),
    [
        ("restrict", "", False),
        ("restrict", "PermitTunnel yes", None),
        ("restrict", "PermitTunnel point-to-point\nDisableForwarding yes", None),
        ('no-pty,tunnel="7"', "PermitTunnel no", False),
    ],
)
def test_no_tunnel_is_open_where_doctor_says_closed(sshd, key, options, settings, tunnel):
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("only root can make a network device, and only where the kernel has them")
    sshd.configure(f"LogLevel DEBUG1\n{settings}")
    sshd.authorize(machines.key_line(key, "true", options))
    found = topics(doctor(sshd, key), "key ")
    assert is_open(found, "tunnel") is (tunnel is None)
    really = probes.makes_a_tunnel(sshd, key)
    assert really is (tunnel is None) or _version() > (9, 2)  # later ones ask 'restrict'


def _version():
    said = run([machines.SSHD, "-V"]).stderr
    number = said.partition("OpenSSH_")[2]
    return tuple(int(part) for part in number.partition("p")[0].partition(",")[0].split("."))


@pytest.mark.parametrize(
    ("accept", "runs"),
    [("LANG LC_*", False), ("BORG_*", False), ("BASH_ENV", True), ("*", True), ("B?SH_*", True), ("B[A]SH_ENV", False)],
)
def test_variables_act_before_the_gate_where_doctor_says_so(sshd, key, scratch, accept, runs):
    if not machines.run(["getent", "passwd", sshd.user]).stdout.strip().endswith("bash"):
        pytest.skip("another login shell reads other variables")
    sshd.configure(f"AcceptEnv {accept}")
    sshd.authorize(machines.key_line(key, "bash -c true; true"))
    assert probes.sends_a_variable_that_runs(sshd, key, scratch) is runs
    found = topics(doctor(sshd, key), f"login {sshd.user}")
    assert is_open(found, "environment") is runs
    if runs:
        (why,) = found["environment"]["why"]
        assert why == f"AcceptEnv {accept} ({sshd.directory}/sshd_config:{_line(sshd, 'AcceptEnv')})"


def _line(sshd, keyword):
    lines = (sshd.directory / "sshd_config").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(keyword))


@pytest.mark.parametrize(
    ("options", "settings", "reads"),
    [
        ('restrict,environment="MARK=set"', "", False),
        ('restrict,environment="MARK=set"', "PermitUserEnvironment yes", True),
        ('restrict,environment="MARK=set"', "PermitUserEnvironment MA*", True),
    ],
)
def test_variables_of_files_count_where_doctor_says_so(sshd, key, options, settings, reads):
    sshd.configure(settings)
    sshd.authorize(machines.key_line(key, 'echo "mark=$MARK"', options))
    assert ("mark=set" in run(sshd.ssh_argv(key)).stdout) is reads
    assert (topics(doctor(sshd, key), "key ")["user-env"]["level"] == "warn") is reads


class TestTheCommand:
    @pytest.fixture
    def client(self, scratch, server, one_borg):
        return machines.Client(scratch / "client", server.repository, borg=one_borg.path)

    def asked(self, sshd, key, scratch):
        """Return whether any command runs, after asking doctor: the two must agree."""
        report = doctor(sshd, key)
        runs = probes.runs_a_command(sshd, key, scratch)
        said = any(
            finding["topic"] == "command" and finding["level"] == "open"
            for section in report["sections"]
            for finding in section["findings"]
        )
        assert said is runs
        return runs, report

    def test_is_closed_where_the_gate_is_forced(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, client.command(key)))
        runs, report = self.asked(sshd, key, scratch)
        assert not runs
        assert f"the gate with {client.policy_file}" in topics(report, "key ")["command"]["text"]
        assert topics(report, f"policy {client.policy_file}")["borg"]["level"] == "ok"

    def test_is_open_without_one(self, sshd, key, scratch):
        sshd.authorize(f"restrict {key.public}")
        assert self.asked(sshd, key, scratch)[0]

    def test_is_open_where_a_line_of_the_same_key_comes_first(self, sshd, key, scratch, client):
        sshd.authorize(key.public)
        sshd.authorize(machines.key_line(key, client.command(key)))
        runs, report = self.asked(sshd, key, scratch)
        assert runs
        last = [section for section in report["sections"] if section["title"].startswith("key ")][-1]
        assert last["findings"][0]["text"] == f"never used: {sshd.directory}/authorized_keys:1 comes first"

    def test_is_closed_where_the_gate_s_line_comes_first(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, client.command(key)))
        sshd.authorize(key.public)
        assert not self.asked(sshd, key, scratch)[0]

    def test_is_open_where_the_gate_s_line_is_for_other_addresses(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, client.command(key), 'restrict,from="192.0.2.7"'))
        sshd.authorize(key.public)
        assert self.asked(sshd, key, scratch)[0]

    def test_is_open_where_sshd_ignores_the_gate_s_line(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, client.command(key), "restrict,no-such-option"))
        sshd.authorize(key.public)
        runs, report = self.asked(sshd, key, scratch)
        assert runs
        assert topics(report, "key ")["key-line"]["text"] == "sshd ignores this line: unknown key option"

    @pytest.mark.parametrize("options", ['environment="=x"', 'tunnel="x"', 'from=""', 'permitopen="x:65536"'])
    def test_is_open_where_sshd_does_not_like_a_value_of_the_gate_s_line(self, sshd, key, scratch, client, options):
        sshd.authorize(machines.key_line(key, client.command(key), f"restrict,{options}"))
        sshd.authorize(key.public)
        assert self.asked(sshd, key, scratch)[0]

    @pytest.mark.parametrize("written", ["{}\0x", "{}\f", "\t{}\v", ", {}"])
    def test_is_open_by_a_line_that_is_written_oddly(self, sshd, key, scratch, client, written):
        sshd.authorize(written.format(" ".join(key.public.split()[:2])))
        sshd.authorize(machines.key_line(key, client.command(key)))
        assert self.asked(sshd, key, scratch)[0]

    @pytest.mark.parametrize("written", ["\r{}", "{}="])
    def test_is_open_where_the_gate_s_line_is_none_to_sshd(self, sshd, key, scratch, client, written):
        line = machines.key_line(key, client.command(key)).rpartition(" ")[0]
        assert line.split()[-1] == key.public.split()[1]
        sshd.authorize(written.format(line))
        sshd.authorize(key.public)
        assert self.asked(sshd, key, scratch)[0]

    def test_is_what_sshd_forces_whatever_the_line_says(self, sshd, key, scratch, client):
        sshd.configure(f"ForceCommand {client.command(key)}")
        sshd.authorize(key.public)
        assert not self.asked(sshd, key, scratch)[0]

    def test_is_open_to_a_shell_that_is_called_like_the_gate(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, f'eval "$SSH_ORIGINAL_COMMAND"; {client.command(key)}'))
        assert self.asked(sshd, key, scratch)[0]

    def test_is_open_where_the_key_may_sign_certificates_for_itself(self, sshd, key, scratch, client):
        sshd.authorize(machines.key_line(key, client.command(key)))
        sshd.authorize(f"cert-authority {key.public}")
        other = machines.keypair(scratch, "other")
        run(["ssh-keygen", "-q", "-s", key.path, "-I", "x", "-n", sshd.user, f"{other.path}.pub"])
        assert probes.runs_a_command(sshd, other, scratch)
        last = [section for section in doctor(sshd, key)["sections"] if section["title"].startswith("key ")][-1]
        assert {finding["topic"] for finding in last["findings"] if finding["level"] == "open"} >= {
            "command",
            "tcp-out",
        }

    def test_certificates_open_what_the_key_line_closes(self, sshd, key, scratch, client):
        sshd.configure(f"TrustedUserCAKeys {key.path}.pub")
        sshd.authorize(machines.key_line(key, client.command(key)))
        other = machines.keypair(scratch, "other")
        signed = run(["ssh-keygen", "-q", "-s", key.path, "-I", "x", "-n", sshd.user, f"{other.path}.pub"])
        assert signed.returncode == 0, signed.stderr
        assert probes.runs_a_command(sshd, other, scratch)
        found = topics(doctor(sshd, key), "key ")
        assert found["certificates"]["level"] == "open"
        assert found["certificates"]["why"] == [f"TrustedUserCAKeys has it ({key.path}.pub:1)"]


def test_the_user_s_rc_file_runs_where_doctor_says_so(scratch, key, user_with_home):
    home = scratch / "home"
    (home / ".ssh").mkdir(mode=0o755)
    (home / ".ssh/rc").write_text("echo ran\n")
    with machines.Sshd(scratch / "sshd", user=user_with_home) as sshd:
        sshd.directory.chmod(0o711)
        for options, settings, runs in (
            ("restrict", "", False),
            ("restrict,user-rc", "", True),
            ("restrict,user-rc", "PermitUserRC no", False),
            ("restrict,user-rc", "ForceCommand true", False),
        ):
            sshd.configure(settings)
            sshd.replace_keys(machines.key_line(key, "true", options))
            assert ("ran" in run(sshd.ssh_argv(key)).stdout) is runs
            assert (topics(doctor(sshd, key), "key ")["user-rc"]["level"] == "warn") is runs


def test_start_up_files_that_others_may_write_are_open(scratch, key, user_with_home):
    home = scratch / "home"
    run(["usermod", "--shell", "/bin/bash", user_with_home])
    proof = scratch / "home/proof"
    (home / ".bashrc").write_text(f"touch {proof}\n")
    with machines.Sshd(scratch / "sshd", user=user_with_home) as sshd:
        sshd.directory.chmod(0o711)
        sshd.authorize(machines.key_line(key, "true"))
        (home / ".bashrc").chmod(0o644)
        assert topics(doctor(sshd, key), "login ")["start-up"]["level"] == "ok"
        (home / ".bashrc").chmod(0o666)
        found = topics(doctor(sshd, key), "login ")["start-up"]
        run(sshd.ssh_argv(key))
    assert found["level"] == "open"
    assert str(home / ".bashrc") in found["why"][0]
    assert proof.exists()  # it does run before the command


@pytest.fixture
def user_with_home(scratch):
    """A user of this test's own, with a home that they own; root alone can make one."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user")
    name, home = f"bt{os.getpid()}-doctor", scratch / "home"
    scratch.chmod(0o711)
    made = ["useradd", "--system", "--create-home", "--home-dir", home, "--shell", "/bin/sh", "--password", "*", name]
    assert run(made).returncode == 0
    (home / ".bashrc").unlink(missing_ok=True)
    shutil.chown(home, name)
    try:
        yield name
    finally:
        run(["userdel", name])


def test_an_ordinary_user_sees_what_they_may_and_is_told_what_they_may_not(scratch, key, user_with_home):
    with machines.Sshd(scratch / "sshd", user=user_with_home) as sshd:
        sshd.directory.chmod(0o711)
        sshd.configure("AcceptEnv *")
        sshd.authorize(machines.key_line(key, "true", FORWARDING))
        config = sshd.directory / "sshd_config"
        config.chmod(0o644)
        report = _as_user(user_with_home, key, config)
        assert is_open(topics(report, "key "), "tcp-out")
        assert is_open(topics(report, "login "), "environment")
        config.chmod(0o600)
        report = _as_user(user_with_home, key, config)
        found = topics(report, "login ")["sshd"]
        assert (found["level"], found["change"]) == ("unseen", "ask again as root")


def test_other_accounts_that_the_key_opens_are_found_and_choose_nothing_that_runs(scratch, key, user_with_home):
    keys, proof, python = scratch / "keys", scratch / "proof", scratch / "home/python3"
    keys.mkdir(mode=0o755)
    python.write_text(f"#!/bin/sh\ntouch {proof}\n")
    python.chmod(0o755)
    shutil.chown(python, user_with_home)
    line = machines.key_line(key, f"{python} -I -m borgctl.gate --policy /etc/shadow", "no-pty")
    (keys / user_with_home).write_text(f"{line}\n")
    (keys / "root").write_text(f"{machines.key_line(key, 'true')}\n")
    shutil.chown(keys / user_with_home, user_with_home)
    with machines.Sshd(scratch / "sshd", extra=f"AuthorizedKeysFile {keys}/%u") as sshd:
        argv = [machines.program("borgctl"), "doctor", "--key", key.public, "--addr", "127.0.0.1", "--json"]
        report = json.loads(run([*argv, "--sshd-config", sshd.directory / "sshd_config"]).stdout)
    titles = [section["title"] for section in report["sections"]]
    assert f"login {user_with_home}" in titles
    own = next(section for section in report["sections"] if f"login {user_with_home} (" in section["title"])
    assert {finding["topic"] for finding in own["findings"] if finding["level"] == "open"} >= {"tcp-out", "socket-out"}
    assert topics(report, f"interpreter {python}")["python"]["level"] == "unseen"
    assert topics(report, "policy /etc/shadow")["policy"]["level"] == "unseen"
    assert not proof.exists()


AS_USER = """
import json, os, sys
from borgctl.cli.doctor.examine import Examination, examine
gid, uid, key, config = sys.argv[1:]
os.setgroups([])
os.setgid(int(gid))
os.setuid(int(uid))
print(json.dumps(examine(Examination(key=key, addr="127.0.0.1", config=config)).plain))
"""


def _as_user(name, key, config):
    """Examine as another user, in whose reach the interpreter's own files may not be."""
    account = pwd.getpwnam(name)
    done = run([sys.executable, "-I", "-c", AS_USER, account.pw_gid, account.pw_uid, key.public, config])
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
