"""A dangerous word of borg's never becomes an option, however it is spelled and wherever it stands.

Dangerous is, for a subcommand, every option of borg 1.4.5 (tests/corpora/risk.json) that

* has the verdict `deny` (never to be asked for) or `pin` (the gate's own to set), or
* is of a class in SEVERE; `resource`, `discloses-metadata`, `acts-at-parse-time` and `benign` alone are not, as what a
  policy offers is bounded by the kinds of its values;

and every such option of any other subcommand, where this one has no word of that name. Not counted is what a policy may
offer by design: OFFERED says what and why, and a test below holds it to be exactly what can be requested.

A dangerous word may still stand where free text belongs: as the value of --comment, --exclude or --filter (INERT), when
the policy offers those. Both real borgs then say that it is a value, and that the option itself is at its default.
"""

import itertools
import json
import random
import shlex

import pytest
import stage
from borgs import PINNED, both
from generated import Intent

from borgctl.borg import command_line
from borgctl.borg.command import BorgCommand
from borgctl.borg.subcommands import COMMANDS
from borgctl.errors import BorgctlError
from borgctl.policy.judge import judge
from borgctl.wire.request_parser import parse

RISK = json.loads((stage.CORPORA / "risk.json").read_text("utf-8"))
SEVERE = {
    *("executes-commands", "writes-local-files", "reads-local-files", "discloses-secrets"),
    *("destroys-data", "weakens-backup", "network-transport"),
}
_LESS = "less is saved or kept with it; the admin lists it to let the server choose"
_PLACEHOLDER = "dangerous through borg's placeholders alone, and no brace is admitted"
_PRUNE = "what a server may prune is the whole point of offering prune; it marks only, under append-only"
OFFERED = {
    ("create", "upload-ratelimit"): "how fast; at least 64 KiB/s",
    **dict.fromkeys((("create", name) for name in ("exclude-caches", "exclude-nodump", "exclude")), _LESS),
    **dict.fromkeys((("create", name) for name in ("noacls", "noflags", "noxattrs", "one-file-system")), _LESS),
    ("list", "exclude"): "what is listed; nothing is made",
    **dict.fromkeys(((name, "glob-archives") for name in ("list", "info", "check", "prune")), _PLACEHOLDER),
    ("create", "comment"): _PLACEHOLDER,
    **dict.fromkeys((("prune", name) for name in COMMANDS["prune"].options if name.startswith("keep-")), _PRUNE),
    ("init", "encryption"): "encrypted modes only",
}
REFUSED = {76: None, 77: None}
INERT = ("comment", "exclude", "filter")
VALUES = ("x", "/etc/shadow", "0777", "sh -c id", "1", "R /etc", "--rsh=x", "")


# Everything that a policy can offer is offered: what is refused is refused by the language, not by a narrow policy.
def _offer(command):
    options = ", ".join(name for name, option in command.options.items() if option.request)
    return f"  {command.name}: {{options: [{options}]{', paths: [/]' if command.paths else ''}}}"


POLICY = "\n".join(
    [
        "version: 1",
        "repositories: {/srv/a: {encryption: required}, /srv/b: {encryption: none}}",
        "passphrase: {file: /etc/borgctl/passphrase}",
        "jobs: {default: {paths: [/etc]}}",
        "commands:",
        *map(_offer, COMMANDS.values()),
        "transports: [stdio, socket]",
        "published: yes",
        "disclose: names",
    ]
)
BASES = {
    "create": (
        "borg --repository=/srv/a create ::a /etc",
        "borg --repository=/srv/a create --stats --comment hello --exclude /etc/x ::a /etc /home",
        "borg --log=json --repository=/srv/b create ::a --filter - --exclude=*.o /etc --comment /x -- /home",
        "borg --repository=/srv/a create --compression zstd,3 ::a --exclude /a --exclude /b /etc",
    ),
    "list": ("borg --repository=/srv/a list", "borg --repository=/srv/a list --short --exclude x ::a"),
    "info": ("borg --repository=/srv/a info --last 3", "borg --repository=/srv/a info -- ::a"),
    "check": (
        "borg --repository=/srv/a check --repository-only",
        "borg --repository=/srv/a check ::a --max-duration 60",
    ),
    "prune": (
        "borg --repository=/srv/a prune --keep-daily 7 --glob-archives a-*",
        "borg --repository=/srv/a prune --list",
    ),
    "init": (
        "borg --repository=/srv/a init --encryption repokey",
        "borg --repository=/srv/b init --encryption=keyfile --",
    ),
    "run": ("run default --repository=/srv/a", "run default --log=json --repository=/srv/a"),
    "hello": ("hello", "hello --repository=/srv/a"),
    "window": ("window", "window --repository=/srv/a"),
}


def severe(option):
    return option["verdict"] in ("deny", "pin") or bool(SEVERE & set(option["classes"]))


def dangerous(command):
    """Return the dangerous options for a subcommand, by name."""
    own = RISK["common"] | RISK["subcommands"].get(command, {"options": {}})["options"]
    foreign = {
        name: option
        for other in RISK["subcommands"].values()
        for name, option in other["options"].items()
        if severe(option)
    }
    found = {name: option for name, option in own.items() if severe(option)}
    found |= {name: option for name, option in foreign.items() if name not in own}
    offered = {f"--{name}" for asked, name in OFFERED if asked == command}
    return {name: option for name, option in found.items() if name not in offered}


