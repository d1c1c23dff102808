"""Pulls with the real commands from end to end: borgpull, sshd, the gate, borg, and back."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import machines
import pytest
from machines import run, same_tree, wait_for
from pair import with_a_repository

EVERY_WAY = [(borg, transport) for borg in ("borg-1.4", "borg-debian") for transport in ("stdio", "socket")]


@pytest.fixture
def borg(way, find_borg):
    return find_borg(way[0])


@pytest.fixture
def pair(kept, borg, way):
    return kept(with_a_repository, borg, way[1])


@pytest.mark.parametrize("way", EVERY_WAY, ids="-".join, indirect=True)
def test_a_whole_life_set_up_backups_prune_compact_and_restore(pair):
    code, told = pair.told()
    assert (code, told["outcome"], told["job"]) == (0, "ok", "default"), told
    first = told["result"]["archive"]["stats"]
    assert first["nfiles"] > 0
    assert first["deduplicated_size"] > 0
    code, told = pair.told()
    assert code == 0
    assert told["result"]["archive"]["stats"]["nfiles"] == first["nfiles"]
    assert told["result"]["archive"]["stats"]["deduplicated_size"] < first["deduplicated_size"] / 2  # nothing new
    listed = json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)["archives"]
    assert len(listed) == 2
    code, told = pair.told("--job", "prune")
    assert (code, told["pruned"]) == (0, {"kept": 1, "marked": 1}), told
    assert pair.client.records("exit")[-1]["pruned"]["marked"] == [listed[0]["name"]]
    before = sum(f.stat().st_size for f in pair.server.repository.rglob("*") if f.is_file())
    compacted = pair.borgpull("compact", "web1")
    assert compacted.returncode == 0, compacted.stderr
    after = sum(f.stat().st_size for f in pair.server.repository.rglob("*") if f.is_file())
    assert after <= before
    kept = json.loads(pair.borg_local("list", "--json", pair.server.repository).stdout)["archives"]
    assert [archive["name"] for archive in kept] == [listed[1]["name"]]
    restored = pair.server.directory / "restored"
    restored.mkdir()
    extracted = run(
        [pair.borg.path, "extract", f"{pair.server.repository}::{kept[0]['name']}"],
        env={
            "PATH": "/usr/bin:/bin",
            "BORG_PASSPHRASE": machines.PASSPHRASE,
            "BORG_BASE_DIR": str(pair.server.directory / "admin"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        },
        cwd=restored,
    )
    assert extracted.returncode == 0, extracted.stderr
    assert same_tree(pair.client.source, restored / str(pair.client.source).lstrip("/")) == []
    assert pair.borg_local("check", "--verify-data", pair.server.repository).returncode == 0
    exits = pair.client.records("exit")
    assert [record["outcome"] for record in exits].count("ok") >= 4
    assert all(record["sent"] > 0 and record["received"] > 0 for record in exits if record["command"] == "create")


def test_several_jobs_of_one_call_run_one_after_the_other(pair):
    result = pair.run("--job", "default", "--job", "prune", "--json")
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["job"] for line in result.stdout.splitlines()] == ["default", "prune"]


def test_the_passphrase_is_in_no_log_argument_or_answer(pair):
    result = pair.run("--json")
    assert machines.PASSPHRASE not in result.stdout + result.stderr
    assert machines.PASSPHRASE not in pair.client.audit_file.read_text()
    assert machines.PASSPHRASE not in pair.sshd.log()


def test_no_name_of_a_file_reaches_the_server_unless_the_policy_discloses_names(pair):
    (pair.client.source / "very-secret-name").write_text("x")
    pair.client.policy(
        jobs={
            "default": {"paths": [pair.client.source], "options": {"list": True}},
            "init": {"command": "init", "options": {"encryption": "repokey-blake2"}},
        }
    )
    result = pair.run("--json")
    assert result.returncode == 0, result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_nothing_is_left_after_a_run(pair):
    assert pair.run().returncode == 0
    assert list(pair.client.socket_directory.iterdir()) == []
    assert list((pair.client.base / "runs").iterdir()) == []
    assert not [path for path in pair.server.repository.iterdir() if path.name.startswith("lock")]
    wait_for(lambda: not pair.sshd.sessions(), 10, "sessions to end")


def slow(pair):
    """Give borg more to read than it can in the time of a test, from a file that takes no room."""
    huge = pair.client.source / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    return huge


def begun(pair):
    """Tell whether a backup has been accepted; 'init' and 'hello' were before."""
    return any(record["job"] == "default" for record in pair.client.records("accept") if "job" in record)


def ended(pair):
    """Return the exit record of the first backup."""
    return wait_for(lambda: [record for record in pair.client.records("exit") if record["job"] == "default"], 10)[0]


def waiting(pair):
    """Make borg wait in the middle of a backup, for a FIFO that somebody feeds when the test is done with it."""
    fifo = pair.client.source / "fifo"
    os.mkfifo(fifo)
    pair.client.policy(
        jobs={
            "default": {"paths": [pair.client.source], "options": {"read-special": True}},
            "init": {"command": "init", "options": {"encryption": "repokey-blake2"}},
        }
    )
    return fifo


def test_a_timeout_ends_both_sides(pair):
    huge = slow(pair)
    pair.set("jobs", "[default]")
    pair.set("timeout", "10s")
    code, told = pair.told()
    assert code == 2
    assert told["reason"] == "timeout", told
    wait_for(lambda: not pair.sshd.sessions(), 45, f"the client to end: {pair.sshd.sessions()}")
    assert ended(pair)["outcome"] in ("disconnected", "failed")
    huge.unlink()
    pair.set("timeout", "5m")
    assert pair.run().returncode == 0


def statuses(pair, said, server=""):
    """Let both sides say how the target stands: both say this, and the server also that."""
    own = run([machines.program("borgctl"), "status", pair.client.policy_file]).stdout
    served = pair.borgpull("status").stdout
    assert said in own and said in served and server in served, own + served


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_launcher_that_is_ended_leaves_nothing_running_on_either_side(pair, number):
    huge = slow(pair)
    process = subprocess.Popen(
        pair.server.borgpull("run", "web1"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for(lambda: begun(pair), 60, "the run to start")
    time.sleep(1)
    statuses(pair, "running for ")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_for(lambda: not pair.sshd.sessions(), 45, f"the client to end: {pair.sshd.sessions()}")
    assert ended(pair)["outcome"] in ("disconnected", "failed")
    statuses(pair, "last run ", "broken-off" if number == signal.SIGKILL else "stopped")
    huge.unlink()
    assert pair.run().returncode == 0


def test_two_runs_of_one_repository_do_not_meet(pair):
    fifo = waiting(pair)
    process = subprocess.Popen(
        pair.server.borgpull("run", "web1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: begun(pair), 60, "the run to start")
        second = pair.run()
        assert second.returncode == 2
        assert "busy" in second.stderr + second.stdout
        with open(fifo, "w") as feed:
            feed.write("fed\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_a_refusal_is_told_with_its_reason(pair):
    code, told = pair.told("--job", "weekly")
    assert code == 2
    assert (told["outcome"], told["origin"], told["code"], told["reason"]) == ("refused", "gate", 77, "unknown-job")
    assert pair.client.records("refuse")[-1]["run"] == told["run"]


def test_hooks_run_around_borg_and_a_failed_one_is_the_end(pair):
    proof = pair.client.directory / "proof"
    script = pair.client.directory / "hook"
    script.write_text(f'#!/bin/sh\necho "$1 $BORGCTL_JOB $BORGCTL_OUTCOME" >> {proof}\nexit $2\n')
    script.chmod(0o700)
    jobs = {
        "default": {
            "paths": [pair.client.source],
            "before": [[script, "before", "0"]],
            "after": [[script, "after", "0"]],
        }
    }
    pair.client.policy(jobs=jobs)
    assert pair.run().returncode == 0
    assert proof.read_text() == "before default \nafter default ok\n"
    jobs["default"]["before"] = [[script, "before", "3"]]
    pair.client.policy(jobs=jobs)
    proof.unlink()
    code, told = pair.told()
    assert (code, told["outcome"], told["reason"]) == (2, "hook-failed", "hook-failed")
    assert proof.read_text() == "before default \nafter default hook-failed\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_passphrase_that_a_hook_prints_is_in_no_record(pair, when):
    hook = pair.client.directory / "hook"
    hook.write_text(f"#!/bin/sh\necho 'it says' \"$(cat {pair.client.passphrase_file})\", and so on >&2\nexit 3\n")
    hook.chmod(0o700)
    pair.client.policy(jobs={"default": {"paths": [pair.client.source], when: [[hook]]}})
    assert pair.run().returncode == 2
    assert pair.client.records()[-1]["said"] == ["hook: it says ***, and so on"]
    assert machines.PASSPHRASE not in "".join(map(str, pair.client.records()))


def test_a_server_that_backs_itself_up_over_the_local_transport(client, server, borg):
    client.policy(transports=["stdio", "local"])
    made = run(
        server.borgpull(
            *("add", "self", "--transport", "local", "--policy", client.policy_file),
            *("--repository", server.repository, "--quota", "1G"),
        )
    )
    assert made.returncode == 0, made.stderr
    with (server.config / "targets/self.yaml").open("a") as target:
        target.write(f"borg: {borg.path}\n")
    assert run(server.borgpull("run", "self", "--job", "init")).returncode == 0
    result = run(server.borgpull("run", "self", "--json"))
    assert result.returncode == 0, result.stderr
    assert client.records("accept")[-1]["transport"] == "local"


def test_a_log_that_was_cut_or_written_anew_is_noticed_on_the_other_machine(pair):
    borgctl = [machines.program("borgctl"), "audit", "verify", pair.client.audit_file]

    def head():
        return json.loads(pair.borgpull("status", "--json").stdout)["head"]

    assert pair.told()[1]["audit"]["continues"] is True
    assert run([*borgctl, "--head", head()]).returncode == 0
    os.rename(pair.client.audit_file, f"{pair.client.audit_file}.1")  # as logrotate does
    code, told = pair.told()
    assert (code, told["audit"]["continues"], told["alerts"]) == (0, True, [])
    assert pair.borgpull("status").returncode == 0
    seen = head()
    for path in pair.client.audit_file.parent.iterdir():  # whoever did it left no trace on the client
        path.unlink()
    code, told = pair.told()
    assert (code, told["outcome"]) == (1, "ok")
    assert [alert["reason"] for alert in told["alerts"]] == ["audit-broken"]
    assert run(borgctl).returncode == 0 and run([*borgctl, "--head", seen]).returncode == 2
    assert head() == seen, "not before somebody has accepted it"
    status = pair.borgpull("status")
    assert status.returncode == 2 and "ALERT: audit-broken" in status.stdout and seen in status.stdout
    assert pair.borgpull("accept", "web1", "--reason", "it was me").returncode == 0
    assert pair.told()[0] == 0 and pair.borgpull("status").returncode == 0
    well = run([machines.program("borgctl"), "status", pair.client.policy_file])
    assert well.returncode == 0 and "default: ok" in well.stdout


LIAR = """
import json, os, re, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE)
for line in done.stderr.splitlines():
    told = json.loads(line)
    if told.get("audit"):
        seen = re.search("--seen=([0-9]+):", os.environ["SSH_ORIGINAL_COMMAND"])
        told["audit"] |= {"continues": True, "digests": ["0" * 64] * (told["audit"]["sequence"] - int(seen[1]))}
    os.write(2, json.dumps(told).encode() + b"\\n")
