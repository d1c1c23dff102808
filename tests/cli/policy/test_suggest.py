"""suggest: each suggestion allows its request and is never unwise; lines of a hostile log are only counted."""

import json

import draws
import pytest
import stage
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from borgctl.cli.app import app
from borgctl.cli.policy.suggest import suggest
from borgctl.errors import BorgctlError
from borgctl.policy import load
from borgctl.policy.judge import Facts, judge
from borgctl.reasons import REASONS
from borgctl.values import RepositoryPath, SocketPath
from borgctl.wire.request import Request, RunOptions, render
from borgctl.wire.request_parser import parse

LEAN = """\
version: 1
repositories: {/srv/a: {encryption: required}}
passphrase: {file: /etc/p}
jobs: {default: {paths: [/etc]}}
commands: {info: {options: [json]}, create: {paths: [/srv/www], options: [stats]}}
sandbox: off
"""


def refusal(request, reason, policy="/etc/borgctl/none.yaml", **changes):
    """Return a record as the gate writes it."""
    told = {"time": "2026-11-23T20:00:00.123Z", "type": "refuse", "run": "00", "policy": policy, "key": None}
    return told | {"peer": "192.0.2.7", "request": request, "reason": reason, "detail": "d", "code": 77} | changes


def written(directory, *records):
    log = directory / "audit.jsonl"
    log.write_bytes(b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records))
    return str(log)


def found_in(directory, *records):
    return suggest(written(directory, *records), stage.FACTS)


def uncommented(lines):
    """Return the lines as a person would take them: without the '# '."""
    return yaml.load("\n".join(line[2:] for line in lines if line.startswith("# ")), Loader=yaml.BaseLoader) or {}


def merged(text, suggestion):
    """Put suggested entries into a policy's text, each in place of one of its name."""
    policy = yaml.load(text, Loader=yaml.BaseLoader)
    for section, value in suggestion.items():
        policy[section] = policy.get(section, {}) | value if isinstance(value, dict) else value
    return yaml.dump(policy)


def reason_for(policy, line, local=False):
    try:
        judge(policy, parse(line.encode()), Facts(stage.FACTS.names, local))
    except BorgctlError as error:
        return error.reason.code
    return None


ROUND_TRIP = [
    "run weekly",
    "run prune",
    "run init",
    "run list",
    "run check",
    "run info",
    "run 1.0",
    "run true",
    "borg list",
    "borg list --json --last=2",
    "borg info --last=1",
    "borg create ::a /srv/www/x --json",
    "borg create --exclude '*.o' ::a /home '/var/my data'",
    "borg check --repository-only",
    "borg init --encryption=repokey",
    "borg --repository=/srv/b list",
    "run default --repository=/srv/b",
    "run default --socket=/run/borgctl/x",
    "borg --repository=/srv/b --socket=/run/borgctl/x list --short",
]


@pytest.mark.parametrize("line", ROUND_TRIP)
@pytest.mark.parametrize("readable", [True, False])
def test_what_is_suggested_makes_that_very_request_allowed(tmp_path, line, readable):
    policy = stage.written(tmp_path, LEAN)
    reason = reason_for(policy, line)
    if reason is None:
        assert line == "run default"
    path = policy.file if readable else "/etc/borgctl/none.yaml"
    if readable:
        found = found_in(tmp_path, refusal(line, reason, path))
        after = stage.written(tmp_path, merged(LEAN, uncommented(found.lines)), "after.yaml")
        assert reason_for(after, line) is None
        return
    text = LEAN  # without the policy, one refusal names one want: each next one is refused for something else
    while reason := reason_for(stage.written(tmp_path, text, "after.yaml"), line):
        found = found_in(tmp_path, refusal(line, reason, path))
        assert found.suggestions, found.lines
        text = joined(text, uncommented(found.lines))


def joined(text, suggestion):
    """Put suggested entries into a policy's text, each together with what is there."""
    policy = yaml.load(text, Loader=yaml.BaseLoader)
    before = json.dumps(policy)
    for section, value in suggestion.items():
        if isinstance(value, list):
            policy[section] = sorted({*policy.get(section, ["stdio"]), *value})
            continue
        for name, entry in value.items():
            there = policy.setdefault(section, {}).get(name, {})
            policy[section][name] = there | {
                key: there.get(key, []) + item if isinstance(item, list) else item for key, item in entry.items()
            }
    assert json.dumps(policy) != before, suggestion
    return yaml.dump(policy)


def test_a_local_request_wants_the_local_transport(tmp_path):
    policy = stage.written(tmp_path, LEAN)
    found = found_in(tmp_path, refusal("run default", "transport-not-offered", policy.file, peer=None))
    assert uncommented(found.lines) == {"transports": ["local", "stdio"]}


