"""The decision: the corpora of requests, and that less in a policy never allows more."""

import dataclasses
import shlex

import draws
import pytest
import stage
from hypothesis import given
from hypothesis import strategies as st

from borgctl.borg import command_line
from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.borg.subcommands import COMMANDS
from borgctl.errors import BorgctlError
from borgctl.policy.judge import Facts, judge
from borgctl.policy.model import AuditSettings, Environment, Job, Offer, Passphrase, Policy, Repository
from borgctl.policy.placeholders import Names, Template
from borgctl.values import ArchiveName, JobName, RepositoryPath, SocketPath, SourcePath
from borgctl.wire.request import Borg, Hello, Request, Run, RunOptions
from borgctl.wire.request_parser import parse


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    return stage.policies(tmp_path_factory.mktemp("policies"))


def summary(policy, decision):
    """Return what stands in allowed.txt for a decision."""
    if isinstance(decision, HelloReply):
        return "hello"
    if isinstance(decision, WindowGrant):
        return f"window {decision.repository} {decision.seconds} {decision.transport}"
    words = command_line.build(decision, policy.borg, None)
    assert words[0] == policy.borg
    assert words[2:5] == ["--log-json", "--umask=0077", "--lock-wait=120"]
    transport = "" if decision.transport == "stdio" else f"[{decision.transport}] "
    return transport + shlex.join([words[1], *words[5:]])


@pytest.mark.parametrize(("name", "number", "line"), stage.requests("allowed.txt"))
def test_an_allowed_request_becomes_exactly_these_words(policies, name, number, line):
    asked, _, expected = line.partition("  =>  ")
    decision = judge(policies[name], parse(stage.wire(asked)), stage.FACTS)
    assert summary(policies[name], decision) == expected, f"allowed.txt:{number}"


@pytest.mark.parametrize(("name", "number", "line"), stage.requests("denied.txt"))
def test_a_denied_request_is_refused_for_this_reason(policies, name, number, line):
    expected, asked = line[:22].rstrip(), line[22:]
    with pytest.raises(BorgctlError) as caught:
        judge(policies[name], parse(stage.wire(asked)), stage.FACTS)
    assert caught.value.reason.code == expected, f"denied.txt:{number}"
    assert caught.value.reason.status in (76, 77)


# ---- a policy as a value, drawn


def a_policy(**changes):
    job = Job(JobName("default"), "create", 5, (), Template("{hostname}-{job}"), (SourcePath("/etc"),))
    values = {
        "file": "/p.yaml",
        "digest": "0" * 64,
        "repositories": (Repository(Template("/srv/a"), True, 2),),
        "passphrase": Passphrase("/etc/passphrase"),
        "jobs": {"default": job},
        "base": "/base",
        "audit": AuditSettings("/log"),
        "socket_directory": "/run/borgctl",
    }
    return Policy(**(values | changes))


SOURCES = st.sampled_from(["/", "/etc", "/etc/ssh", "/home", "/home/a b", "/var"]).map(SourcePath)
PLACES = st.sampled_from(["/srv/a", "/srv/b", "/srv/{hostname}"])
REPOSITORIES = st.lists(
    st.builds(Repository, PLACES.map(Template), st.booleans(), st.just(2)), min_size=1, unique_by=lambda r: r.path
)


@st.composite
def jobs(draw):
    names = draw(st.sets(st.sampled_from(["default", "dumps", "prune"])))
    made = {}
    for name in names:
        command = draw(st.sampled_from(["create", "list", "init", "prune"]))
        archive = Template("{hostname}-{job}-{now}") if command == "create" else None
        options = draw(draws.chosen(command, "job"))
        made[name] = Job(JobName(name), command, 5, options, archive, (SourcePath("/etc"),) if archive else ())
    return made


@st.composite
def offers(draw):
    made = {}
    for command in draw(st.sets(st.sampled_from(sorted(COMMANDS)))):
        known = [name for name, option in COMMANDS[command].options.items() if option.request]
        paths = draw(st.lists(SOURCES, max_size=3)) if COMMANDS[command].paths else ()
        made[command] = Offer(command, 7, draw(st.frozensets(st.sampled_from(known))), tuple(paths))
    return made