def spelled(option, value):
    """Yield the option in every spelling that borg, another program or a tired person might take, as words."""
    for full, first in option["spellings"].items():
        if full.startswith("--"):
            texts = [full[:length] for length in range(len(first), len(full) + 1)]
            texts += [full[1:], f"-{full}", full.upper(), full.replace("-", "_"), full[2:], f"{full[:-1]}\\{full[-1]}"]
            for text in texts:
                yield from ([text], [f"{text}={value}"], [text, value], [f"{text} {value}"], [text, f"={value}"])
            yield from ([f"{full}={value}"] * 2, [full, "--", value], ["--", full, value], ["--", f"{full}={value}"])
        else:
            yield from ([full], [full, value], [f"{full}{value}"], [f"{full}={value}"])
            for harmless in ("s", "v", "sv", "svp", "nx"):
                cluster = f"-{harmless}{full[1:]}"
                yield from ([cluster], [cluster, value], [f"{cluster}{value}"], [f"{cluster}={value}"])


def mutated(base, words):
    """Yield the base's words with these inserted at each place, and in place of each word."""
    for at in range(len(base) + 1):
        yield base[:at] + words + base[at:]
        if at < len(base):
            yield base[:at] + words + base[at + 1 :]


def cases(command, dice, share):
    """Yield (the words put in, the request's words) for a share of all mutations of this subcommand's requests."""
    for base, option in itertools.product(BASES[command], dangerous(command).values()):
        for words in spelled(option, dice.choice(VALUES)):
            if dice.random() < share:
                yield from ((words, mutation) for mutation in mutated(shlex.split(base), words))


def decided(policy, words):
    """Return the decision; anything else than one of our refusals is a defect."""
    try:
        return judge(policy, parse(shlex.join(words).encode("ascii")), stage.FACTS)
    except BorgctlError as error:
        return REFUSED[error.reason.status]  # 78 is no answer to a request: the policy is good


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return stage.written(tmp_path_factory.mktemp("policy"), POLICY)


def carried(decision, words):
    """Yield (option, value) where one of these words has become a value of the decision."""
    yield from ((name, value) for name, value in decision.options if value is not None and value in words)


def case(policy, decision, names):
    """Return what borg must say of a decision: it reads just that, and these options are at their defaults."""
    paths = [str(path) for path in decision.paths]
    archive = decision.archive and str(decision.archive)
    intent = Intent(decision.command, list(decision.options), str(decision.repository), archive, paths, decision.log)
    meant = intent.meant(policy.names_disclosed)
    touched = {"exclude-from", "patterns-from", "pattern"} if "exclude" in dict(decision.options) else set()
    meant["options"] = [*PINNED, *meant["options"]]
    words = command_line.build(decision, policy.borg, None)[1:]
    return {"argv": words, "meant": meant, "untouched": [name for name in names if name not in touched]}


def test_what_is_dangerous_and_on_offer_all_the_same_is_written_down_with_its_reason():
    """A new word of requests that borg-risk.json warns of must be weighed here first."""
    found = set()
    for command in COMMANDS.values():
        options = RISK["common"] | RISK["subcommands"][command.name]["options"]
        asked = {name for name, option in command.options.items() if option.request}
        # 'keep-last' is what borg calls --keep-secondly
        found |= {(command.name, name) for name in asked if severe(options.get(f"--{name}", {"verdict": "deny"}))}
    assert found == set(OFFERED)


@pytest.mark.parametrize("name", sorted(set(RISK["subcommands"]) - set(COMMANDS)))
def test_no_other_subcommand_of_borg_can_be_named(policy, name):
    for line in (f"borg {name}", f"borg {name} ::a /etc", f"borg --repository=/srv/a {name} -- x", name, f"run {name}"):
        assert decided(policy, line.split()) is None


@pytest.mark.e2e
def test_no_dangerous_word_becomes_an_option_in_any_spelling_at_any_place(proof, parsers, policy):
    dice = random.Random(proof.seed)
    tried, inert, read = 0, dict.fromkeys(INERT, 0), 0
    for command in BASES:
        names = [name.removeprefix("--") for name in dangerous(command)]
        waiting = {}
        for words, mutation in cases(command, dice, proof.size(0.01, 1.0)):
            tried += 1
            decision = decided(policy, mutation)
            if decision is None:
                continue
            assert isinstance(decision, BorgCommand), mutation
            values = list(carried(decision, words))
            for option, value in values:
                # what followed the dangerous word, or the word without its dashes, is a value like any other
                assert option in INERT or not value.startswith("-"), mutation
                if option in INERT:
                    inert[option] += 1
            # '--list' without its dashes is a subcommand, asked for by its name
            assert values or decision.command in words, f"allowed, and the word is nowhere: {mutation}"
            assert not {option for option, _ in decision.options} & set(names), mutation
            waiting.setdefault(str((decision.options, decision.archive, decision.paths)), case(policy, decision, names))
        if command in COMMANDS:
            asked, differences = both(parsers, [("1.2", one) for one in waiting.values()])
            assert not differences, differences[0]
            read += min(asked.values())
        else:
            assert not waiting
    assert tried > 10 * sum(inert.values())
    assert not proof.full or all(inert.values()), inert
    proof.say(
        "dangerous words",
        words_by_subcommand=sum(len(dangerous(command)) for command in BASES),
        mutations=tried,
        became_a_value=sum(inert.values()),
        distinct_argvs_read_by_both_borgs=read,
    )
