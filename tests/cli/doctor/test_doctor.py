"""doctor without an sshd: files of keys, places of settings, forced commands, programs, the report."""

import dataclasses
import os

import pytest
import stage
from machines import scratch, seeing_opens

from borgctl.cli.doctor import forced_command, host, key_report, login_environment, policy_checks, programs
from borgctl.cli.doctor.access_table import access
from borgctl.cli.doctor.examine import Examination, examine
from borgctl.cli.doctor.findings import Finding, Report, Section
from borgctl.cli.doctor.forced_command import Gate
from borgctl.cli.openssh import keyfiles, keyline, sshd, sshd_config_lines
from borgctl.cli.openssh.key_options import parse_options
from borgctl.cli.openssh.login import Login, trouble
from borgctl.cli.openssh.sshd import Settings, Unseen
from borgctl.errors import BadValue
from borgctl.state import pins, recovery
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A7WpYGMtbf0ScUbUnlRWr'.ljust(43, 'x')}"
ME = Login("alice", os.geteuid(), "/home/alice", "/bin/sh")


def told(text):
    return Settings(sshd.settings(text))


def test_the_files_of_keys_are_those_that_sshd_names():
    settings = told("authorizedkeysfile .ssh/authorized_keys /etc/keys/%u-%U %h/%% none")
    assert keyfiles.files(ME, settings) == [
        "/home/alice/.ssh/authorized_keys",
        f"/etc/keys/alice-{os.geteuid()}",
        "/home/alice/%",
    ]


def test_a_file_of_keys_with_a_blank_in_its_name_is_not_taken_for_two_that_are_not_there(tmp_path):
    """sshd -T prints it without quotes."""
    (tmp_path / "sshd_config").write_text(f'AuthorizedKeysFile .ssh/authorized_keys "{tmp_path}/my keys/%u"\n')
    answer = sshd.settings(f"authorizedkeysfile .ssh/authorized_keys {tmp_path}/my keys/%u")
    with pytest.raises(Unseen, match="blank in its name"):
        keyfiles.files(ME, Settings(answer, sshd_config_lines.read(str(tmp_path / "sshd_config"))))


@pytest.mark.parametrize(
    ("first", "wins"),
    [
        (KEY, True),
        (f'command="x",permitopen="localhost:1",,permitlisten="1" {KEY}', True),
        (f'from="192.0.2.1" {KEY}', False),
        (f"bad-option {KEY}", False),
        (f"cert-authority {KEY}", False),
        # sshd looks closer at these, and takes the next line where it does not like them
        *((f"{option} {KEY}", False) for option in ('from=""', 'environment="=x"', 'tunnel="x"', 'principals=""')),
        (f'expiry-time="soon" {KEY}', False),
        (f'permitopen="x:no-such-service" {KEY}', False),
        (f'permitopen="{"x" * 2000}:1" {KEY}', False),
        (f"{','.join(['permitopen=' + chr(34) + 'x:1' + chr(34)] * 5000)} {KEY}", False),
        (f"{KEY}=", False),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), False),
        (f"\r{KEY}", False),
    ],
)
def test_the_first_line_of_a_key_wins_if_nothing_can_make_sshd_pass_it(tmp_path, first, wins):
    file = tmp_path / "keys"
    file.write_text(f"# mine\n{first}\nrestrict {KEY}\n")
    blob = KEY.split()[1]
    last = keyfiles.places(keyfiles.read(str(file)), blob)[-1]
    assert last.winner == (f"{file}:2" if wins else None)


def test_no_line_wins_over_one_of_another_file(tmp_path):
    """sshd reads as the user who logs in, and may refuse a file: then it goes on with the next."""
    for name in "ab":
        (tmp_path / name).write_text(f"{KEY}\n")
    read = [line for name in "ab" for line in keyfiles.read(str(tmp_path / name))]
    assert [place.winner for place in keyfiles.places(read, KEY.split()[1])] == [None, None]


def test_a_file_of_keys_of_which_only_a_part_was_read_is_not_seen(tmp_path):
    (tmp_path / "keys").write_text(f"# {'é' * (3 << 20)}\n{KEY}\n")
    with pytest.raises(Unseen, match="larger than 4 MiB"):
        keyfiles.read(str(tmp_path / "keys"))


