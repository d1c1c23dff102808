"""A policy in plain sentences: what this server can make happen here, and what it can learn.

They are for people who did not write the policy. All comes from the same value that the gate decides by.

    paragraphs(policy, names)["It learns"][0] == "which jobs and commands are offered, …"
"""

import os
import pwd
import shlex
from collections.abc import Iterable, Iterator

from borgctl.borg.subcommands import COMMANDS
from borgctl.errors import BorgctlError
from borgctl.fs import runtime_files
from borgctl.policy.model import Job, Offer, Policy
from borgctl.policy.placeholders import Names, Template
from borgctl.sandbox import plan

_DOES = {
    "create": "backs up",
    "list": "lists archives by name and time",
    "info": "shows the sizes of archives",
    "check": "checks that the repository is sound, and changes nothing",
    "prune": "marks old archives as deleted",
    "init": "makes the repository, once",
}
_TRANSPORTS = {
    "stdio": "the ssh connection itself, without any forwarding",
    "socket": "a socket that it forwards into {directory} (sshd then also lets it make sockets wherever the login user \
may write)",
    "local": "a process on this machine",
}
_SANDBOXES = {"off": "without a sandbox", "prefer": "in a sandbox if there is one", "require": "in a sandbox"}
_PATTERNS = {"exclude-from", "pattern", "patterns-from"}
_DESCRIBED = {"exclude", "glob-archives"} | _PATTERNS


def paragraphs(policy: Policy, names: Names) -> dict[str, list[str]]:
    """Return the ends of sentences by their beginnings; `names` are those of the next run."""
    every = {
        "As it stands,": list(_hindrances(policy)),
        "The server may": [*_jobs(policy, names), *_commands(policy), *_windows(policy)],
        "It cannot": list(_impossible(policy)),
        "It can always": ["refuse a backup, and lose or delete those that it has: it holds the repository"],
        "Its backups are kept": list(_repositories(policy, names)),
        "It learns": list(_learns(policy)),
        "It reaches borg through": [_TRANSPORTS[t].format(directory=policy.socket_directory) for t in _ways(policy)],
        "It may send": list(_variables(policy)),
        "On this machine": list(_bounds(policy)),
    }
    return {beginning: sentences for beginning, sentences in every.items() if sentences}


def _hindrances(policy: Policy) -> Iterator[str]:
    try:
        plan.prepare(policy.sandbox, policy.user, policy.borg)
    except BorgctlError as error:
        yield f"the gate refuses every run: {error.detail}; {error.hint}"


def _jobs(policy: Policy, names: Names) -> Iterator[str]:
    for job in policy.jobs.values():
        own = Names(names.hostname, str(job.name), names.now)
        hooks = [f"{shlex.join(hook)} runs before" for hook in job.before]
        hooks += [f"{shlex.join(hook)} runs after" for hook in job.after]
        also = f"; as {_user()} and outside borg's sandbox, {_listed(hooks)} it" if hooks else ""
        yield f"start the job '{job.name}' (line {job.line}): borg {job.command} {_does(job, own)}{also}"


def _does(job: Job, names: Names) -> str:
    options = {name: None if value is None else Template(value).expand(names) for name, value in job.options}
    text = _DOES[job.command]
    if job.command == "create":
        left_out = [_quoted(value or "") for name, value in job.options if name == "exclude"]
        places = runtime_files.left_out(job.paths, options)
        left_out += [f"what is in {_listed(places)}"] if places else []
        text = "lists, and does not save," if "dry-run" in options else text
        text += f" {_paths(job.paths)}" + (f", without {_listed(left_out)}" if left_out else "")
        text += ", except what its patterns exclude" if options.keys() & _PATTERNS else ""
        text += f", as archive {job.archive.expand(names)}" if job.archive else ""
    if job.command == "prune":
        rules = [(name.removeprefix("keep-"), value) for name, value in options.items() if name.startswith("keep-")]
        kept = [f"{'all' if value == '-1' else value} {name}" for name, value in rules]
        text += f" except {_listed(kept)}" if kept else ""
        text += f", of those named {options['glob-archives']}" if "glob-archives" in options else ", of all archives"
    rest = [(name, value) for name, value in options.items() if name not in _DESCRIBED and not name.startswith("keep-")]
    words = [name if value is None else f"{name} {_quoted(value)}" for name, value in rest]
    return text + (f"; with {_listed(words)}" if words else "")


