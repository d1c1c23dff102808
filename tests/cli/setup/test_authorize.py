"""sample and authorize: a policy to start from, and the line that ties a key to it."""

import base64
import os
import pwd
import re
import shlex
import struct
import subprocess

import machines
import pytest
import stage
import yaml
from typer.testing import CliRunner

from borgctl import __version__
from borgctl.cli import app as command_line
from borgctl.cli.app import app
from borgctl.cli.common import policy_argument
from borgctl.cli.policy.lint import lint
from borgctl.cli.setup import authorize
from borgctl.cli.setup.authorize import Authorization, Login, render
from borgctl.cli.setup.sshd_settings import Transport
from borgctl.errors import BadValue, BorgctlError
from borgctl.openssh_key import PublicKey
from borgctl.policy import locations
from borgctl.reasons import REASONS


def blob(kind="ssh-ed25519", body=b"\0\0\0\x20" + b"k" * 32):
    return base64.b64encode(struct.pack(">I", len(kind)) + kind.encode() + body).decode()


KEY = f"ssh-ed25519 {blob()} borgpull-web1"
HOST = b"\0\0\0\x20" + b"h" * 32


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# ---- sample


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--repository", "/srv/borg/web1"),
        ("--repository", "/srv/{hostname}/a@b=c+d"),
        ("--path", "/"),
        ("--path", "/home/my files", "--path", "/var/lib/x:y", "--path", "/a, b", "--path", "/#x", "--path", "/jörg"),
        ("--path", "/[x]", "--path", "/a'b", "--path", "/yes", "--path", "/*", "--path", "/&x", "--path", "/!x"),
    ],
)
def test_the_sample_is_a_policy(arguments, tmp_path):
    done = run("sample", *arguments)
    assert done.exit_code == 0, done.output
    policy = stage.written(tmp_path, done.stdout)
    usual = ["/etc", "/home"] if stage.ROOT else [locations.home()]
    expected = [word for word in arguments if word.startswith("/")] if "--path" in arguments else usual
    assert [str(path) for path in policy.jobs["default"].paths] == expected
    assert {"default", "init", "prune"} <= set(policy.jobs)
    assert yaml.safe_load(done.stdout)["version"] == 1


def ordinary(monkeypatch, home):
    """Be an ordinary user with this home; an ordinary user stays the same."""
    if stage.ROOT:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(locations, "home", lambda: str(home))


@pytest.mark.parametrize("form", ["plain", "with a slash", "a symlink"])
def test_an_ordinary_users_sample_is_about_their_home_without_what_the_gate_keeps_there(tmp_path, monkeypatch, form):
    (tmp_path / "link").symlink_to(tmp_path)
    home = {"plain": tmp_path, "with a slash": f"{tmp_path}/", "a symlink": tmp_path / "link"}[form]
    ordinary(monkeypatch, home)
    policy = stage.written(tmp_path, run("sample").stdout)
    assert [str(path) for path in policy.jobs["default"].paths] == [str(tmp_path)]
    assert os.path.realpath(policy.passphrase.file) == f"{tmp_path}/.config/borgctl/passphrase"
    assert os.path.realpath(policy.base).startswith(f"{tmp_path}/.local/state/borgctl/")
    excluded = {value for name, value in policy.jobs["default"].options if name == "exclude"}
    assert {f"{tmp_path}/.config/borgctl/passphrase", f"{tmp_path}/.local/state/borgctl"} <= excluded
    report = lint(policy.file)
    warnings = [problem.text for problem in (*report.errors, *report.warnings)]
    assert warnings and not [text for text in warnings if "in the backup" in text or "only the link" in text]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--repository", "relative"),
        ("--repository", "/srv/{now}"),
        ("--repository", "/srv/a: {encryption: none}\n  /srv/b"),
        ("--repository", "/srv/a b"),
        ("--path", "relative"),
        ("--path", "/etc/.."),
        ("--path", "/a\nb"),
        ("--path", "/proc"),
        ("--path", '/a"]}\n'),
        ("--path", '/a"b'),
        ("--path", "/a\\"),
    ],
)
def test_what_no_policy_could_hold_makes_no_sample(arguments):
    done = run("sample", *arguments)
    assert done.exit_code != 0 and done.stdout == ""
    assert isinstance(done.exception, (BadValue, SystemExit))


