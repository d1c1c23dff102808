"""What a valid policy should not say: each finding is one sentence with what to do.

Findings about the files that it names come from `policy_files`; nothing that is secret is read. An error is what the
gate refuses, or what hands the gate's rights to another user; a warning is what is unwise.

    advise(policy, root).warnings == [Problem(9, 3, "job 'prune': …")]
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from borgctl.borg import patterns
from borgctl.borg.options import COMMANDS
from borgctl.borg.value_kinds import FILE
from borgctl.cli.policy import hook_rules, policy_files
from borgctl.cli.policy.source_rules import unsaid
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs import runtime_files
from borgctl.policy import sent_environment
from borgctl.policy.model import Job, Policy
from borgctl.sandbox import plan, privileges
from borgctl.state import former_hostnames, source_paths
from borgctl.strict_yaml import Node, Problem
from borgctl.values import SourcePath

_UNRATED = {"keep-last", "keep-secondly", "keep-minutely"}  # what many quick backups push out
_OPAQUE = {"exclude-from", "pattern", "patterns-from"}  # what a job leaves out cannot be told from the policy
_INIT = "init: {command: init, options: {encryption: repokey-blake2}}"
_SOCKET = (
    "socket: the server can make sockets wherever the login user may write, and so could delete files: it needs {user}"
    "'StreamLocalBindUnlink no' in sshd_config; 'stdio' needs neither"
)
_HOLD = "name a file of root's or the gate's user's, or put the hook's work into a script of theirs"
_FORMER = "prune them in a job of their own, with the old name in its 'glob-archives'"
_BELOW = "it would save nothing of that; name what is in it, or use borg 1.4"

Find = Callable[..., Node]
Finding = tuple[Node, str]


@dataclass(frozen=True, slots=True)
class Advice:
    """What was found, in the order of the looking."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def advise(policy: Policy, root: Node) -> Advice:
    """Return the findings; `root` is the tree that the policy was read from."""

    def find(*keys: str) -> Node:
        """Return the key that is named, or as far as it is written."""
        found, here = Node(1, 1), root
        for key in keys:
            pair = next((pair for pair in here.pairs or () if pair[0].value == key), None)
            if pair is None:
                break
            found, here = pair
        return found

    findings = [*_exposed(policy, find), *_loose(policy, find), *_repositories(policy, find)]
    errors = [*_refused(policy, find)]
    for name in policy.commands:
        findings += [(find("commands", name), f"command {name!r}: {text}") for text in _command(policy, name)]
    for name, job in policy.jobs.items():
        said = (*_job(policy, job), *_series(policy, job), *hook_rules.advise((*job.before, *job.after)))
        findings += [(find("jobs", name), f"job {name!r}: {text}") for text in said]
        errors += [(find("jobs", name), f"job {name!r}: {text}") for text in _unsafe(job)]
    for flaw in policy_files.flaws(policy):
        (errors if flaw.fatal else findings).append((find(flaw.key), flaw.text))
    return Advice(_problems(errors), _problems(findings))


def _problems(findings: Iterable[Finding]) -> tuple[Problem, ...]:
    return tuple(sorted({Problem(node.line, node.column, text) for node, text in findings}))


def _exposed(policy: Policy, find: Find) -> Iterator[Finding]:
    """Look at what lets the server in."""
    if policy.published and "default" not in policy.jobs:
        yield find("published"), "an empty request means the job 'default', which is not here: add it, or say 'no'"
    if policy.published and "socket" not in policy.transports:
        yield find("published"), "the published scripts announce a socket: add it to 'transports', or say 'no'"
    if "socket" in policy.transports:
        user = "an unprivileged login user ('borgctl authorize --login sudo') and " if os.geteuid() == 0 else ""
        yield find("transports"), _SOCKET.format(user=user)
    if policy.names_disclosed:
        yield find("disclose"), "the server learns names of files: say 'counts', unless somebody there needs them"


def _refused(policy: Policy, find: Find) -> Iterator[Finding]:
    try:
        plan.prepare(policy.sandbox, policy.user, policy.borg)
    except BorgctlError as error:
        yield _missing(policy, find), f"every run is refused: {error.detail}"


def _loose(policy: Policy, find: Find) -> Iterator[Finding]:
    rights = "all rights of root" if os.geteuid() == 0 else "all rights of its user"
    try:
        plan.prepare("require", policy.user, policy.borg)
    except BorgctlError as error:
        if policy.sandbox == "prefer":
            yield _missing(policy, find), f"the sandbox is not whole: {error.detail}"
        elif policy.sandbox == "off":
            yield find("sandbox"), f"borg runs with {rights}; for 'require' there is missing: {error.detail}"
    else:
        if policy.sandbox != "require":
            yield find("sandbox"), f"borg may run with {rights}: say 'require', which this machine has all for"


def _missing(policy: Policy, find: Find) -> Node:
    """Return where it is said what a sandbox needs and does not find: at the user or the borg, if they are named."""
    written = find("user")
    if os.geteuid() == 0 and written.value == "user":
        try:
            privileges.account(policy.user)
        except BadValue:
            return written
    named = find("borg")
    return named if named.value == "borg" and plan.unconfined(policy.borg) else find("sandbox")