POLICIES = st.builds(
    a_policy,
    repositories=REPOSITORIES.map(tuple),
    jobs=jobs(),
    commands=offers(),
    transports=st.frozensets(st.sampled_from(["stdio", "socket", "local"])),
    environment=st.just(Environment()),
    names_disclosed=st.booleans(),
)
PATHS = st.sampled_from(["/srv/a", "/srv/b", "/srv/web1"]).map(RepositoryPath)
ORDERS = (
    st.just(Hello())
    | st.builds(Run, st.sampled_from(["default", "dumps", "prune", "none"]).map(JobName))
    | draws.orders()
    | st.builds(lambda paths: Borg("create", (), ArchiveName("a"), tuple(paths)), st.lists(SOURCES, min_size=1))
    | st.builds(lambda word: Borg("list", ((word, None),)), st.sampled_from(["json", "short", "json-lines"]))
    | st.builds(lambda mode: Borg("init", (("encryption", mode),)), st.sampled_from(["repokey", "keyfile"]))
)
ASKED = st.builds(
    Request,
    ORDERS,
    st.builds(RunOptions, PATHS, st.none() | st.just(SocketPath("/run/borgctl/x")), st.sampled_from(["text", "json"])),
)
LOCAL = st.booleans().map(lambda local: Facts(stage.FACTS.names, local))


def decided(policy, request, facts):
    found = stage.outcome(BorgctlError, judge, policy, request, facts)
    if not isinstance(found, BorgctlError):
        return found
    assert found.reason.status in (77, 78)
    return None


@st.composite
def poorer(draw, policy):
    """Draw a policy with one thing less: a job, a command, an option, a path, a repository, a transport."""
    ways = []
    ways += [
        dataclasses.replace(policy, jobs={k: v for k, v in policy.jobs.items() if k != name}) for name in policy.jobs
    ]
    ways += [
        dataclasses.replace(policy, commands={k: v for k, v in policy.commands.items() if k != name})
        for name in policy.commands
    ]
    for name, offer in policy.commands.items():
        less = [dataclasses.replace(offer, options=offer.options - {option}) for option in offer.options]
        less += [dataclasses.replace(offer, paths=tuple(p for p in offer.paths if p != path)) for path in offer.paths]
        ways += [dataclasses.replace(policy, commands=policy.commands | {name: one}) for one in less]
    if len(policy.repositories) > 1:
        ways += [
            dataclasses.replace(policy, repositories=policy.repositories[:at] + policy.repositories[at + 1 :])
            for at in range(len(policy.repositories))
        ]
    ways += [dataclasses.replace(policy, transports=policy.transports - {word}) for word in policy.transports]
    ways += [dataclasses.replace(policy, names_disclosed=False)]
    return draw(st.sampled_from(ways))


@draws.FEWER
@given(st.data(), POLICIES, ASKED, LOCAL)
def test_a_policy_with_less_in_it_never_allows_more(data, policy, request, facts):
    """Requests name their repository: with a single one left it may be left out, by design."""
    after = decided(data.draw(poorer(policy)), request, facts)
    if after is not None:
        before = decided(policy, request, facts)
        assert before is not None
        if isinstance(after, BorgCommand) and after.disclosed == before.disclosed:
            assert after == before


@draws.FEWER
@given(POLICIES, ASKED, LOCAL)
def test_what_is_decided_stands_in_the_policy(policy, request, facts):
    decision = decided(policy, request, facts)
    if not isinstance(decision, BorgCommand):
        return
    assert decision.transport in policy.transports
    assert str(decision.repository) in {r.path.expand(facts.names) for r in policy.repositories}
    match request.order:
        case Run(name):
            job = policy.jobs[str(name)]
            assert (decision.command, decision.paths, decision.requested) == (job.command, job.paths, False)
        case Borg(command):
            offer = policy.commands[command]
            assert {name for name, _ in decision.options} <= offer.options
            assert all(any(offered.contains(path) for offered in offer.paths) for path in decision.paths)
            assert decision.requested