os._exit(done.returncode)
"""

REWRITE = """
import json, sys
from borgctl.audit.log import Log
path, *older = sys.argv[1:]
log = Log.open(path, syslog=False)
for line in sys.stdin:
    record = json.loads(line)
    for name in ("time", "sequence", "chain", "previous"):
        record.pop(name, None)
    log.append(record | ({"peer": "192.0.2.1"} if record["type"] == "accept" else {}))
"""


def test_a_record_that_root_rewrote_is_noticed_whatever_the_client_says_of_it(pair, scratch):
    """It is rewritten as a whole, with a chain of its own, and a false answer is to make the server believe it."""
    assert pair.told()[0] == 0
    kept = json.loads(pair.borgpull("status", "--json").stdout)["head"]
    records = pair.client.audit_file.read_text()
    for path in pair.client.audit_file.parent.iterdir():
        path.unlink()
    made = run([sys.executable, "-c", REWRITE, pair.client.audit_file], input=records)
    assert made.returncode == 0, made.stderr
    verify = [machines.program("borgctl"), "audit", "verify", pair.client.audit_file]
    assert run(verify).returncode == 0 and len(pair.client.records()) == len(records.splitlines())
    liar = scratch / "liar.py"
    liar.write_text(LIAR)
    keys, lying = pair.sshd._keys.read_text().splitlines(), f'command="exec {sys.executable} {liar} '
    pair.sshd.replace_keys(*(key.replace('command="exec ', lying, 1) for key in keys))
    code, told = pair.told()
    assert (code, told["outcome"]) == (1, "ok"), json.dumps(told)
    assert [alert["reason"] for alert in told["alerts"]] == ["audit-broken"]
    assert json.loads(pair.borgpull("status", "--json").stdout)["head"] == kept
    assert run([*verify, "--head", kept]).returncode == 2


def test_a_server_that_is_gone_is_noticed_within_seconds(pair):
    """sshd sends no signal; a hook tells when it was told to end."""
    told, hook = pair.client.directory / "told", pair.client.directory / "hook"
    hook.write_text(f"#!/bin/sh\ntrap 'date +%s.%N >{told}; exit 1' TERM\ntouch {told}.begun\nsleep 300 &\nwait\n")
    hook.chmod(0o700)
    pair.client.policy(jobs={"default": {"paths": [pair.client.source], "before": [[hook]]}})
    launcher = subprocess.Popen(
        pair.server.borgpull("run", "web1", "--job", "default"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(told.with_name("told.begun").exists, 60, "the hook to begin")
    (ssh,) = [process for process in machines.descendants(launcher.pid) if process.command.startswith("/usr/bin/ssh ")]
    os.kill(ssh.pid, signal.SIGKILL)
    began = time.time()
    launcher.wait(60)
    wait_for(lambda: told.exists() and told.read_text(), 30, "the hook to be told")
    seconds = float(told.read_text()) - began
    print(f"noticed after {seconds:.1f} s")
    assert seconds < 5 + 5, "5 s, and as many for a machine that has other work"
    assert ended(pair)["outcome"] == "disconnected"


@pytest.mark.parametrize("way", [("borg-1.4", "stdio")], ids="-".join, indirect=True)
def test_what_a_person_spells_out_is_done_as_the_policy_offers_it_and_is_no_backup(pair):
    source = pair.client.source
    commands = {"create": {"paths": [source], "options": ["comment"]}, "list": {"options": []}, "info": {"options": []}}
    commands["prune"] = {"options": ["keep-last", "glob-archives"]}
    pair.client.policy(commands=commands, disclose="names")

    def ask(*words, status=0):
        asked = pair.borgpull("borg", "web1", *words)
        assert asked.returncode == status and "ALERT" not in asked.stderr, asked.stderr
        return asked

    ask("--", "create", "--comment=by hand", "::by-hand", source)
    assert f"{source}"[1:] in ask("--", "list", "::by-hand").stdout
    said = ask("--", "create", "::other", "/etc", status=2).stderr
    assert "path-not-offered" in said and pair.client.records("refuse")[-1]["run"] in said
    ask("--deletes", "100", "--", "prune", "--keep-last=1", "--glob-archives=by-*")
    assert pair.borgpull("status").stdout.splitlines()[-1].startswith("web1: new, ")


def pipes_of_the_relay(pair):
    """Return how many bytes the relay's four pipes hold, to borg and to sshd, while it is there; nothing before."""
    for process in pair.sshd.sessions():
        if "relay.py" in process.command:
            with contextlib.suppress(OSError):  # it has just ended
                fds = Path(f"/proc/{process.pid}/fd").iterdir()
                paths = [fd for fd in fds if fd.name != "2" and os.readlink(fd).startswith("pipe:")]
                ends = [os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths]
                sizes = [fcntl.fcntl(end, fcntl.F_GETPIPE_SZ) for end in ends]
                for end in ends:
                    os.close(end)
                return sizes
    return []


@pytest.mark.parametrize("way", [("borg-1.4", "stdio")], ids="-".join, indirect=True)
def test_the_relays_pipes_hold_more_than_a_message_also_in_the_sandbox(pair):
    (pair.client.source / "large").write_bytes(os.urandom(64 << 20))
    pair.client.wait_for_a_new_name()
    with subprocess.Popen(pair.server.borgpull("run", "web1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as pull:
        seen = []
        while pull.poll() is None and seen != [1 << 20] * 4:
            seen = pipes_of_the_relay(pair) or seen
        assert seen == [1 << 20] * 4
        said = pull.communicate(timeout=60)
    assert pull.returncode == 0, said