def _repositories(policy: Policy, find: Find) -> Iterator[Finding]:
    for repository in policy.repositories:
        if not repository.encrypted:
            place = find("repositories", repository.path.text)
            yield place, "the server can read and forge what is in this repository: say 'encryption: required'"
    made = "init" in policy.commands or any(job.command == "init" for job in policy.jobs.values())
    if not made and not os.path.isdir(f"{policy.base}/borg/.config/borg/security"):
        yield find("jobs"), f"nothing here makes the repository: add '{_INIT}', or make it by hand"


def _command(policy: Policy, name: str) -> Iterator[str]:
    """Look at what the server may spell out."""
    offer = policy.commands[name]
    if SourcePath("/") in offer.paths:
        yield "the server may ask for any file of this machine: name directories, or write a job"
    if name == "prune":
        yield "the server makes its own rules for what to delete: write a job with 'keep-…' instead"
        if not any(option.startswith("keep-") for option in offer.options):
            yield "borg refuses to prune without a rule: offer a 'keep-…' option"


def _job(policy: Policy, job: Job) -> Iterator[str]:
    options = dict(job.options)
    if job.command == "create" and "dry-run" in options:
        yield "dry-run: it saves nothing, and counts as no backup: take that out once you have seen what it would save"
    if job.command == "prune":
        yield from _prune(policy, job)
    if job.command != "create":
        return
    yield from unsaid(job)
    for path in (path for path in job.paths if isinstance(path, SourcePath)):  # `_unsafe` looks at devices
        if policy_files.absent(path.text):
            if not job.before:  # else a hook may make it
                yield f"path {path.text!r} is not here, so each run fails: correct it, or leave it out"
        elif os.path.islink(path.text) and not ("read-special" in options and source_paths.is_device(path.text)):
            yield f"path {path.text!r} is a symlink, and borg saves only the link: name what it leads to"
        elif policy_files.closed_above(path.text) and policy_files.opens_above(policy):
            yield f"borg 1.2 opens the directory above {path.text!r}, which you cannot read: {_BELOW}"
    if _OPAQUE & options.keys():
        return
    left_out = [*patterns.excludes(job.options), *runtime_files.excludes(job.paths, options)]
    for noun, place in _own_places(policy):
        inside = any(isinstance(path, SourcePath) and path.contains(SourcePath(place)) for path in job.paths)
        if inside and not patterns.left_out(left_out, place):
            yield f"{noun} is in the backup: add {place!r} to 'exclude'"


def _unsafe(job: Job) -> Iterator[str]:
    """Look at the programs and files of a job, which other users of this machine must not choose."""
    for hook in (*job.before, *job.after):
        if problem := policy_files.program(hook[0]):
            yield f"its hook cannot be run, so it fails: {problem}"
        for problem in policy_files.words(hook):
            yield f"another user can change what its hook {hook[0]!r} works with: {problem}: {_HOLD}"
    kinds = COMMANDS[job.command].options
    try:
        files = [value for name, value in job.options if value is not None and kinds[name].job is FILE]
        source_paths.require_patterns(files, missing=bool(job.before))
        special = any(name == "read-special" for name, _ in job.options)
        source_paths.require_devices(map(str, job.paths) if special else (), missing=bool(job.before))
    except BorgctlError as error:
        yield f"every run is refused: {error.detail}; {error.hint}"


def _own_places(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield what is the gate's, where it really is: borg finds it there, behind whatever links."""
    yield "borg's own state, keyfiles too,", os.path.realpath(policy.base)
    if policy.passphrase.file:
        yield (
            "the passphrase, and so in the hands of whoever is given a restore,",
            os.path.realpath(policy.passphrase.file),
        )


def _series(policy: Policy, job: Job) -> Iterator[str]:
    """Look at what becomes of the archives that a job makes."""
    prunes = any(other.command == "prune" for other in policy.jobs.values())
    if job.archive is None or not prunes:
        return
    hostname = sent_environment.hostname()
    if not former_hostnames.is_pruned(policy, job, hostname, hostname):
        text = f"no prune here is about its archives, named {str(job.archive)!r}, so all of them are kept"
        yield f"{text}: name them in the 'glob-archives' of a job of command prune"
        return
    for name in policy_files.former_names(policy):
        if not former_hostnames.is_pruned(policy, job, name, hostname):
            yield f"this host was {name!r} before, and no prune here is about its archives of that time: {_FORMER}"


def _prune(policy: Policy, job: Job) -> Iterator[str]:
    options = dict(job.options)
    rules = {name for name in options if name.startswith("keep-")}
    if not rules:
        yield "borg refuses to prune without a rule: add 'keep-daily', 'keep-weekly' or another"
    elif all(name in _UNRATED and options[name] != "-1" for name in rules):
        yield "whoever asks for many backups in a row pushes the old ones out: add 'keep-daily' or 'keep-weekly'"
    pattern = options.get("glob-archives") or "*"
    if pattern == "*":
        yield (
            "all archives count as one series, those of other jobs and hosts too, and only one of a day is kept: name "
            'one job\'s, like glob-archives: "{hostname}-default-*"'
        )
        return
    matched = former_hostnames.makers(policy, job)
    if not matched:
        yield f"no job here makes archives named {pattern!r}, so it prunes none of them: correct 'glob-archives'"
    elif len(matched) > 1:
        jobs = " and ".join(repr(name) for name in matched)
        yield f"archives of {jobs} are named {pattern!r} and count as one series: prune each in a job of its own"