@draws.FEWER
@given(POLICIES, ASKED, LOCAL)
def test_no_word_of_the_peer_becomes_an_option_a_location_or_a_placeholder(policy, request, facts):
    """A strict model of borg's argv, written without looking at how it is built."""
    decision = decided(policy, request, facts)
    if not isinstance(decision, BorgCommand):
        return
    program, command, *words = command_line.build(decision, policy.borg, None)
    assert (program, command) == (policy.borg, decision.command)
    before, after = words[: words.index("--")], words[words.index("--") + 1 :]
    known = set(COMMANDS[command].options)
    for word in before:
        name, equals, _ = word.removeprefix("--").partition("=")
        assert word.startswith("--") and name in known | {"log-json", "umask", "lock-wait", "progress", "json", "stats"}
        assert bool(equals) == (name in ("umask", "lock-wait") or (name in known and known_takes_value(command, name)))
    location = f"ssh://borgctl{request.options.repository}"
    archive = f"::{decision.archive}" if decision.archive else ""
    assert after[0] == location + archive
    assert after[1:] == [str(path) for path in decision.paths]
    assert all(word.startswith("/") for word in after[1:])
    assert not any(brace in word for word in words for brace in "{}\0\n")


def known_takes_value(command, name):
    return COMMANDS[command].options[name].takes_value


# ---- single decisions


def test_a_policy_that_two_templates_make_ambiguous_is_not_used_by_the_weaker_rule():
    twice = (Repository(Template("/srv/{hostname}"), True, 2), Repository(Template("/srv/web1"), False, 3))
    init = Job(JobName("init"), "init", 9, (("encryption", "none"),))
    for repositories in (twice, twice[::-1]):
        with pytest.raises(BorgctlError) as caught:
            judge(a_policy(repositories=repositories, jobs={"init": init}), parse(b"run init"), stage.FACTS)
        assert caught.value.reason.code in ("encryption-required", "policy-invalid")


@pytest.mark.parametrize("mode", ["none", "authenticated", "authenticated-blake2"])
def test_an_encrypted_repository_is_never_made_open_by_a_job(mode):
    policy = a_policy(jobs={"init": Job(JobName("init"), "init", 9, (("encryption", mode),))})
    with pytest.raises(BorgctlError, match="lets the server read the data"):
        judge(policy, parse(b"run init"), stage.FACTS)


@pytest.mark.parametrize("hostname", ["", "a/b", "a::b", "-x", "a b", "a{now}", "x" * 300, "é"])
def test_a_strange_host_name_is_refused_and_reaches_nothing(hostname):
    policy = a_policy(repositories=(Repository(Template("/srv/{hostname}"), True, 2),))
    with pytest.raises(BorgctlError) as caught:
        judge(policy, parse(b"run default"), Facts(Names(hostname, "", stage.NOW)))
    assert caught.value.reason.code == "policy-invalid"


def test_a_local_peer_needs_the_local_transport():
    local = Facts(stage.FACTS.names, local=True)
    with pytest.raises(BorgctlError) as caught:
        judge(a_policy(), parse(b"run default"), local)
    assert caught.value.reason.code == "transport-not-offered"
    assert judge(a_policy(transports=frozenset(["local"])), parse(b"run default"), local).transport == "local"


def test_hello_tells_names_and_no_more(policies):
    greeting = judge(policies["jobs"], parse(b"hello"), stage.FACTS)
    assert set(greeting.offer) == {
        *("protocol", "version", "policy", "jobs", "commands", "transports", "repositories"),
    }
    assert greeting.offer["repositories"] == ["/srv/borg/web1"]
    assert {"name": "dumps", "command": "create"} in greeting.offer["jobs"]
    assert "dump-db" not in str(greeting.offer) and "/etc" not in str(greeting.offer)


def test_a_decision_says_which_line_allows_it(policies):
    decision = judge(policies["jobs"], parse(b"run prune"), stage.FACTS)
    text = (stage.CORPORA / "requests/jobs.yaml").read_text().splitlines()
    file, _, line = decision.rule.rpartition(":")
    assert file == policies["jobs"].file
    assert text[int(line) - 1].lstrip().startswith("prune:")


def test_hooks_come_from_the_job_alone(policies):
    decision = judge(policies["jobs"], parse(b"run dumps"), stage.FACTS)
    assert decision.before == (("/usr/local/bin/dump-db", "--all"),)
    assert decision.after == (("/usr/local/bin/thaw",),)
    spelled = judge(policies["commands"], parse(b"borg create ::a /etc"), stage.FACTS)
    assert (spelled.before, spelled.after) == ((), ())


def test_judging_twice_gives_the_same(policies):
    assert judge(policies["jobs"], parse(b"run dumps"), stage.FACTS) == judge(
        policies["jobs"], parse(b"run dumps"), stage.FACTS
    )