def test_an_empty_published_request_wants_the_job_default(tmp_path):
    found = found_in(tmp_path, refusal("", "unknown-job"))
    assert set(uncommented(found.lines)["jobs"]) == {"default"}


def test_equal_refusals_are_counted_and_the_last_is_named(tmp_path):
    records = [refusal("borg list", "command-not-offered", time=f"2026-11-23T20:00:0{n}Z") for n in range(7)]
    found = found_in(tmp_path, *records, refusal("borg list --json", "command-not-offered", peer="2001:db8::1"))
    text = "\n".join(found.lines)
    assert "command-not-offered, 7 times, last 2026-11-23T20:00:06Z from 192.0.2.7: borg list\n" in text
    assert "command-not-offered, once, last 2026-11-23T20:00:00.123Z from 2001:db8::1: borg list --json" in text
    assert uncommented(found.lines) == {"commands": {"list": {"options": ["json"]}}}


def test_what_the_policy_allows_by_now_is_said_and_not_suggested(tmp_path):
    policy = stage.written(tmp_path, LEAN)
    found = found_in(tmp_path, refusal("run default", "unknown-job", policy.file))
    assert not found.suggestions and "allows it by now" in found.lines[-1]


@pytest.mark.parametrize("reason", ["repository-known", "repository-replaced", "socket-refused", "source-refused"])
def test_what_was_refused_for_what_was_found_is_not_said_to_be_allowed_by_now(tmp_path, reason):
    policy = stage.written(tmp_path, LEAN)
    found = found_in(tmp_path, refusal("run default", reason, policy.file))
    assert found.suggestions == [] and found.log.refusals[0].why == REASONS[reason].advice


# ---- never


UNWISE = [
    ("borg create ::a /", "path-not-offered"),
    ("borg create ::a /etc/shadow", "path-not-offered"),
    ("borg create ::a /etc/shadow-", "command-not-offered"),
    ("borg create ::a /etc/gshadow", "path-not-offered"),
    ("borg create ::a /srv/www /etc/sudoers.d/x", "path-not-offered"),
    ("borg create ::a /root/.ssh", "path-not-offered"),
    ("borg create ::a /home/me/.ssh/id_ed25519", "path-not-offered"),
    ("borg create ::a /home/me/.gnupg", "path-not-offered"),
    ("borg create ::a /etc/ssh/ssh_host_ed25519_key", "path-not-offered"),
    ("borg create ::a /etc/borgctl/passphrase", "path-not-offered"),
    ("borg create ::a /var/lib/borgctl", "path-not-offered"),
    ("borg create ::a /etc/ssl/private", "path-not-offered"),
    ("borg prune --keep-last=1", "command-not-offered"),
    ("borg list ::a", "names-not-disclosed"),
    ("borg init", "encryption-required"),
    ("run default", "repository-needed"),
    ("window", "window-closed"),
    ("run default", "policy-invalid"),
    ("run default", "internal"),
    ("run default", "no-such-reason"),
    ("run --evil", "unknown-job"),
    ("run evil\n# jobs:\n#   evil: {paths: [/]}", "unknown-job"),
    ("borg create ::a '/x\u202e'", "path-not-offered"),
    ("borg create ::a " + "/x" * 600 + "… (2000 characters)", "path-not-offered"),
    ("borg serve", "command-not-offered"),
    ("borg init --encryption=none", "command-not-offered"),
    ("borg create --rsh=id ::a /etc", "option-not-offered"),
]


@pytest.mark.parametrize(("line", "reason"), UNWISE)
@pytest.mark.parametrize("readable", [True, False])
def test_what_is_unwise_is_never_suggested(tmp_path, line, reason, readable):
    path = stage.written(tmp_path, LEAN).file if readable else "/etc/borgctl/none.yaml"
    found = found_in(tmp_path, refusal(line, reason, path))
    assert not found.suggestions and not uncommented(found.lines)
    assert all(text.isprintable() for text in found.lines)


@pytest.mark.slow
@given(draws.orders(), st.none() | st.just("/srv/b"), st.booleans())
def test_whatever_is_asked_a_suggestion_allows_it_and_nothing_wider(tmp_path_factory, order, repository, socket):
    directory = tmp_path_factory.getbasetemp()
    line = render(
        Request(
            order,
            RunOptions(
                RepositoryPath(repository) if repository else None, SocketPath("/run/borgctl/x") if socket else None
            ),
        )
    )
    policy = stage.written(directory, LEAN, "lean.yaml")
    reason = reason_for(policy, line)
    if reason is None:
        return
    found = found_in(directory, refusal(line, reason, policy.file))
    lines = uncommented(found.lines)
    assert set(lines) <= {"jobs", "commands", "repositories", "transports"}
    if not lines:
        return
    after = stage.written(directory, merged(LEAN, lines), "after.yaml")
    assert reason_for(after, line) is None
    asked = parse(line.encode())
    for name, offer in after.commands.items():
        before = policy.commands.get(name)
        added = offer.options - (before.options if before else frozenset())
        assert added <= {option for option, _ in getattr(asked.order, "options", ())}
        assert {str(p) for p in offer.paths} - {"/srv/www"} <= {str(p) for p in getattr(asked.order, "paths", ())}
        assert name != "prune"
    assert all(repository.encrypted for repository in after.repositories)
    assert (after.published, after.names_disclosed, after.sandbox) == (False, False, "off")


