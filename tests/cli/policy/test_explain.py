"""explain gives the gate's own decision for every line of the corpora, in process and against real gates."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import stage
from programs import ROOT, ended, python, script
from terminals import on_a_terminal
from typer.testing import CliRunner

from borgctl.borg import command_line
from borgctl.borg.command import BorgCommand, WindowGrant
from borgctl.borg.version import supported
from borgctl.cli.app import app
from borgctl.cli.policy.describe import describe
from borgctl.cli.policy.explain import explain, facts, variables
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy.judge import Facts, judge
from borgctl.process.spawn import Confinement
from borgctl.state import borg_version, pins
from borgctl.state.state_dir import StateDir
from borgctl.wire.request_parser import announced_socket, parse

ALLOWED = stage.requests("allowed.txt")
DENIED = stage.requests("denied.txt")
DIRECTORY = "/run/borgctl"


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """The corpus's policies, each with base, log, borg and socket directory of its own: name to path."""
    found = corpus(tmp_path_factory.mktemp("explain"))
    for file in found.values():
        policy = stage.load.read(file)
        base = StateDir.open(policy.base)
        borg_version.version(base, policy.borg, {}, Confinement())  # as a gate has that ran before
        os.close(base.fd)
    return found


def corpus(top):
    """Write them below a directory."""
    borg = script(top / "borg", 'test "$1" = --version && echo borg 1.4.5; exit 0')
    (top / "passphrase").touch(0o600)
    (top / "passphrase").write_text("0123456789abcdef\n")
    (top / "patterns").touch(0o600)
    found = {}
    for source in (stage.CORPORA / "requests").glob("*.yaml"):
        text = source.read_text("utf-8").replace("/etc/borgctl/passphrase", f"{top}/passphrase")
        text = text.replace("/etc/borgctl/patterns", f"{top}/patterns")
        text += f"base: {top}/{source.stem}\nborg: {borg}\naudit: {{file: {top}/{source.stem}.log, syslog: no}}\n"
        text += f"socket: {{directory: {DIRECTORY}}}\n"
        stage.written(
            top, text.replace("/usr/local/bin/dump-db", borg).replace("/usr/local/bin/thaw", borg), source.name
        )
        found[source.stem] = str(top / source.name)
    return found


def elsewhere(line):
    """Tell whether the request announces a socket that the gate refuses before it reads the rest."""
    announced = announced_socket(line)
    return announced is not None and os.path.dirname(announced.text) != DIRECTORY


@pytest.mark.parametrize(("name", "number", "line"), ALLOWED)
def test_what_is_allowed_is_explained_as_the_judge_decides_it(policies, name, number, line):
    asked = stage.wire(line.partition("  =>  ")[0])
    policy = stage.load.read(policies[name])
    decision = judge(policy, parse(asked), stage.FACTS)
    found = explain(policies[name], asked, {}, stage.FACTS)
    assert (found.decision, found.status, found.reason) == ("allow", 0, None), f"allowed.txt:{number}"
    if isinstance(decision, BorgCommand):
        assert list(found.argv) == command_line.build(decision, policy.borg, supported("1.4.5"))
        assert (found.rule, found.job, found.transport) == (decision.rule, decision.job, decision.transport)
        assert (found.before, found.after) == (decision.before, decision.after)
    elif isinstance(decision, WindowGrant):
        said = (str(decision.repository), decision.transport, decision.rule)
        assert (found.repository, found.transport, found.rule) == said and found.argv == ()
    else:
        assert found.answer.items() >= decision.offer.items() and found.argv == ()


@pytest.mark.parametrize(("name", "number", "line"), DENIED)
def test_what_is_denied_is_explained_with_the_same_reason(policies, name, number, line):
    asked = stage.wire(line[22:])
    with pytest.raises(BorgctlError) as caught:
        judge(stage.load.read(policies[name]), parse(asked), stage.FACTS)
    found = explain(policies[name], asked, {}, stage.FACTS)
    if elsewhere(asked):
        assert found.reason == "socket-refused"
        return
    assert (found.reason, found.status) == (caught.value.reason.code, caught.value.reason.status), (
        f"denied.txt:{number}"
    )
    assert found.decision == {76: "malformed", 77: "refuse"}[found.status]
    assert (found.detail, found.hint) == (caught.value.detail, caught.value.hint)
    assert found.argv == () and found.environment == {}
    assert all(text.isprintable() for text in found.lines)


