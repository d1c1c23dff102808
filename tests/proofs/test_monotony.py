"""Less in a policy never lets the server cause more.

What a server can cause is an *effect*: a borg subcommand on one repository, with these options, archive, paths and
hooks, and `disclosed` or not. A request that a policy allows has exactly one. Take one thing out of a policy: any line
of its text, any item of a list, any entry of a mapping. For each request that the smaller policy allows, the larger one
must then allow the same effect, or one that covers it; an invalid policy allows nothing.

The requests tried are the smaller policy's whole offer, spelled out. The conditions of `judge` are about one job, one
subcommand, one option, one path, one repository, one transport each, so they are tried one by one and all together.

What covers what is written in `gained`. These are no gain, and stated here rather than skipped:

* The same effect by another road. A request may name its repository or leave it out when there is but one, and may say
  it in variables where the policy says `published`. What counts is whether the larger policy allows the effect at all.
* A job that has lost an exclude, a hook or another option of its own (not of prune): more is then saved, listed or
  checked, by the administrator's own words; the server cannot read what is saved, and cannot choose it.
* A job's archive under the default name, where its own is gone.

What is left is a gain of the server. Each in KNOWN is understood and has its reason; at full length each must still be
found, so that one that has been mended leaves the list. Anything else fails the proof.
"""

import random
from collections import Counter
from itertools import chain

import draws
import pytest
import stage
from generated import policy as drawn
from generated import written

from borgctl.borg.command import BorgCommand
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FLAG
from borgctl.errors import BorgctlError
from borgctl.policy.judge import Facts, judge
from borgctl.policy.load import InvalidPolicy
from borgctl.values import ArchiveName, RepositoryPath, SocketPath, SourcePath
from borgctl.wire.request import Borg, Hello, Request, Run, RunOptions, Window, render

SOCKET = SocketPath("/run/borgctl/x.sock")
KNOWN = {
    "prune": "a prune job that has lost a keep-… or its dry-run marks more archives as deleted, of those that its "
    "glob-archives names; under append-only nothing is lost by it",
    "joined": "the line between two lists of one job is gone: words of the administrator's own that were left out are "
    "now saved, say; it is the same order by the same administrator, and the server cannot choose them",
    "hook": "words of the administrator's own programs, which are taken out or joined",
    "limits": "a limit that was stricter than the default is gone; the defaults are limits too",
    "place": "base, log, user, borg or socket directory are the default ones again; a new base has forgotten which "
    "repository was known",
    "variable": "a variable that the policy had set has borg's own default again, or what the server sends if accepted",
}


# Two lists of one job, as people write them; a draw seldom has them one after the other
LISTS = """\
version: 1
repositories: {/srv/a: {encryption: required}}
passphrase: {file: /etc/p}
jobs:
  default:
    paths:
    - /etc
    exclude:
    - /etc/ssl
"""


# ---- the whole offer of a policy, as requests