def test_a_line_for_certificates_counts_whatever_comes_first(tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\ncert-authority {KEY}\n")
    _, last = keyfiles.places(keyfiles.read(str(tmp_path / "keys")), KEY.split()[1])
    assert last.winner is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read as another user")
def test_root_reads_the_file_of_keys_of_a_login_with_that_logins_rights() -> None:
    with scratch() as there:
        there.chmod(0o755)
        (there / "roots").write_text(f"{KEY}\n")
        (there / "roots").chmod(0o600)
        (there / "keys").symlink_to("roots")
        with pytest.raises(Unseen, match="Permission denied"):
            keyfiles.read(f"{there}/keys", 64123)
        assert os.geteuid() == 0 and len(keyfiles.read(f"{there}/keys")) == 1


def test_what_is_no_file_of_keys_is_not_even_opened(tmp_path):
    """An open alone arms a watchdog, and rewinds a tape."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "keys").symlink_to("pipe")
    with seeing_opens(f"{tmp_path}/pipe") as opened:
        with pytest.raises(Unseen, match="no regular file"):
            keyfiles.read(str(tmp_path / "keys"))
        assert not opened()


def test_a_file_of_keys_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(Unseen, match="no regular file"):
        keyfiles.read(str(tmp_path / "keys"))
    assert keyfiles.read(str(tmp_path / "none")) == []


def test_a_setting_is_found_in_the_file_that_is_included(tmp_path):
    (tmp_path / "more.conf").write_text('# x\nAcceptEnv LANG "LC_*"\nMatch Address 192.0.2.0/24\n  PermitTunnel=yes\n')
    (tmp_path / "sshd_config").write_text(f"Include {tmp_path}/*.conf\nAcceptEnv = FOO\n")
    found = sshd_config_lines.read(str(tmp_path / "sshd_config"))
    assert found.place("acceptenv", "LC_*") == f"{tmp_path}/more.conf:2"
    assert found.place("acceptenv", "FOO") == f"{tmp_path}/sshd_config:2"
    assert found.place("permittunnel", "yes") == f"{tmp_path}/more.conf:4"
    assert found.place("permittunnel", "no") is None
    assert found.matched_on("address") == [f"{tmp_path}/more.conf:3"]
    assert found.matched_on("user") == []


def test_a_configuration_that_includes_itself_ends(tmp_path):
    config = tmp_path / "sshd_config"
    config.write_text(f"Include {config}\nPermitTTY no\n")
    assert sshd_config_lines.read(str(config)).place("permittty", "no")


@pytest.mark.parametrize(
    "command",
    [
        "/opt/python3 -I -m borgctl.gate --policy /p.yaml",
        "exec /opt/python3 -I -m borgctl.gate --policy /p.yaml",
        f"exec sudo -n /opt/python3 -I -m borgctl.gate --policy /p.yaml --key SHA256:{'a+/' * 14}b",
    ],
)
def test_the_gate_is_known_word_by_word(command):
    found = forced_command.gate(command)
    assert (found.python, found.policy) == ("/opt/python3", "/p.yaml")


@pytest.mark.parametrize(
    "command",
    [
        "/opt/python3 -m borgctl.gate --policy /p.yaml",
        "/opt/python3 -I -m borgctl.gate --policy /p.yaml; id",
        "/opt/python3 -I -m borgctl.gate --policy $SSH_ORIGINAL_COMMAND",
        "eval x; exec /opt/python3 -I -m borgctl.gate --policy /p.yaml",
        "/opt/python3 -I -m borgctl.gate --policy '/p.yaml'",
        "/opt/python3 -I -m borgctl.gate --policy /p.yaml --key x y",
        "/opt/python3 -I -m borgctl.gate --policy /p.yaml --key SHA256:short",  # the gate would refuse all
        "borgctl.gate",
        "",
    ],
)
def test_nothing_else_is_taken_for_the_gate(command):
    assert forced_command.gate(command) is None


@pytest.mark.parametrize(
    ("option", "settings", "out", "into"),
    [
        ("restrict,port-forwarding", "", ("*:*",), ("*:*",)),
        ('permitopen="db:5432"', "", ("db:5432",), ("*:*",)),
        ('permitopen="db:5432"', "permitopen *:22", (), ("*:*",)),
        ('permitopen="db:*"', "permitopen *:22", ("db:22",), ("*:*",)),
        ('permitlisten="8080"', "permitlisten localhost:8080 9", ("*:*",), ("localhost:8080",)),
        ('permitlisten="localhost:1",permitopen="localhost:1"', "", (), ()),
    ],
)
def test_what_the_key_line_and_sshd_both_allow_is_open(option, settings, out, into):
    found = access(parse_options(option), told(settings))
    assert (found.tcp_out, found.tcp_in) == (out, into)


def test_a_key_whose_base64_is_damaged_has_a_section_too():
    place = keyfiles.Place(keyline.parse("ssh-ed25519 AAAAA me", "/k", 1), "/k:0")
    login = Login("me", 1000, "/home/me", "/bin/sh")
    assert key_report.section(place, login, told("")).title == "key (damaged) me, login me (/k:1)"


def test_a_machine_without_landlock_is_told_so_and_one_with_it_too():
    assert host.kernel(0).level == "warn"
    assert "no Landlock" in host.kernel(0).text
    assert (host.kernel(4).level, host.kernel(4).text[-5:]) == ("ok", "ABI 4")


@pytest.mark.parametrize(
    ("arguments", "has"),
    [
        ("-D -e -f /etc/ssh/sshd_config", False),
        ("-D -o PermitRootLogin=yes", True),
        ("-De -oPermitRootLogin=yes -p22", True),
        ("-D -e -f /tmp/bt-old/sshd_config", False),
        ("-D -o PermitRootLogin=yes -f /tmp/other", False),
        ("-D -f /tmp/other -f /etc/ssh/sshd_config -o PermitRootLogin=yes", True),
        ("-D --a-new-option", True),
    ],
)
def test_settings_on_the_command_line_of_an_sshd_are_seen(arguments, has):
    title = f"sshd: /usr/sbin/sshd {arguments} [listener] 0 of 10-100 startups"
    assert host.has_settings(title, "/etc/ssh/sshd_config") is has


def test_a_path_with_an_o_behind_a_hyphen_is_no_setting_of_sshd():
    title = "sshd: /usr/sbin/sshd -D -e -f /tmp/bt-o3x/sshd_config [listener] 0 of 10-100 startups"
    assert not host.has_settings(title, "/tmp/bt-o3x/sshd_config")
    assert not host.has_settings("sshd: root@notty -o", "/tmp/bt-o3x/sshd_config")


def test_bash_may_run_its_start_up_files_before_a_command_and_sh_none():
    assert login_environment.start_up_files("/bin/bash", "/root") == ("/root/.bashrc", "/etc/bash.bashrc")
    assert login_environment.start_up_files("/bin/sh", "/root") == ()


def test_a_file_that_others_may_write_or_could_make_is_trouble(tmp_path):
    file = tmp_path / "f"
    assert trouble(str(file), ME.owners) is None
    file.touch(0o644)
    file.chmod(0o664)
    assert "mode 0664" in trouble(str(file), ME.owners)
    file.unlink()
    tmp_path.chmod(0o777)
    assert "mode 0777" in trouble(str(file), ME.owners)


def test_in_a_sticky_directory_what_is_there_is_its_owners_and_what_is_missing_is_everybodys(tmp_path):
    """/tmp keeps a file of ours from others; a start-up file that is not there yet anybody can make."""
    tmp_path.chmod(0o1777)
    (tmp_path / "f").touch(0o600)
    try:
        theres = [trouble(str(tmp_path / name), frozenset((0, os.geteuid()))) for name in ("f", ".", "missing", "a/b")]
    finally:
        tmp_path.chmod(0o700)
    if os.geteuid() == 0:
        assert theres[:2] == [None, None]
    assert all("mode 1777" in there for there in theres[2:])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory another user's")
def test_a_sticky_directory_that_is_not_roots_is_trouble_for_whoever_logs_in(tmp_path):
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 4711, 4711)
    (tmp_path / "home").chmod(0o1777)
    (tmp_path / "home/f").touch(0o600)
    for path in ("home", "home/f"):
        assert "mode 1777" in trouble(str(tmp_path / path), frozenset((0, 4711)))


def test_no_interpreter_is_started_that_another_user_chose(tmp_path):
    python, proof = tmp_path / "python3", tmp_path / "proof"
    python.write_text(f"#!/bin/sh\ntouch {proof}\n")
    python.chmod(0o755)
    gate = Gate(str(python), "/p.yaml", None, sudo=False)
    (found,) = programs.findings(gate, frozenset((0, os.geteuid(), 4711)))
    assert found.level == "unseen"
    (found,) = programs.findings(dataclasses.replace(gate, python="/bin/sh"), frozenset((0,)))
    assert found.level == "unseen"
    assert not proof.exists()


def test_an_interpreter_that_has_no_gate_is_an_error(tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 'no module named borgctl' >&2\nexit 1\n")
    python.chmod(0o755)
    (found,) = programs.findings(Gate(str(python), "/p.yaml", None, sudo=False), ME.owners)
    assert (found.level, "no module named borgctl" in found.text) == ("error", True)
    python.chmod(0o777)
    (found,) = programs.findings(Gate(str(python), "/p.yaml", None, sudo=False), ME.owners)
    assert found.level == "open"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (b'{"time": "2020-01-01T00:00:00.000Z"}', "ok"),
        (b'{"time": "2920-01-01T00:00:00.000Z"}', "warn"),
        (b"torn", "warn"),
        (b"[1]", "warn"),
    ],
)
def test_a_clock_that_went_back_shows_in_the_log(tmp_path, line, level):
    log = tmp_path / "audit.jsonl"
    log.write_bytes(b'{"time": "2020-01-01T00:00:00Z"}\n' + line + b"\n")
    (found,) = policy_checks.records(str(log))
    assert found.level == level


@pytest.mark.parametrize("addr", ["backup.example.org", "10.0.0.0/8", "10.1.1", " 10.0.0.1"])
def test_a_name_is_not_taken_for_an_address(addr):
    with pytest.raises(BadValue, match="IP address"):
        examine(Examination(addr=addr))


def test_the_report_s_status_is_its_worst_finding_and_no_control_character_is_printed():
    ok, warn, bad = (Finding(level, "x", "evil\x1b[2J\u202e") for level in ("ok", "warn", "open"))
    assert Report((Section("a", (ok,)),)).status == 0
    assert Report((Section("a", (ok, warn)),)).status == 1
    report = Report((Section("key \x07", (bad, ok)), Section("b", (warn,))))
    assert report.status == 2
    assert "".join(report.lines).isprintable()
    assert report.lines[-1] == "1 open, 1 to fix (exit status 2)"


def test_a_recovery_page_that_was_never_printed_or_has_another_key_is_a_warning(tmp_path):
    tmp_path.chmod(0o700)
    text = f"version: 1\nrepositories: {{/srv/a: {{encryption: none}}}}\njobs: {{}}\nbase: {tmp_path}/base\n"
    policy = stage.written(tmp_path, text)
    assert list(policy_checks.pages(policy)) == []  # nothing was run yet
    base = StateDir.open(policy.base)
    repository = RepositoryPath("/srv/a")
    try:
        assert list(policy_checks.pages(policy)) == []
        pins.set_pin(base, "repository", repository, "a" * 64)
        pins.set_pin(base, "key", repository, "b" * 64)
        (found,) = policy_checks.pages(policy)
        assert (found.level, found.topic) == ("warn", "recovery") and "never printed" in found.text
        recovery.note(base, repository)
        assert list(policy_checks.pages(policy)) == []
        pins.set_pin(base, "key", repository, "c" * 64)
        (found,) = policy_checks.pages(policy)
        assert "has changed since" in found.text
    finally:
        os.close(base.fd)


def test_a_link_that_borgs_user_has_put_above_the_keys_is_told_and_not_followed(tmp_path):
    tmp_path.chmod(0o700)
    text = f"version: 1\nrepositories: {{/srv/a: {{encryption: none}}}}\njobs: {{}}\nbase: {tmp_path}/base\n"
    policy = stage.written(tmp_path, text)
    base = StateDir.open(policy.base)
    try:
        pins.set_pin(base, "repository", RepositoryPath("/srv/a"), "a" * 64)
        os.symlink("/dev", f"{base.borg}/.config")
        (found,) = policy_checks.pages(policy)
        assert (found.level, found.text) == ("unseen", f"'{base.borg}/.config/borg/keys': Not a directory")
    finally:
        os.close(base.fd)
