"""lint shows every error and warning at its line, and nothing about a sound policy."""

import json
import os
import re
import shutil

import pytest
import stage
from programs import script
from typer.testing import CliRunner

from borgctl.cli.app import app
from borgctl.cli.policy import lint
from borgctl.errors import BadValue
from borgctl.fs import mountinfo
from borgctl.fs.mountinfo import Mount
from borgctl.policy import load, sent_environment
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

only_root = pytest.mark.skipif(not stage.ROOT, reason="an ordinary user's borg is that user")

INVALID = sorted((stage.CORPORA / "policies/invalid").glob("*.yaml"))
DELIVERED = sorted((stage.CORPORA.parents[1] / "policy").glob("*.yaml"))


def borgctl(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def sound(tmp_path):
    """Write a policy with changed lines; return its path. Unchanged, there is nothing to warn of."""
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text("x" * 32)
    (tmp_path / "data").mkdir()
    (tmp_path / "s").mkdir(0o700)
    shutil.copy("/bin/true", tmp_path / "borg")
    script(tmp_path / "hook", "exit 0")

    def write(*changes):
        text = (
            "version: 1\n"
            "repositories: {/srv/a: {encryption: required}}\n"
            f"passphrase: {{file: {tmp_path}/passphrase}}\n"
            "jobs:\n"
            f"  default: {{paths: [{tmp_path}/data]}}\n"
            "  init: {command: init, options: {encryption: repokey}}\n"
            '  prune: {command: prune, options: {keep-daily: 7, glob-archives: "{hostname}-default-*"}}\n'
            f"borg: {tmp_path}/borg\n"
            f"base: {tmp_path}/base\n"
            f"audit: {{file: {tmp_path}/log/audit.jsonl}}\n"
            f"socket: {{directory: {tmp_path}/s}}\n"
            "sandbox: require\n"
            "user: 64123\n"
        )
        for old, new in changes:
            assert old in text or not old, old
            text = text.replace(old, new.replace("HERE", str(tmp_path)), 1) if old else text + new
        file = tmp_path / "policy.yaml"
        file.touch(0o600)
        file.write_text(text)
        return file

    return write


def warnings(file):
    report = lint.lint(str(file))
    assert report.errors == ()
    return [(w.line, w.text) for w in report.warnings]


def errors(file):
    return [(error.line, error.text) for error in lint.lint(str(file)).errors]


def test_nothing_is_said_of_a_sound_policy(sound):
    assert warnings(sound()) == []


@only_root
@pytest.mark.parametrize(("mode", "line"), [("require", 13), ("prefer", 13), ("off", 12)])
def test_a_user_that_is_not_there_is_told_at_the_line_that_names_it(sound, mode, line):
    report = lint.lint(str(sound(("sandbox: require", f"sandbox: {mode}"), ("user: 64123", "user: nosuchuser"))))
    found = [(one.line, one.text) for one in (report.errors if mode == "require" else report.warnings)]
    assert [place for place, text in found if "nosuchuser" in text] == [line]


@only_root
def test_a_user_that_no_line_names_is_told_at_the_sandbox(sound, monkeypatch):
    def nobody(user):
        raise BadValue(f"no user {user!r}")

    monkeypatch.setattr("borgctl.sandbox.privileges.account", nobody)
    (found,) = errors(sound(("user: 64123\n", "")))
    assert found[0] == 12 and "'_borgctl'" in found[1]


ADVICE = [
    (
        (("", "published: yes\ntransports: [stdio, socket]\n"), ("  default:", "  other:")),
        14,
        "'default', which is not here",
    ),
    ((("", "published: yes\n"),), 14, "announce a socket"),
    ((("", "transports: [stdio, socket]\n"),), 14, "StreamLocalBindUnlink no"),
    ((("", "disclose: names\n"),), 14, "names of files"),
    ((("sandbox: require", "sandbox: off"),), 12, "which is possible on this machine"),
    ((("sandbox: require", "sandbox: prefer"),), 12, "which is possible on this machine"),
    ((("", "commands: {create: {options: [], paths: [/]}}\n"),), 14, "any file of this machine"),
    ((("", "commands: {prune: {options: [keep-last]}}\n"),), 14, "its own rules for what to delete"),
    ((("", "commands: {prune: {options: []}}\n"),), 14, "without a rule"),
    ((("{hostname}-default-*", "*"),), 7, "all archives count as one"),
    ((("{hostname}-default-*", "{hostname}-other-*"),), 7, "no job here makes archives"),
    ((("{hostname}-default-*", "{hostname}-other-*"),), 5, "no prune here matches its archives"),
    (
        (("  init:", "  b: {paths: [HERE/data]}\n  init:"),),
        6,
        "named '{hostname}-{job}-{now}', so all of them stay",
    ),
    (
        (("{hostname}-default-*", "{hostname}-*"), ("  init:", "  b: {paths: [HERE/data]}\n  init:")),
        8,
        "'default' and 'b'",
    ),
    ((("keep-daily: 7, ", ""),), 7, "without a rule"),
    ((("keep-daily", "keep-last"),), 7, "pushes the old ones out"),
    ((("{encryption: required}", "{encryption: none}"),), 2, "read and forge"),
    ((("  init: {command: init, options: {encryption: repokey}}\n", ""),), 4, "makes the repository"),
    ((("/data]", "/data], options: {read-special: yes}"),), 5, "waits at pipes"),
    ((("/data]", "/fifo], options: {read-special: yes}"),), 5, "[/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >"),
    ((("/data]", "/data], options: {dry-run: yes}"),), 5, "counts as no backup"),
    ((("/data]", "/data], exclude: ['~/.cache']"),), 5, "'~/.cache' matches nothing"),
    ((("/data]", "/data], exclude: ['sh:$HOME/x', '*.o']"),), 5, "no shell reads '$HOME'"),
    ((("/data]", "/data], options: {pattern: ['- pp:~alice/x']}"),), 5, "no shell reads '~alice'"),
    ((("/data]", "/none]"),), 5, "is not here, so each run fails"),
    ((("/data]", "/data], after: [[/bin/sh, -c, 'setsid sleep 300 &']]"),), 5, "hook 'setsid sleep 300 &' leaves"),
    ((("/data]", "/data], before: [[/bin/bash, -ec, '(a & b) 2>&1; exit 0']]"),), 5, "leaves a program running"),
    ((("HERE/data", "HERE"),), 5, "the passphrase"),
    ((("HERE/data", "HERE"),), 5, "borg's own state"),
    ((("", "transports: [stdio, socket]\n"), ("HERE/s}", "HERE/none}")), 11, "is missing"),
]


def test_archives_of_a_hosts_former_name_that_no_prune_is_about_are_warned_of(sound, tmp_path):
    base = tmp_path / "base"
    base.mkdir(0o700)
    (base / "hostnames").write_text(f"{sent_environment.hostname()}\nweb0\n")
    ((line, text),) = warnings(sound())
    assert line == 5 and "this host was 'web0' before" in text
    old = '  old: {command: prune, options: {keep-last: 1, keep-daily: 7, glob-archives: "web0-default-*"}}\n'
    assert not any("was 'web0'" in text for _, text in warnings(sound(("  prune:", f"{old}  prune:"))))


@pytest.mark.parametrize(("changes", "line", "said"), ADVICE)
def test_what_is_valid_and_unwise_is_said_where_it_stands(sound, tmp_path, changes, line, said):
    os.mkfifo(tmp_path / "fifo")
    changes = [(old.replace("HERE", str(tmp_path)), new) for old, new in changes]
    found = warnings(sound(*changes))
    assert [place for place, text in found if said in text] == [line], found


@pytest.mark.parametrize(
    "change",
    [
        ("keep-daily: 7", "keep-monthly: -1"),
        ("keep-daily: 7", "keep-last: -1"),  # nothing can push out what is all kept
        ("/data]", "/data], exclude: ['*~', '*/~$*', '$RECYCLE.BIN', '/a/$HOME', 're:~/x', 'x~/y']"),
    ],
)
def test_what_is_written_so_for_a_reason_is_not_warned_of(sound, change):
    assert warnings(sound(change)) == []


@pytest.mark.parametrize(
    ("job", "kind", "said"),
    [
        (
            "{paths: [HERE/data], options: {one-file-system: yes}}",
            "tmpfs",
            "leaves out what is mounted at 'HERE/data/m'",
        ),
        ("{paths: [HERE/data]}", "proc", "the kernel's own files at 'HERE/data/m' are in the backup"),
        ("{paths: [HERE/data], options: {one-file-system: yes}, exclude: [HERE/data/m]}", "tmpfs", None),
        ("{paths: [HERE/data], exclude: ['sh:HERE/data/m/*']}", "proc", None),
        ("{paths: [HERE/data]}", "tmpfs", None),
    ],
)
def test_what_is_mounted_below_a_path_is_told_where_it_is_not_what_it_seems(
    sound, tmp_path, monkeypatch, job, kind, said
):
    mounts = [Mount("1", "0", "8:1", "/", "ext4"), Mount("2", "1", "0:9", f"{tmp_path}/data/m", kind)]
    monkeypatch.setattr(mountinfo, "mounts", lambda: iter(mounts))
    found = warnings(sound((f"{{paths: [{tmp_path}/data]}}", job.replace("HERE", str(tmp_path)))))
    assert [line for line, _ in found] == ([5] if said else [])
    assert not said or said.replace("HERE", str(tmp_path)) in found[0][1]


@pytest.mark.parametrize(("mode", "line"), [("require", 8), ("prefer", 8), ("off", 12)])
def test_a_borg_that_cannot_be_confined_is_told_whatever_the_policy_says(sound, tmp_path, mode, line):
    file = sound(("sandbox: require", f"sandbox: {mode}"))
    (tmp_path / "borg").write_text(f'#!/bin/bash\nexec {tmp_path}/other "$@"\n')
    report = lint.lint(str(file))
    ((place, text),) = [(one.line, one.text) for one in (report.errors if mode == "require" else report.warnings)]
    assert place == line and "the files that borg may open cannot be confined" in text and "name borg itself" in text
    assert mode == "require" or report.errors == ()


@only_root
def test_what_the_gate_leaves_out_of_a_whole_machine_is_not_warned_of(sound, tmp_path, monkeypatch):
    mounted, usual = mountinfo.mounts, ("/proc", "/sys", "/dev", "/run")
    # Somebody may be making another root on this machine just now
    monkeypatch.setattr(mountinfo, "mounts", lambda: [one for one in mounted() if one.place.startswith(usual)])
    whole = (f"{tmp_path}/data]", f"/], exclude: [{tmp_path}]")
    assert [text for _, text in warnings(sound(whole, (f"base: {tmp_path}/base", "base: /run/borgctl-test")))] == []
    assert "borg's own state" in warnings(sound(whole, (f"base: {tmp_path}/base", "base: /srv/borgctl-test")))[0][1]


REFUSED = [
    ((("/data]", "/data], before: [[HERE/none]]"),), 5, "hook cannot be run"),
    ((("borg: HERE/borg", "borg: HERE/none"),), 8, "No such file"),
    ((("file: HERE/passphrase", "file: HERE/none"),), 3, "is missing: (umask 077"),
    ((("file: HERE/passphrase", "program: [HERE/none]"),), 3, "passphrase program"),
    ((("/data]", "/data], before: [[HERE/hook, HERE/open/x]]"),), 5, "a file of its hook"),
    ((("/data]", "/data], after: [[HERE/hook, --to=HERE/open/x]]"),), 5, "a file of its hook"),
    ((("/data]", "/data], after: [[/bin/sh, -c, 'cat </dev/null >HERE/open/x']]"),), 5, "a file of its hook"),
    ((("/data]", "/data], options: {exclude-from: HERE/none}"),), 5, "'HERE/none': No such file"),
    ((("/data]", "/data], options: {patterns-from: [HERE/passphrase, HERE/open/x]}"),), 5, "every run is refused"),
    ((("/data]", "/data], options: {exclude-from: HERE/fifo}"),), 5, "is not a regular file"),
    ((("/data]", "/data], options: {exclude-from: /dev/zero}"),), 5, "is not a regular file"),
    ((("HERE/data]", "/dev/null], options: {read-special: yes}"),), 5, "'/dev/null' is not a block device"),
    ((("HERE/data]", "/dev/none], options: {read-special: yes}"),), 5, "'/dev/none': No such file"),
    ((("file: HERE/passphrase", "program: [/bin/cat, HERE/open/x]"),), 3, "other users may replace"),
    ((("audit: {file: HERE/log/", "audit: {file: HERE/a/b/c/d/"),), 10, "every request is refused"),
    ((("base: HERE/base", "base: HERE/a/b/c/d"),), 9, "every request is refused"),
]


@pytest.mark.parametrize(("changes", "line", "said"), REFUSED)
def test_what_the_gate_refuses_is_an_error_where_it_stands(sound, tmp_path, changes, line, said):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open/x").touch()
    os.mkfifo(tmp_path / "fifo", 0o600)
    changes = [(old.replace("HERE", str(tmp_path)), new) for old, new in changes]
    found = errors(sound(*changes))
    assert [place for place, text in found if said.replace("HERE", str(tmp_path)) in text] == [line], found
    assert borgctl("lint", tmp_path / "policy.yaml").exit_code == 78


@pytest.mark.parametrize(
    "hook",
    [
        "[/bin/cp, /etc/hosts, HERE/data/new]",
        "[/bin/sh, -c, 'date >/dev/null; ls /tmp HERE']",
        "[/usr/bin/curl, 'https://example.org/x']",
        "[HERE/hook, '/']",
        "[/bin/sh, -c, 'a && b >&2 2>&1; curl https://example.org/?x=1&y=2']",
        "[/bin/sh, -c, 'a & b; wait']",
        "[/usr/bin/setsid, --fork, /bin/sh, -c, 'date >HERE/data/pipe']",
        "[HERE/hook, 'a &']",
    ],
)
def test_a_hook_whose_words_nobody_else_can_change_is_no_error(sound, hook):
    text = hook.replace("/usr/bin/curl", "HERE/hook")
    assert warnings(sound(("/data]", f"/data], before: [{text}]"))) == []


def test_a_path_that_is_a_symlink_is_warned_of(sound, tmp_path):
    (tmp_path / "link").symlink_to("data")
    ((line, text),) = warnings(sound(("/data]", "/link]")))
    assert line == 5 and "saves only the link" in text


def test_what_is_left_out_of_a_backup_is_not_warned_of(sound, tmp_path):
    excluded = f"{tmp_path}], exclude: [{tmp_path}/base, 'pp:{tmp_path}/passphrase']"
    assert warnings(sound((f"{tmp_path}/data]", excluded))) == []
    assert warnings(sound((f"{tmp_path}/data]", f"{tmp_path}], exclude: ['*/base', 'sh:**/pass*']"))) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_passphrase_that_others_can_read_is_an_error_and_never_read(sound, tmp_path, mode):
    file = sound()
    (tmp_path / "passphrase").write_text("the-secret-itself-is-here-not-told")
    (tmp_path / "passphrase").chmod(mode)
    ((line, text),) = errors(file)
    assert line == 3 and "others may use it" in text and "0600" in text and "secret" not in text


def test_a_short_passphrase_is_warned_of(sound, tmp_path):
    file = sound()
    (tmp_path / "passphrase").write_text("hunter2\n")
    ((_, text),) = warnings(file)
    assert "has 8 bytes" in text and "hunter2" not in text


def test_lint_does_not_open_the_passphrase(sound, tmp_path):
    file = sound()
    os.utime(tmp_path / "passphrase", (1, 1))
    lint.lint(str(file))
    assert (tmp_path / "passphrase").stat().st_atime == 1


def test_programs_in_the_hands_of_others_are_errors(sound, tmp_path):
    file = sound(("/data]", "/data], after: [[HERE/hook]]"))
    (tmp_path / "borg").chmod(0o777)
    (tmp_path / "hook").chmod(0o600)
    texts = [text for _, text in errors(file)]
    assert any("borg' has mode 0777" in text for text in texts) and any("is not executable" in text for text in texts)


def test_a_base_that_others_can_write_is_an_error(sound, tmp_path):
    file = sound()
    (tmp_path / "base").mkdir()
    (tmp_path / "base").chmod(0o777)
    assert [line for line, _ in errors(file)] == [9]


# ---- errors, files, forms


@pytest.mark.parametrize("source", INVALID, ids=lambda path: path.stem)
def test_every_error_of_the_corpus_is_told_where_it_stands(source, tmp_path):
    expected = re.findall(r"^# expect: (.*)$", source.read_text("utf-8"), re.MULTILINE)
    file = tmp_path / "p.yaml"
    file.touch(0o600)
    file.write_bytes(source.read_bytes())
    result = borgctl("lint", file)
    assert result.exit_code == 78
    lines = result.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, beginning in zip(lines, expected, strict=True):
        place, _, text = beginning.partition(": ")
        assert line.startswith(f"{file}:{place}: error: {text}")


@pytest.mark.parametrize("source", DELIVERED, ids=lambda path: path.stem)
def test_a_policy_that_we_deliver_has_no_errors(source, tmp_path):
    file = tmp_path / source.name
    file.touch(0o600)
    file.write_bytes(source.read_bytes())
    load.read(str(file))
    # what there is to say is that this machine was not set up for it
    assert all(re.search(r"missing|No such file|no user|is not here", text) for _, text in errors(file)), errors(file)


@pytest.mark.parametrize("place", ["base2", "elsewhere/base"])
def test_one_repository_with_two_bases_is_an_error_of_both_policies(sound, tmp_path, place):
    tmp_path.chmod(0o700)
    files = [sound(), tmp_path / "other.yaml"]
    files[1].touch(0o600)
    files[1].write_text(files[0].read_text().replace(f"{tmp_path}/base\n", f"{tmp_path}/{place}\n"))
    for path in ("base", place):
        base = StateDir.open(f"{tmp_path}/{path}")
        base.host_id()
        pins.set_pin(base, "repository", RepositoryPath("/srv/a"), "ab" * 32)
        os.close(base.fd)
    for file, other in zip(files, (place, "base"), strict=True):
        (error,) = lint.lint(str(file)).errors
        assert f"{tmp_path}/{other}" in error.text and "one repository has one base" in error.text
    base = StateDir.open(f"{tmp_path}/{place}")
    pins.delete(base, "repository", RepositoryPath("/srv/a"))
    os.close(base.fd)
    assert not any(lint.lint(str(file)).errors for file in files)


def test_all_files_are_looked_at_whatever_the_first_one_is(sound, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.touch(0o600)
    bad.write_text("version: 2\n")
    result = borgctl("lint", bad, tmp_path / "none.yaml", sound(("", "disclose: names\n")))
    assert result.exit_code == 78
    assert f"{bad}:1:10: error: bad value '2'" in result.stdout
    assert f"{tmp_path}/none.yaml:1:1: error: " in result.stdout
    assert "policy.yaml:14:1: warning: the server learns" in result.stdout


def test_a_policy_that_others_may_write_is_an_error(sound):
    file = sound()
    file.chmod(0o666)
    report = lint.lint(str(file))
    assert len(report.errors) == 1 and "0666" in report.errors[0].text and "only root" in report.errors[0].text


def test_json_has_one_object_for_each_file(sound, tmp_path):
    result = borgctl("lint", "--json", sound(), tmp_path / "none.yaml")
    good, missing = [json.loads(line) for line in result.stdout.splitlines()]
    assert set(good) == set(missing) == {"file", "ok", "errors", "warnings"}
    assert (good["ok"], good["errors"], missing["ok"]) == (True, [], False)
    assert set(missing["errors"][0]) == {"line", "column", "text"}


def test_a_candidate_is_checked_as_if_it_stood_in_the_policys_place_whoever_may_write_it_now(sound, tmp_path):
    place, candidate = sound(), tmp_path / "candidate"
    text = place.read_text()
    candidate.write_text(text.replace(f"base: {tmp_path}/base\n", ""))
    candidate.chmod(0o666)
    assert lint.lint(str(candidate)).errors
    assert lint.lint(str(place), str(candidate)).errors == ()
    candidate.write_text(text.replace("sandbox: require", "sandbox: requires"))
    result = borgctl("lint", place, "--candidate", candidate)
    assert result.exit_code == 78 and f"{place}:12:10: error: bad value 'requires'" in result.stdout
    assert borgctl("lint", place).exit_code == 0


@pytest.mark.parametrize("content", [None, b"\xff", b"#" * 2_000_000])
def test_a_candidate_that_is_no_text_or_not_there_is_an_error(sound, tmp_path, content):
    candidate = tmp_path / "candidate"
    if content is not None:
        candidate.write_bytes(content)
    (error,) = lint.lint(str(sound()), str(candidate)).errors
    assert "candidate'" in error.text or "not UTF-8" in error.text


def test_a_candidate_needs_the_one_place_that_it_is_for(sound, tmp_path):
    place = sound()
    for policies in ((), (place, place)):
        result = borgctl("lint", *policies, "--candidate", place)
        assert isinstance(result.exception, BadValue)


def test_a_relative_name_is_taken_from_here(sound, monkeypatch):
    file = sound()
    monkeypatch.chdir(file.parent)
    assert lint.lint("policy.yaml").errors == ()


def test_a_strange_file_name_does_nothing_to_a_terminal(tmp_path):
    (line,) = lint.lint(f"{tmp_path}/a\x1b[2J\n\u202eb.yaml").lines
    assert line.isprintable()


def test_where_no_policy_is_named_the_usual_ones_are_looked_at(tmp_path):
    if os.path.isdir("/etc/borgctl") and stage.ROOT:
        assert all(re.fullmatch(r"/etc/borgctl/.*\.yaml", file) for file in lint.usual_policies())