# ---- hostile logs


HOSTILE = [
    b"\xff\xfe\x00garbage\n",
    b"[" * 50_000 + b"\n",
    b'{"type": "refuse"}\n',
    b'{"type": ["refuse"]}\n',
    b'{"type": "refuse", "reason": [], "policy": {}, "request": 7}\n',
    b'"refuse"\n',
    b"9" * 20_000 + b"\n",
    b"\n",
    b'{"type": "refuse", "reason": "unknown-job", "policy": "/p", "request": "run torn"}',
    b"x" * 300_000 + b"\n",
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_line_that_is_no_record_is_counted(tmp_path, line):
    found = found_in(tmp_path, refusal("run weekly", "unknown-job"), line)
    assert found.log.unreadable >= 1 and len(found.suggestions) == 1
    assert "no records of the gate" in "\n".join(found.lines)


EVIL = "\x1b]0;x\x07\x1b[2J\u202e\n# jobs:\n#   evil: {paths: [/]}"


@pytest.mark.parametrize("key", ["request", "policy", "peer", "time", "reason", "run", "type"])
def test_nothing_hostile_reaches_a_terminal_or_becomes_a_line(tmp_path, key):
    record = refusal("run weekly", "unknown-job") | {key: EVIL}
    result = CliRunner().invoke(app, ["suggest", written(tmp_path, record)])
    assert result.exit_code == 0
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert "evil" not in uncommented(result.stdout.splitlines()).get("jobs", {})


@given(st.dictionaries(st.sampled_from(["type", "reason", "policy", "request", "peer", "time"]), st.text() | st.none()))
def test_no_record_is_too_strange(tmp_path_factory, record):
    base = refusal("run weekly", "unknown-job", policy="/p")
    found = found_in(tmp_path_factory.getbasetemp(), base | record)
    assert all(line.isprintable() for line in found.lines)
    json.dumps(found.plain)


def test_a_flood_of_names_is_bounded(tmp_path):
    found = found_in(tmp_path, *(refusal(f"run j{n}", "unknown-job") for n in range(5200)))
    assert found.log.beyond == 200 and "200 refusals were not read" in found.lines[1]
    assert len(found.lines) < 100


def test_malformed_requests_are_only_counted(tmp_path):
    found = found_in(tmp_path, refusal("run;id", "bad-quoting"), refusal("\\xff", "not-printable"))
    assert found.log.malformed == 2 and not found.suggestions and "2 malformed" in found.lines[0]


# ---- the command


def test_json_has_counts_suggestions_and_reasons(tmp_path):
    log = written(tmp_path, refusal("run weekly", "unknown-job"), refusal("run default", "repository-needed"))
    told = json.loads(CliRunner().invoke(app, ["suggest", log, "--json"]).stdout)
    assert set(told) == {"log", "suggestions"}
    assert (told["log"]["records"], told["log"]["unreadable"], told["log"]["malformed"]) == (2, 0, 0)
    assert told["suggestions"][0]["text"] == "weekly: {paths: [/CHANGE/THIS]}"
    assert told["suggestions"][0]["refusals"][0]["count"] == 1
    assert any("--repository=" in refusal["why"] for refusal in told["log"]["refusals"])


def test_a_log_that_cannot_be_read_is_an_error(tmp_path):
    assert CliRunner().invoke(app, ["suggest", str(tmp_path / "none")]).exit_code != 0


def test_a_log_of_a_real_refusal_is_understood(tmp_path):
    """The record comes from the gate's own log, with whatever keys it has."""
    from borgctl.audit.log import Log

    log = Log.open(str(tmp_path / "a.jsonl"), syslog=False)
    log.append({key: value for key, value in refusal("run weekly", "unknown-job").items() if key != "time"})
    log.close()
    assert [one.name for one in suggest(str(tmp_path / "a.jsonl"), stage.FACTS).suggestions] == ["weekly"]


def test_the_policy_is_only_read(tmp_path):
    policy = stage.written(tmp_path, LEAN)
    found_in(tmp_path, refusal("run weekly", "unknown-job", policy.file))
    assert load.read(policy.file) == policy
