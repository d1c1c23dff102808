"""The policy that would allow a refused request: it asks the judge again and again, and adds one entry each time.

It adds only what the request names, as typed values, and fixed words for a job. It refuses as `Unwise` what no server
should get: pruning by its own rules, the places of secrets, the whole machine, names of files.

    policy, added = allow(policy, request, facts); entry(policy, *added[0]) == "list: {options: [json]}"
"""

import dataclasses
import json
import re

from borgctl.errors import BorgctlError
from borgctl.policy.judge import Facts, judge
from borgctl.policy.model import AuditSettings, Job, Offer, Passphrase, Policy, Repository
from borgctl.policy.placeholders import Template
from borgctl.reasons import REASONS
from borgctl.values import JobName, SourcePath
from borgctl.wire.request import Borg, Request, Run

Added = tuple[str, str]  # section and name: ("jobs", "weekly"); the name of a whole section is empty

_MOST_STEPS = 8  # a request needs at most one entry of each kind
_JOBS = {
    "init": "{command: init, options: {encryption: repokey-blake2}}",
    "list": "{command: list}",
    "info": "{command: info}",
    "check": "{command: check, options: {repository-only: true}}",
    "prune": '{command: prune, options: {keep-daily: 7, keep-weekly: 4, keep-monthly: 12, \
glob-archives: "{hostname}-default-*"}}',
}
_JOB = "{paths: [/CHANGE/THIS]}"
# The places of secrets: keys and passwords of the machine, of its users, and of borg itself
_SECRETS = re.compile(
    r"/etc/(?:g?shadow|security/opasswd|sudoers|ssh|borgctl|wireguard|krb5\.keytab|ipsec\.|NetworkManager/|luks|crypttab)"
    r"|/var/lib/(?:borgctl|private)|/etc/(?:ssl|pki)(?:/.*)?/private|/var/log/borgctl|/run(?:/|$)|/boot/grub"
    r"|.*/(?:\.ssh|\.gnupg|\.aws|\.kube|\.docker|\.password-store|\.netrc|\.pgpass|\.my\.cnf|\.vault-token|\.env)(?:/|$)"
    r"|.*/(?:\.config|\.cache)/borg|.*/id_(?:rsa|dsa|ecdsa|ed25519)|.*(?:shadow|passphrase|password|secret)[^/]*",
    re.IGNORECASE,
)


class Unwise(Exception):  # noqa: N818 - reads as what it says
    """There is no suggestion for a request; the message says what to do instead."""


def allow(policy: Policy, request: Request, facts: Facts) -> tuple[Policy, list[Added]]:
    """Return a policy that allows the request, and the names of the entries that were added; raise Unwise."""
    added: list[Added] = []
    for _ in range(_MOST_STEPS):
        try:
            judge(policy, request, facts)
        except BorgctlError as error:
            policy, key = _add(policy, request, facts, error.reason.code)
            added.append(key)
        else:
            return policy, list(dict.fromkeys(added))
    raise Unwise("it needs more entries than a request can")


def stand_in(file: str, request: Request, facts: Facts, reason: str) -> Policy:
    """Return a stand-in for a policy that cannot be read: it offers all that is asked except what was refused."""
    repository = request.options.repository
    jobs: dict[str, Job] = {}
    commands: dict[str, Offer] = {}
    match request.order:
        case Run(job) if reason != "unknown-job":
            jobs = {str(job): _job(job)}
        case Borg(command, options, _, paths) if reason != "command-not-offered":
            names = frozenset() if reason == "option-not-offered" else frozenset(name for name, _ in options)
            commands = {command: Offer(command, 0, names, () if reason == "path-not-offered" else paths)}
    transport = () if reason == "transport-not-offered" else (_transport(request, facts),)
    path = str(repository) if repository and reason != "unknown-repository" else "/srv/unnamed"
    return Policy(
        file=file,
        digest="",
        repositories=(Repository(Template(path), True, 0),),
        passphrase=Passphrase(),
        jobs=jobs,
        base="/",
        audit=AuditSettings("/"),
        socket_directory="/",
        commands=commands,
        transports=frozenset(transport),
    )


