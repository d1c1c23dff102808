"""A policy in plain sentences: what this server can make happen here, and what it can learn.

Everything said is read from the policy value that the gate uses. For people who have not written the policy.

    sentences(policy, facts.names)[1] == "The server may start 'default': borg create backs up /etc and /home …"
"""

import os
import pwd
import shlex
from collections.abc import Iterable, Iterator

from borgctl.policy import Job, Offer, Policy
from borgctl.templates import Names
from borgctl.vocabulary import COMMANDS

_DOES = {
    "create": "backs up",
    "list": "lists the archives: their names and times",
    "info": "tells sizes and counts of the archives",
    "check": "checks that the repository is consistent, and changes nothing",
    "prune": "marks old archives as deleted",
    "init": "makes the repository, once",
}
_TRANSPORTS = {
    "stdio": "inside the ssh connection itself, without any forwarding",
    "socket": "through a unix socket that it forwards into {directory}",
    "local": "from a process of this machine",
}


def sentences(policy: Policy, names: Names) -> list[str]:
    """Return the sentences in order: what may happen, what may be learnt, how, and what bounds it."""
    return [
        *_jobs(policy, names),
        *_commands(policy),
        *_limits_of_choice(policy),
        *_repositories(policy, names),
        *_learns(policy),
        *_transports(policy),
        *_bounds(policy),
    ]


def _jobs(policy: Policy, names: Names) -> Iterator[str]:
    if not policy.jobs:
        yield "The server may start no job."
    for job in policy.jobs.values():
        own = Names(names.hostname, str(job.name), names.now)
        yield f"The server may start the job '{job.name}': {_does(job, own)} (line {job.line})."
        for when, hooks in (("Before", job.before), ("After", job.after)):
            for hook in hooks:
                yield f"{when} '{job.name}', this machine runs {_shown(hook)} as {_user()}, outside of borg."


def _does(job: Job, names: Names) -> str:
    options = dict(job.options)
    text = f"borg {job.command} {_DOES[job.command]}"
    if job.command == "create":
        left_out = [value for name, value in job.options if name == "exclude" and value is not None]
        text += f" {_listed(job.paths)}" + (f", leaving out {_listed(left_out)}" if left_out else "")
        text += f", as archive {job.archive.expand(names)}" if job.archive else ""
        if options.keys() & {"exclude-from", "pattern", "patterns-from"}:
            text += ", less what its patterns leave out"
    if job.command == "prune":
        kept = [f"{value} {name.removeprefix('keep-')}" for name, value in job.options if name.startswith("keep-")]
        text += f", keeping {_listed(kept)}" if kept else ""
        text += f", of those named {options['glob-archives']}" if options.get("glob-archives") else ", of all archives"
    said = {"exclude", "glob-archives", "exclude-from", "pattern", "patterns-from"}
    rest = [name if value is None else f"{name} {value}" for name, value in job.options if name not in said]
    rest = [text for text in rest if not text.startswith("keep-")]
    return text + (f"; with {_listed(rest)}" if rest else "")


def _commands(policy: Policy) -> Iterator[str]:
    for offer in policy.commands.values():
        yield f"The server may spell out borg {offer.command}, which {_DOES[offer.command]}{_chosen(offer)} \
(line {offer.line})."


def _chosen(offer: Offer) -> str:
    inside = f" any path that it names inside {_listed(offer.paths, 'or')}" if COMMANDS[offer.command].paths else ""
    named = ", under a name of its choice" if offer.command == "create" else ""
    options = f"; it may add {_listed(sorted(offer.options))}" if offer.options else "; it may add no option"
    return inside + named + options


def _limits_of_choice(policy: Policy) -> Iterator[str]:
    create = policy.commands.get("create")
    if create is None:
        yield "It cannot choose what is backed up: the paths are those above, written here."
    if not policy.commands:
        yield "It cannot choose options or name a borg command: it says a job's name and nothing else."
    yield "It cannot read files, restore them, run programs of its own, or delete archives in any other way."
    if any(job.command == "prune" for job in policy.jobs.values()) or "prune" in policy.commands:
        yield "Deleting for good is in the hands of whoever runs the server: it holds the repository."
    if policy.environment.accept:
        yield f"It may set {_listed(sorted(policy.environment.accept))} for borg, within bounds; any other variable is dropped."
    else:
        yield "Variables that it sends are dropped."


def _repositories(policy: Policy, names: Names) -> Iterator[str]:
    for repository in policy.repositories:
        path = repository.path.expand(names)
        if repository.encrypted:
            yield f"Data goes to {path} on the server, encrypted here: the server cannot read it."
        else:
            yield f"Data may go to {path} on the server without encryption: the server can then read and forge all of it."
    if len(policy.repositories) > 1:
        yield "The server chooses between these repositories for every job."
    if policy.passphrase.file:
        yield f"The passphrase is read from {policy.passphrase.file} here; the server never gets it."
    elif policy.passphrase.program:
        yield f"The passphrase is what {_shown(policy.passphrase.program)} prints here; the server never gets it."


def _learns(policy: Policy) -> Iterator[str]:
    yield "It learns the names of jobs and of what is offered above, which borg this is, and when a run ends and how."
    yield "It learns archives' names, times and sizes, numbers of files and how much data is sent."
    if policy.names_disclosed:
        yield "It learns names of files too: borg's messages and lists reach it as they are."
    else:
        yield "It does not learn names of files, what is in them, or what hooks print."


def _transports(policy: Policy) -> Iterator[str]:
    ways = [_TRANSPORTS[name].format(directory=policy.socket_directory) for name in sorted(policy.transports)]
    yield f"It may reach borg {_listed(ways, 'or')}."
    if "socket" in policy.transports:
        yield "For the socket, sshd also lets it make sockets wherever the login user may write."
    if policy.published:
        yield "It may ask the published scripts' way: BORG_SOCKET and BORG_REPOPATH, and an empty command for 'default'."


def _bounds(policy: Policy) -> Iterator[str]:
    limits = policy.limits
    yield f"A run is ended after {_time(limits.runtime)}; at most {limits.sessions} run at once, one on each repository."
    yield f"borg runs as {_user()}, with nice {limits.nice} and ionice {limits.ionice}, {_walls(policy)}."
    yield f"Each request, granted or not, is a line in {policy.audit.file}{' and in syslog' if policy.audit.syslog else ''}."


def _walls(policy: Policy) -> str:
    return {
        "off": "without a sandbox",
        "prefer": "in a sandbox where the kernel has one",
        "require": "in a sandbox, or not at all",
    }[policy.sandbox]


def _user() -> str:
    """Return whom the gate runs as, taken to be who asks."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
    return name if os.geteuid() else "root"


def _time(seconds: int) -> str:
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            return f"{seconds // size} {noun}{'' if seconds == size else 's'}"
    raise AssertionError


def _listed(items: Iterable[object], word: str = "and") -> str:
    """Join as a sentence does: a, b and c."""
    *most, last = [str(item) for item in items] or ["nothing"]
    return f"{', '.join(most)} {word} {last}" if most else last


def _shown(words: Iterable[str]) -> str:
    return shlex.join(words)