def _windows(policy: Policy) -> Iterator[str]:
    if policy.window:
        yield f"open a restore window of up to {_time(policy.window)}, which only {_user()} of this machine can use"


def _commands(policy: Policy) -> Iterator[str]:
    for offer in policy.commands.values():
        files = " and the files in them" if offer.command == "list" and policy.names_disclosed else ""
        yield f"spell out borg {offer.command} (line {offer.line}), which {_DOES[offer.command]}{files}{_chosen(offer)}"


def _chosen(offer: Offer) -> str:
    inside = f" any path that it names in {_paths(offer.paths, 'or')}" if COMMANDS[offer.command].paths else ""
    left_out = runtime_files.left_out(offer.paths, ()) if inside else ()
    inside += f" (without what is in {_listed(left_out)}, where it names /)" if left_out else ""
    named = ", under names of its choice" if offer.command == "create" else ""
    return f"{inside}{named}; with {_listed(sorted(offer.options), 'or') if offer.options else 'no option'}"


def _impossible(policy: Policy) -> Iterator[str]:
    if "create" not in policy.commands:
        yield "choose what is backed up: this policy names the paths"
    if not policy.commands:
        yield "choose options, or name a borg command: it sends the name of a job and nothing else"
    yield "restore, write or change a file here, or run a program"
    if all(repository.encrypted for repository in policy.repositories):
        yield "read the contents of files"


def _repositories(policy: Policy, names: Names) -> Iterator[str]:
    for repository in policy.repositories:
        path = repository.path.expand(names)
        how = "encrypted here first" if repository.encrypted else "without encryption: it can read and forge all of it"
        yield f"in {path} on the server, {how}"
    if len(policy.repositories) > 1:
        yield "in the one of these repositories that it names"


def _learns(policy: Policy) -> Iterator[str]:
    yield "which jobs and commands are offered, which borg this is, and when and how each run ends"
    yield "names, times and sizes of archives, and how many files are in them"
    if policy.names_disclosed:
        yield "names of files too: it gets the output of borg and of the hooks as it is"
    else:
        yield "no names of files, and none of the hooks' output"
    if policy.passphrase.file or policy.passphrase.program:
        source = policy.passphrase.file or f"the program {shlex.join(policy.passphrase.program)}"
        yield f"never the passphrase, which comes from {source}"


def _ways(policy: Policy) -> list[str]:
    return [name for name in _TRANSPORTS if name in policy.transports]


def _variables(policy: Policy) -> Iterator[str]:
    if policy.published:
        yield "BORG_SOCKET and BORG_REPOPATH, and an empty request, which means the job 'default'"
    if policy.environment.accept:
        yield f"{_listed(sorted(policy.environment.accept))} for borg, each checked"
    yield "no other variable: they are dropped" if policy.published or policy.environment.accept else "no variables"


def _bounds(policy: Policy) -> Iterator[str]:
    limits = policy.limits
    user = _user() if os.geteuid() != 0 or policy.sandbox == "off" else f"{policy.user}, who may read every file"
    yield f"borg runs as {user}, {_SANDBOXES[policy.sandbox]}, with nice {limits.nice} and ionice {limits.ionice}"
    yield f"the gate ends a run after {_time(limits.runtime)}"
    yield f"{limits.sessions} runs may be at work at once, one on each repository"
    yield f"borg may use {limits.memory >> 20} MiB of memory"
    places = policy.audit.file + (" and in syslog" if policy.audit.syslog else "")
    yield f"each request, granted or refused, is a line in {places}"


def _user() -> str:
    """Return the user that the gate runs as, taken to be the present one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _time(seconds: int) -> str:
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, noun = next(unit for unit in units if seconds % unit[0] == 0)
    return f"{seconds // size} {noun}{'' if seconds == size else 's'}"


def _paths(paths: Iterable[object], word: str = "and") -> str:
    return _listed([_quoted(str(path)) for path in paths], word)


def _quoted(text: str) -> str:
    return repr(text) if " " in text else text


def _listed(items: Iterable[str], word: str = "and") -> str:
    """Join words as in a sentence: a, b and c."""
    *most, last = list(items) or ["nothing"]
    return f"{', '.join(most)} {word} {last}" if most else last