def merge(known: Policy | None, policy: Policy, added: list[Added]) -> Policy:
    """Return `known` with what was added to this policy."""
    if known is None:
        known = dataclasses.replace(policy, commands={}, transports=frozenset(("stdio",)))
    for section, name in added:
        if section == "transports":
            known = dataclasses.replace(known, transports=known.transports | policy.transports)
        if section == "commands":
            offer, other = known.commands.get(name, Offer(name, 0)), policy.commands[name]
            paths = tuple(dict.fromkeys((*offer.paths, *other.paths)))
            merged = dataclasses.replace(offer, options=offer.options | other.options, paths=paths)
            known = dataclasses.replace(known, commands=known.commands | {name: merged})
    return known


def _add(policy: Policy, request: Request, facts: Facts, reason: str) -> tuple[Policy, Added]:
    """Return the policy with the entry for whose lack the request was refused, and the name of that entry."""
    repository = request.options.repository
    match reason, request.order:
        case "unknown-job", Run(job):
            return dataclasses.replace(policy, jobs=policy.jobs | {str(job): _job(job)}), ("jobs", str(job))
        case (("command-not-offered" | "option-not-offered" | "path-not-offered"), Borg() as order):
            offer = _offer(policy.commands.get(order.command), order)
            return dataclasses.replace(policy, commands=policy.commands | {order.command: offer}), (
                "commands",
                order.command,
            )
        case "unknown-repository", _ if repository:
            more = (*policy.repositories, Repository(Template(str(repository)), True, 0))
            return dataclasses.replace(policy, repositories=more), ("repositories", str(repository))
        case "transport-not-offered", _:
            transports = policy.transports | {_transport(request, facts)}
            return dataclasses.replace(policy, transports=transports), ("transports", "")
    raise Unwise(REASONS[reason].advice)


def _transport(request: Request, facts: Facts) -> str:
    return "socket" if request.options.socket else "local" if facts.local else "stdio"


def _job(name: JobName) -> Job:
    command = str(name) if str(name) in _JOBS else "create"
    options = (("encryption", "repokey-blake2"),) if command == "init" else ()
    return Job(name, command, 0, options, paths=(SourcePath("/CHANGE/THIS"),) if command == "create" else ())


def _offer(known: Offer | None, order: Borg) -> Offer:
    """Return the offer with what the order names in addition."""
    if order.command == "prune":
        raise Unwise("a server should not make its own rules for what to delete: write a job with 'keep-…'")
    for path in order.paths:
        if str(path) == "/" or _SECRETS.match(str(path)):
            raise Unwise(f"{str(path)!r} is not for a server to ask for: if you want it, write a job")
    offer = known or Offer(order.command, 0)
    new = [path for path in order.paths if not any(have.contains(path) for have in offer.paths)]
    names = offer.options | {name for name, _ in order.options}
    return dataclasses.replace(offer, options=names, paths=(*offer.paths, *dict.fromkeys(new)))


def entry(policy: Policy, section: str, name: str) -> str:
    """Return an entry of this policy as a line of YAML."""
    match section:
        case "jobs":
            return f"{name}: {_JOBS.get(name, _JOB)}"
        case "repositories":
            return f"{name}: {{encryption: required}}"
        case "transports":
            return f"[{', '.join(sorted(policy.transports))}]"
    offer = policy.commands[name]
    parts = {"paths": [_quoted(str(path)) for path in offer.paths], "options": sorted(offer.options)}
    text = ", ".join(f"{key}: [{', '.join(items)}]" for key, items in parts.items() if items or key == "options")
    return f"{name}: {{{text}}}"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9/._-]+", text) else json.dumps(text, ensure_ascii=False)