# ---- authorize


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """A policy with a name that a key line can hold (pytest's own has brackets)."""
    file = tmp_path / "web1.yaml"
    stage.written(tmp_path, (stage.CORPORA / "requests/jobs.yaml").read_text(), "web1.yaml")
    return file


def lines(policy, **options):
    text = render(Authorization(KEY, str(policy), **options))
    return text.splitlines()


def key_line(policy, **options):
    """Return the one line that is no comment."""
    found = [line for line in lines(policy, **options) if not line.startswith("#")]
    assert len(found) == 1
    return found[0]


def options_of(line):
    """Split the options of a line of authorized_keys, as sshd(8) does."""
    found, rest = [], line
    while match := re.match(r'([a-z-]+)(?:="((?:[^"\\]|\\.)*)")?(,| )', rest):
        found.append((match[1], match[2]))
        rest = rest[match.end() :]
        if match[3] == " ":
            return found, rest
    raise AssertionError(line)


def test_the_key_line_begins_with_restrict_and_forces_the_gate(policy):
    options, key = options_of(key_line(policy, login=Login.ROOT))
    assert [name for name, _ in options] == ["restrict", "command"]
    assert key == KEY
    words = shlex.split(dict(options)["command"])
    assert words[0] == "exec" and words[2:] == [
        *("-I", "-m", "borgctl.gate", "--policy", str(policy), "--key", PublicKey.read(KEY).fingerprint)
    ]


def test_what_a_policy_takes_from_the_server_gets_through_sshd_and_sudo(policy):
    policy.write_text(policy.read_text() + "published: yes\nenvironment: {accept: [COLUMNS]}\n")
    taken = "BORG_REPOPATH BORG_SOCKET COLUMNS"
    for login in (Login.ROOT, Login.USER, Login.SUDO):
        text = "\n".join(lines(policy, transport=Transport.SOCKET, login=login))
        assert re.findall("AcceptEnv (.*)", text) == [taken]
    assert f'env_keep += "SSH_ORIGINAL_COMMAND SSH_CONNECTION {taken}"' in text


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows():
    # ssh-keygen -l -f of this very key, OpenSSH 9.2
    known = PublicKey.read("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr x")
    assert known.fingerprint == "SHA256:sArVyTbDlP2ByuRNM59Xf/iwOUmdy69sxylyNl3iUQQ"


def test_the_socket_transport_opens_one_port_that_is_none(policy):
    options, _ = options_of(key_line(policy, transport=Transport.SOCKET, login=Login.USER))
    assert options[:4] == [
        *(("restrict", None), ("port-forwarding", None), ("permitopen", "localhost:1"), ("permitlisten", "localhost:1"))
    ]
    text = "\n".join(lines(policy, transport=Transport.SOCKET, login=Login.USER))
    assert "StreamLocalBindUnlink no" in text


def test_with_sudo_the_rule_is_one_exact_command(policy):
    text = lines(policy, login=Login.SUDO)
    options, _ = options_of(next(line for line in text if not line.startswith("#")))
    words = shlex.split(dict(options)["command"])
    assert words[:3] == ["exec", "sudo", "-n"]
    rule = next(line for line in text if "NOPASSWD" in line)
    assert rule.partition("NOPASSWD: ")[2].replace("\\", "").split() == words[3:]


@pytest.mark.parametrize("source", ["192.0.2.1", "192.0.2.0/24,*.example.org", "!10.0.0.1,10.*", "2001:db8::/32"])
def test_addresses_may_be_named(policy, source):
    assert dict(options_of(key_line(policy, source=source))[0])["from"] == source


@pytest.mark.parametrize("source", ["", 'x",command="/bin/sh', "a b", "a\nb", "a\\", "$(id)", "x" * 501])
def test_what_would_end_the_quotes_is_refused(policy, source):
    with pytest.raises(BadValue):
        lines(policy, source=source)