# ---- against real gates


# An interpreter that has imported the gate and forks for each request, as in test_gate; nobody speaks for a server
WARM = """
import json, os, sys
from borgctl.gate import main
for line in sys.stdin:
    asked = json.loads(line)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for number, fd in ((0, null), (1, null), (2, write_end)):
            os.dup2(fd, number)
        os.closerange(3, 64)
        os.environ.clear()
        os.environb.update({name.encode("latin-1"): text.encode("latin-1") for name, text in asked["env"].items()})
        sys.argv = ["gate.py", "--policy", asked["policy"]]
        main.main()
    os.close(write_end)
    with open(read_end, encoding="latin-1") as said:
        print(json.dumps(said.read().splitlines()[-1]), flush=True)
    os.waitpid(pid, 0)
"""


@pytest.fixture(scope="module")
def gate(policies):
    """Return what asks a real gate as a forced command does: its last line, and its records of this run."""
    head = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    words = [sys.executable, "-I", "-c", head + WARM]
    with ended(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:

        def ask(policy, command, sent):
            env = {"PATH": os.environ["PATH"], "SSH_CONNECTION": "192.0.2.7 1 192.0.2.1 22", **sent}
            env |= {"SSH_ORIGINAL_COMMAND": command.decode("latin-1")} if command else {}
            process.stdin.write(json.dumps({"policy": policy, "env": env}) + "\n")
            process.stdin.flush()
            told = json.loads(json.loads(process.stdout.readline()))
            with open(policy.removesuffix("yaml") + "log", encoding="ascii") as file:
                return told, [json.loads(line) for line in file if told["run"] in line]

        yield ask


@pytest.fixture(scope="module")
def answer(gate):
    """Return what asks a real gate: its reason, 'allow' where there is an accept record."""

    def ask(policy, command, sent):
        told, records = gate(policy, command, sent)
        return "allow" if any(record["type"] == "accept" for record in records) else told["reason"]

    return ask


def timeless(words):
    return [re.sub(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?", "TIME", word) for word in words]


SAMPLE = [(name, line.partition("  =>  ")[0]) for name, _, line in ALLOWED[::6] if not line.startswith("window")]
SAMPLE += [("several", "window --for=1s --repository=/srv/open")]  # the others would be open for as long as they say
SAMPLE += [(name, line[22:]) for name, _, line in DENIED[::12] if "\\x00" not in line]


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, line in SAMPLE if "--socket=/run" not in line])
def test_a_real_gate_decides_as_explained(policies, gate, name, line):
    asked = stage.wire(line)
    found = explain(policies[name], asked, {}, facts())
    told, records = gate(policies[name], asked, {})
    if found.decision != "allow":
        assert (told["reason"], told["code"]) == (found.reason, found.status)
        assert records[0]["detail"] == found.detail
        return
    assert records[0]["type"] == "accept", told  # how it ends does not matter: this borg is a stand-in
    if records[0]["command"] == "hello":
        return
    record = records[0]
    if record["command"] == "window":
        assert (record["rule"], record["repository"]) == (found.rule, found.repository)
        assert records[-1]["outcome"] == "ok"
        return
    assert timeless(record["argv"]) == timeless(found.argv)
    assert (record["rule"], record["job"], record["repository"], record["transport"]) == (
        *(found.rule, found.job, found.repository, found.transport),
    )
    assert set(record["environment"]) == set(found.environment) - {"BORG_RSH", "BORG_PASSPHRASE_FD"}


# ---- the same answer, for everything that is asked


def both(policies, answer, name, asked, sent):
    """Return explain's reason, or 'allow', and the gate's."""
    found = explain(policies[name], asked, variables([f"{key}={text}" for key, text in sent.items()]), facts())
    return found.reason or found.decision, answer(policies[name], asked, sent)


@pytest.mark.slow
def test_the_gate_and_explain_give_the_same_reason_for_the_whole_corpus(tmp_path_factory, answer):
    """With logs of their own: a log counts that many refusals together, also those of other tests."""
    policies = corpus(tmp_path_factory.mktemp("corpus"))
    lines = [(name, line.partition("  =>  ")[0]) for name, _, line in ALLOWED if not line.startswith("window")]
    lines += [(name, line[22:]) for name, _, line in DENIED]
    for name, line in lines:
        asked = stage.wire(line)
        if b"\0" in asked:
            continue  # no environment can hold one
        said, gates = both(policies, answer, name, asked, {})
        # whether a socket is there, only the gate looks
        assert said == gates or (gates == "socket-refused" and b"--socket=/run/borgctl/" in asked), line


@pytest.fixture(scope="module")
def published(policies):
    """The same policies, with variables to accept, and each once more as 'published: yes': name to path."""
    found = {}
    for name, path in policies.items():
        for mark, more in (("", ""), ("+", "published: yes\n")):
            file = Path(path).with_name(f"{name}-{'published' if mark else 'plain'}.yaml")
            text = Path(path).read_text("utf-8").replace(f"{name}.log", f"{file.stem}.log")
            file.touch(0o600)
            file.write_text(f"{text}environment: {{accept: [COLUMNS, LINES]}}\n{more}")
            found[name + mark] = str(file)
    return found


@pytest.mark.parametrize(("name", "number", "line"), stage.requests("variables.txt"))
def test_the_gate_and_explain_give_the_same_reason_whatever_variables_come_with_it(
    published, answer, name, number, line
):
    expected, _, rest = line.partition(" ")
    words, _, command = rest.partition("| ")
    sent = dict(word.split("=", 1) for word in words.split())
    said, gates = both(published, answer, name, command.encode(), sent)
    assert said == expected.rstrip("*"), f"variables.txt:{number}"
    # a star: the socket's name could be one, and only the gate sees that nothing is there
    assert gates == ("socket-refused" if expected.endswith("*") else said), f"variables.txt:{number}"


def test_two_sockets_of_different_names_are_refused_by_both(policies, published, answer):
    """A socket that is there, as the gate looks at it first."""
    with tempfile.TemporaryDirectory(prefix="b") as directory:
        os.chmod(directory, 0o700)
        file = Path(published["several+"]).with_name("two.yaml")
        text = Path(published["several+"]).read_text("utf-8").replace("several-published.log", "two.log")
        file.touch(0o600)
        file.write_text(text.replace(DIRECTORY, directory))
        asked = f"borg --repository=/srv/open create --comment --socket={directory}/b ::a /etc".encode()
        for command in (asked, f"run default --repository=/srv/open --socket={directory}/b".encode()):
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(f"{directory}/b")
                os.chmod(f"{directory}/b", 0o600)
                one.listen()
                said, gates = both({"x": str(file)}, answer, "x", command, {"BORG_SOCKET": f"{directory}/a"})
            assert (said, gates) == ("conflicting-values", "conflicting-values")


# ---- what else the server sends, and what only a run knows


SMALL = """\
version: 1
repositories:
  /srv/{hostname}: {encryption: required}
passphrase: {file: HERE/p}
jobs: {default: {paths: [/etc]}}
sandbox: off
base: HERE/base
audit: {file: HERE/policy.log, syslog: no}
"""


def written(directory, text):
    """Write a policy, and a passphrase; where it names no borg, one that is only there."""
    (directory / "p").touch(0o600)
    (directory / "p").write_text("0123456789abcdef\n")
    if "\nborg:" not in text:
        text += f"borg: {script(directory / 'borg', 'test $1 = --version && echo borg 1.4.5; exit 0')}\n"
    stage.written(directory, text.replace("HERE", str(directory)))
    return str(directory / "policy.yaml")


def small(directory, more=""):
    return written(directory, SMALL + more)


def test_the_published_carriers_mean_what_they_mean_to_the_gate(tmp_path):
    file = small(tmp_path, "published: yes\ntransports: [stdio, socket]\nsocket: {directory: /run/x}\n")
    found = explain(file, b"", variables(["BORG_SOCKET=/run/x/1", "BORG_REPOPATH=/srv/web1"]), stage.FACTS)
    assert (found.decision, found.job, found.transport) == ("allow", "default", "socket")
    assert any("assumes that the forwarded socket" in note for note in found.notes)
    found = explain(file, b"", variables(["BORG_SOCKET=/tmp/1"]), stage.FACTS)
    assert found.reason == "socket-refused"
    assert explain(file, b"", {}, stage.FACTS).transport == "stdio"


def test_accepted_variables_are_checked_and_shown_and_others_dropped(tmp_path):
    file = small(tmp_path, "environment: {set: {TZ: Europe/Berlin}, accept: [COLUMNS]}\n")
    found = explain(file, b"run default", variables(["COLUMNS=80", "BORG_PASSCOMMAND=id", "LINES=30"]), stage.FACTS)
    assert found.environment.items() >= {"COLUMNS": "80", "TZ": "Europe/Berlin"}.items()
    assert not found.environment.keys() & {"BORG_PASSCOMMAND", "LINES"}
    found = explain(file, b"run default", variables(["COLUMNS=id"]), stage.FACTS)
    assert (found.decision, found.reason) == ("malformed", "bad-value")


@pytest.mark.parametrize("word", ["", "X", "=x"])
def test_a_variable_is_a_name_and_a_value(word):
    with pytest.raises(BadValue):
        variables([word])


def test_the_passphrase_is_named_and_not_shown(tmp_path):
    found = explain(small(tmp_path), b"run default", {}, stage.FACTS)
    assert found.environment["BORG_PASSPHRASE_FD"] == f"<from {tmp_path}/p>"
    assert "<run>" in found.environment["TMPDIR"] and found.environment["BORG_HOST_ID"] == "<host-id>"


def test_what_depends_on_a_version_that_no_gate_has_asked_for_is_said(tmp_path):
    file = small(tmp_path)
    found = explain(file, b"run default --log=json", {}, stage.FACTS)
    assert "--json" in found.argv and "--quick-stats" not in found.argv
    assert found.notes[-1] == "borg was not asked for its version; from 1.4.5 on, --json may come with --quick-stats"
    policy = stage.load.read(file)
    base = StateDir.open(policy.base)
    borg_version.version(base, policy.borg, {}, Confinement())
    os.close(base.fd)
    found = explain(file, b"run default --log=json", {}, stage.FACTS)
    assert "--quick-stats" in found.argv and found.notes[-1] == "borg was 1.4.5 when the gate last asked it"


def test_a_local_request_is_explained_as_one(tmp_path):
    file = small(tmp_path, "transports: [stdio, local]\n")
    local = Facts(stage.FACTS.names, local=True)
    assert explain(file, b"run default", {}, stage.FACTS).transport == "stdio"
    assert explain(file, b"run default", {}, local).transport == "local"
    assert explain(small(tmp_path), b"run default", {}, local).reason == "transport-not-offered"


def test_the_line_that_forbids_is_named(tmp_path):
    file = small(tmp_path, "commands:\n  create: {options: [], paths: [/etc]}\n")
    for asked in (b"borg create --json ::a /etc", b"borg create ::a /var"):
        assert explain(file, asked, {}, stage.FACTS).rule == f"{file}:10"
    assert explain(file, b"borg list", {}, stage.FACTS).rule is None


def test_a_requested_path_through_a_symlink_is_refused_as_the_gate_does(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    file = small(tmp_path, f"commands: {{create: {{options: [], paths: [{tmp_path}]}}}}\n")
    assert explain(file, f"borg create ::a {tmp_path}/link/x".encode(), {}, stage.FACTS).reason == "source-refused"
    assert explain(file, f"borg create ::a {tmp_path}/real/x".encode(), {}, stage.FACTS).decision == "allow"


@pytest.mark.parametrize("text", ["version: 2\n", "", "a: &b c"])
def test_an_unusable_policy_is_the_verdict(tmp_path, text):
    file = tmp_path / "p.yaml"
    file.touch(0o600)
    file.write_text(text)
    for found in (explain(str(file), b"hello", {}, stage.FACTS), describe(str(file), stage.FACTS)):
        assert (found.decision, found.reason, found.status) == ("refuse", "policy-invalid", 78)
        assert f"{file}:1:" in found.detail
    file.chmod(0o666)
    assert explain(str(file), b"hello", {}, stage.FACTS).reason == "policy-unsafe"


def test_a_known_borg_that_is_too_old_is_told_and_an_unknown_one_is_not_asked(tmp_path, gate):
    log = tmp_path / "asked"
    borg = script(tmp_path / "borg", f"echo borg 1.2.4; date >> {log}")
    text = SMALL.replace("paths: [/etc]", "paths: [/etc], options: {files-changed: ctime}")
    file = written(tmp_path, f"{text}borg: {borg}\n")
    assert explain(file, b"run default", {}, stage.FACTS).decision == "allow"
    assert not log.exists() and not (tmp_path / "base").exists()
    gate(file, b"hello", {})
    asked = log.read_text()
    assert explain(file, b"run default", {}, stage.FACTS).reason == "borg-unsupported"
    assert explain(file, b"hello", {}, stage.FACTS).answer["borg"] == "1.2.4"
    assert log.read_text() == asked


def test_nothing_is_written_started_or_connected(policies):
    """The interpreter itself reports what is done (sys.addaudithook)."""
    code = """
import os
from borgctl.cli.policy.describe import describe
from borgctl.cli.policy.explain import explain, facts
WORDS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.truncate", "os.link", "os.exec",
         "os.fork", "os.posix_spawn", "os.system", "subprocess.Popen", "socket.connect", "socket.bind", "shutil.rmtree")
def hook(event, arguments):
    if event in WORDS or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        os.write(1, f"{event} {arguments}\\n".encode())
sys.dont_write_bytecode = True
found = facts()
sys.addaudithook(hook)
for policy in sys.argv[1:]:
    describe(policy, found)
    for asked in (b"hello", b"run default", b"borg create ::a /etc", b"borg list --socket=/run/borgctl/x", b"\\xff"):
        explain(policy, asked, {}, found)
os.write(1, b"done")
"""
    done = python(code, *policies.values())
    assert done.stdout == b"done", (done.stdout, done.stderr)


# ---- the command


def borgctl(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("asked", "status", "verdict"),
    [("run default", 0, "allow"), ("run x", 77, "refuse"), ("run;x", 76, "malformed"), ("", 76, "malformed")],
)
def test_the_exit_status_is_the_verdict(tmp_path, asked, status, verdict):
    file = small(tmp_path)
    result = borgctl("explain", file, asked)
    assert result.exit_code == status and re.search(rf"^verdict +{verdict}\b", result.stdout, re.MULTILINE)
    told = json.loads(borgctl("explain", file, asked, "--json").stdout)
    assert told["decision"] == verdict
    assert set(told) >= {
        *("decision", "reason", "rule", "argv", "environment", "detail", "hint", "job", "repository", "transport"),
        "hooks",
    }


def test_a_hostile_request_does_nothing_to_a_terminal(tmp_path):
    result = borgctl("explain", small(tmp_path), "run \x1b[2J\u202e\n")
    assert result.exit_code == 76 and "\x1b" not in result.stdout and "\u202e" not in result.stdout


def test_without_a_request_it_says_what_the_server_may_do(policies):
    result = borgctl("explain", policies["jobs"])
    assert result.exit_code == 0
    for said in (
        "job 'dumps'",
        "/etc and /home",
        "no names of files",
        "without any forwarding",
        "12 hours",
        "'/var/my",
    ):
        assert said in result.stdout
    told = json.loads(borgctl("explain", policies["jobs"], "--json").stdout)
    assert [job["name"] for job in told["offer"]["jobs"]][:2] == ["default", "dumps"]
    assert all(sentence.endswith(".") for sentence in told["sentences"])


def test_sentences_are_folded_between_words_on_a_terminal_and_nowhere_else(policies):
    whole = borgctl("explain", policies["several"]).stdout
    assert max(map(len, whole.splitlines())) > 80
    folded = on_a_terminal("borgctl", "explain", policies["several"], COLUMNS="80")
    assert all(len(line) <= 80 or " " not in line.strip().removeprefix("- ") for line in folded.splitlines())
    assert re.sub(r"\d+-\d+-\d+T\S+", "", folded).split() == re.sub(r"\d+-\d+-\d+T\S+", "", whole).split()
    refusal = on_a_terminal("borgctl", "explain", policies["jobs"], "borg create ::a /etc", COLUMNS="80").splitlines()
    assert all(len(line) <= 80 for line in refusal if not line.startswith("rule ")), refusal


@pytest.mark.parametrize("words", [["A=b"], ["A"], ["COLUMNS=80", "--json"]])
def test_variables_without_a_request_are_refused(policies, words):
    with pytest.raises(BadValue, match="say which"):
        CliRunner().invoke(app, ["explain", policies["jobs"], "--env", *words], catch_exceptions=False)


def test_a_variable_without_a_value_is_refused(policies):
    for word in ("A", "=b"):
        with pytest.raises(BadValue, match="expected NAME=VALUE"):
            CliRunner().invoke(app, ["explain", policies["jobs"], "", "--env", word], catch_exceptions=False)


def test_every_job_command_path_and_repository_is_in_the_sentences(policies):
    for name, path in policies.items():
        policy, text = stage.load.read(path), "\n".join(describe(path, stage.FACTS).lines)
        for job in policy.jobs.values():
            assert f"job '{job.name}'" in text
            assert all(str(source) in text for source in job.paths)
            assert all(shlex.join(hook) in text for hook in (*job.before, *job.after))
        for offer in policy.commands.values():
            assert f"spell out borg {offer.command}" in text
            assert all(option in text for option in offer.options)
        assert ("without encryption" in text) == (name == "several")
        assert ("names of files too" in text) == (name == "several")


def test_a_prune_that_keeps_all_of_a_kind_says_so(tmp_path):
    job = "p: {command: prune, options: {keep-daily: 7, keep-monthly: -1, glob-archives: a*}}"
    file = written(tmp_path, SMALL.replace("default: {paths: [/etc]}", job))
    assert "except 7 daily and all monthly" in "\n".join(describe(file, stage.FACTS).lines)
    assert "--keep-monthly=-1" in explain(file, b"run p", {}, stage.FACTS).argv


def test_what_is_left_out_of_a_whole_machine_is_told(tmp_path):
    file = written(tmp_path, SMALL.replace("[/etc]", "[/]") + "commands: {create: {options: [], paths: [/]}}\n")
    sentences = "\n".join(describe(file, stage.FACTS).lines)
    assert "without what is in /proc, /sys, /dev and /run, as archive" in sentences
    assert "(without what is in /proc, /sys, /dev and /run, where it names /)" in sentences
    assert any(
        "/proc, /sys, /dev, /run is left out" in one for one in explain(file, b"run default", {}, stage.FACTS).notes
    )


def test_a_policy_that_nothing_can_run_under_says_so_first(tmp_path):
    file = written(tmp_path, SMALL.replace("sandbox: off\n", "user: nosuchuser\n"))
    sandbox = explain(file, b"run default", {}, stage.FACTS)
    first = describe(file, stage.FACTS).lines[0]
    assert (sandbox.reason == "sandbox-unavailable") == first.startswith("As it stands")


def test_a_repository_that_is_known_is_not_made_again(tmp_path):
    """What the gate has kept in base counts, and is only read."""
    from borgctl.state.state_dir import StateDir
    from borgctl.values import RepositoryPath

    file = small(tmp_path, "commands: {init: {options: [encryption]}}\n")
    asked = b"borg init --encryption=repokey"
    assert explain(file, asked, {}, stage.FACTS).decision == "allow"
    base = StateDir.open(f"{tmp_path}/base")
    pins.set_pin(base, "repository", RepositoryPath("/srv/web1"), "ab" * 32)
    os.close(base.fd)
    assert explain(file, asked, {}, stage.FACTS).reason == "repository-known"
    assert explain(file, b"run default", {}, stage.FACTS).decision == "allow"