def offer(policy):
    """Yield every request that has a chance, with the facts it is judged by."""
    orders = list(_orders(policy))
    places = [RepositoryPath(repository.path.expand(stage.FACTS.names)) for repository in policy.repositories]
    for order in orders:
        yield Request(order, RunOptions(places[0], log="json")), stage.FACTS
    for order in orders[:: max(1, len(orders) // 6)]:
        for place in (None, *places):
            yield Request(order, RunOptions(place)), stage.FACTS
            yield Request(order, RunOptions(place)), Facts(stage.FACTS.names, local=True)
            yield Request(order, RunOptions(place, SOCKET)), stage.FACTS


def _orders(policy):
    yield from (Hello(), Window())
    yield from (Run(job.name) for job in policy.jobs.values())
    for command, one in policy.commands.items():
        archives = {"required": ["a"], "optional": [None, "a"], "none": [None]}[COMMANDS[command].archive]
        sources = [(path,) for path in one.paths] + [
            (SourcePath(f"{path}/x".replace("//", "/")),) for path in one.paths
        ]
        paths = [*sources, one.paths] if one.paths else [()]
        for name in archives:
            archive = name and ArchiveName(name)
            yield from (Borg(command, (), archive, some) for some in paths)
            yield from (Borg(command, chosen, archive, paths[-1]) for chosen in _choices(command, sorted(one.options)))


def _choices(command, names):
    kinds = {name: COMMANDS[command].options[name].request for name in names}
    singles = [((name, None if kinds[name] is FLAG else draws.known(kinds[name])[-1]),) for name in names]
    together = [one[0] for one in singles]
    for group in COMMANDS[command].exclusive:
        if group <= {name for name, _ in together}:
            together = [(name, value) for name, value in together if name != min(group)]
    return [*singles, tuple(together)]


# ---- effects


def effect(policy, request, facts):
    """Return what a request leads to, or None; `parse(render(request)) == request` is proved elsewhere."""
    try:
        return judge(policy, request, facts)
    except BorgctlError:
        return None


def gained(before, request, facts, after):
    """Yield what the server gains by `after`, which the policy `before` is asked for in full."""
    if not isinstance(after, BorgCommand):
        return
    own = request.options
    named = Request(request.order, RunOptions(after.repository, own.socket, own.log, own.seen))
    was = effect(before, named, facts)
    if was is None:
        yield f"{render(request)!r} was not allowed"
        return
    fixed = ("command", "repository", "transport", "log", "requested", "job")
    if any(getattr(was, name) != getattr(after, name) for name in fixed) or after.disclosed > was.disclosed:
        yield f"{was} has become {after}"
    words = {value for _, value in was.options} | set(map(str, was.paths))
    if not set(after.paths) <= set(was.paths) or (was.requested and after.archive != was.archive):
        joined = not was.requested and set(map(str, after.paths)) <= words
        yield "joined" if joined else f"{after.paths} and not {was.paths}"
    more = Counter(after.options) - Counter(was.options)
    less = Counter(was.options) - Counter(after.options)
    if more or (less and was.requested):
        joined = not was.requested and {value for _, value in more} <= words
        yield "joined" if joined else f"options {more} more and {less} less"
    if less and was.command == "prune":
        yield "prune"
    for hooks, earlier in ((after.before, was.before), (after.after, was.after)):
        if not set(hooks) <= set(earlier):
            known = {word for hook in earlier for word in hook} >= {word for hook in hooks for word in hook}
            yield "hook" if known else f"hooks {hooks}"


def loosened(before, after):
    """Yield what is looser around every run: limits, places, variables, sandbox."""
    walls = ("off", "prefer", "require")
    if walls.index(after.sandbox) < walls.index(before.sandbox) or after.published > before.published:
        yield f"sandbox {after.sandbox}, published {after.published}"
    if after.audit.syslog < before.audit.syslog or after.names_disclosed > before.names_disclosed:
        yield f"{after.audit}, names_disclosed {after.names_disclosed}"
    if not after.environment.accept <= before.environment.accept:
        yield f"accepts {after.environment.accept}"
    if not set(after.environment.set) <= set(before.environment.set):
        yield f"sets {after.environment.set}"
    if set(after.environment.set) != set(before.environment.set):
        yield "variable"
    gentle = ("none", "best-effort", "idle")
    old, new = before.limits, after.limits
    if new.runtime > old.runtime or new.sessions > old.sessions or new.nice < old.nice or new.memory > old.memory:
        yield "limits"
    if gentle.index(new.ionice) < gentle.index(old.ionice):
        yield f"ionice {new.ionice}"
    if after.window > before.window:
        yield f"window {after.window}"
    places = ("base", "borg", "socket_directory", "user")
    if after.audit.file != before.audit.file or any(getattr(after, name) != getattr(before, name) for name in places):
        yield "place"


# ---- one thing less


def fewer_lines(text):
    """Yield (what is gone, text) for each line, also for one that others stand below."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        yield line, "\n".join(lines[:at] + lines[at + 1 :]) + "\n"


def fewer_entries(tree):
    """Yield (what is gone, tree) for each item of each list and each entry of each mapping, however deep."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, {name: one for name, one in tree.items() if name != key}
            yield from ((gone, tree | {key: less}) for gone, less in fewer_entries(value))
    elif isinstance(tree, list):
        for at, value in enumerate(tree):
            yield value, tree[:at] + tree[at + 1 :]
            yield from ((gone, [*tree[:at], less, *tree[at + 1 :]]) for gone, less in fewer_entries(value))


def smaller(dice, tree, text):
    """Yield (what is gone, text) in every way there is."""
    yield from fewer_lines(text)
    yield from ((str(gone), written(dice, less)) for gone, less in fewer_entries(tree))


def read(directory, text):
    try:
        return stage.written(directory, text, "web1.yaml")
    except InvalidPolicy:
        return None


@pytest.fixture
def files(tmp_path):
    return {"exclude-from": f"{tmp_path}/excludes", "patterns-from": f"{tmp_path}/patterns"}


def drawn_policies(dice, files, number):
    """Yield policies with all that is one line or one entry less."""
    for _ in range(number):
        tree = drawn(dice, files)
        text = written(dice, tree)
        yield text, smaller(dice, tree, text)


def test_one_line_or_one_entry_less_never_lets_the_server_cause_more(proof, files, tmp_path):
    dice = random.Random(proof.seed)
    policies = proof.size(5, 300)
    removals = valid = asked = allowed = 0
    gains = Counter()
    for text, less_of_it in chain([(LISTS, fewer_lines(LISTS))], drawn_policies(dice, files, policies)):
        whole = read(tmp_path, text)
        for gone, less in less_of_it:
            removals += 1
            after = read(tmp_path, less)
            if after is None:
                continue
            valid += 1
            found = list(loosened(whole, after))
            for request, facts in offer(after):
                decision = effect(after, request, facts)
                asked += 1
                allowed += isinstance(decision, BorgCommand)
                found += gained(whole, request, facts, decision)
            for gain in set(found):
                assert gain in KNOWN, f"without {gone!r}: {gain}\n--- before\n{text}--- after\n{less}"
                gains[gain] += 1
    assert allowed > asked / 10
    assert gains["joined"]
    assert not proof.full or set(gains) == set(KNOWN), gains
    proof.say(
        "monotony",
        policies=policies,
        removals=removals,
        still_valid=valid,
        requests=asked,
        allowed=allowed,
        **{f"known_gains_of_kind_{name}": count for name, count in sorted(gains.items())},
    )