@pytest.mark.parametrize(
    "path", ["web1.yaml", "/etc/a b", '/etc/"', "/etc/../x", "/etc/$x", "/etc/x\n", "/etc/x,y", ""]
)
def test_a_policy_whose_name_a_key_line_cannot_hold_is_refused(path):
    with pytest.raises(BadValue):
        render(Authorization(KEY, path))


def test_an_unusable_policy_is_a_warning_in_the_text(tmp_path):
    text = render(Authorization(KEY, str(tmp_path / "none.yaml")))
    assert "# Warning: the gate would refuse" in text


def test_without_the_policy_the_lines_are_printed_and_the_status_is_its_errors(tmp_path):
    argv = [machines.program("borgctl"), "authorize", KEY, tmp_path / "none.yaml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == REASONS["policy-unreadable"].status == 78
    assert KEY in done.stdout and "none.yaml" in done.stderr and "hint: " in done.stderr


@pytest.mark.parametrize("login", [Login.ROOT, Login.USER, Login.SUDO])
def test_no_terminal_is_taken_from_who_works_as_the_login_user(policy, login):
    text = "\n".join(lines(policy, login=login))
    assert ("PermitTTY no" in text) == (login is Login.SUDO)
    assert "AcceptEnv NO_SUCH_VARIABLE" in text and "PermitTunnel no" in text


def test_root_is_told_to_become_the_owner_of_another_users_policy(policy):
    if not stage.ROOT:
        pytest.skip("for root alone is that a danger")
    os.chown(policy, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(BorgctlError) as caught:
        policy_argument.read(str(policy))
    assert caught.value.reason.code == "policy-unsafe" and "runuser -u nobody -- borgctl" in caught.value.hint


def test_a_transport_that_the_policy_does_not_offer_is_a_warning(policy):
    assert any("does not offer this transport" in line for line in lines(policy, transport=Transport.SOCKET))
    assert not any("does not offer" in line for line in lines(policy))


def test_the_servers_line_pins_this_machines_host_key(policy, tmp_path):
    (tmp_path / "host.pub").write_text(f"ssh-ed25519 {blob(body=HOST)} root@web1\n")
    text = "\n".join(lines(policy, host_key=str(tmp_path / "host.pub")))
    assert f"borgpull trust web1 'ssh-ed25519 {blob(body=HOST)}'" in text


def test_nothing_but_the_key_line_is_not_a_comment(policy):
    for login in Login:
        for transport in Transport:
            key_line(policy, login=login, transport=transport)


# ---- the command line


def test_the_version_is_told():
    assert run("--version").stdout == f"borgctl {__version__}\n"


def test_help_names_the_commands():
    text = run("--help").stdout
    assert "sample" in text and "authorize" in text


def test_authorize_prints_and_writes_nothing(policy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    done = run("authorize", KEY, policy)
    assert done.exit_code == 0 and KEY in done.stdout
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("arguments", [("authorize",), ("authorize", KEY), ("nonsense",), ("sample", "--nonsense")])
def test_a_bad_command_line_is_2(arguments):
    assert run(*arguments).exit_code == 2


def test_a_line_of_the_same_key_that_would_come_first_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        authorize.Account, "named", lambda name: authorize.Account(name, os.geteuid(), str(tmp_path), "/bin/sh")
    )
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text(f"# mine\n{KEY}\n")
    text = render(Authorization(KEY, "/etc/borgctl/web1.yaml", login=Login.ROOT))
    assert f"# Warning: {tmp_path}/.ssh/authorized_keys:2 has this key already and would come first" in text


def test_what_nobody_foresaw_has_a_status_that_means_neither_good_nor_a_warning(monkeypatch, capsys):
    """Python's own is 1, and that is 'proved' to whoever asks 'audit verify', and 'warnings' to who asks 'status'."""

    def broken():
        raise RuntimeError("a peer's \x1b[2J words")

    monkeypatch.setattr(command_line, "app", broken)
    with pytest.raises(SystemExit) as end:
        command_line.main()
    said = capsys.readouterr().err
    assert end.value.code == 70
    assert "RuntimeError" in said and "\x1b" not in said
