"""lint's errors and warnings about one job: what it saves, what it prunes, and the programs and files that it names.

Each is one sentence with what to do; `lint_rules` finds the line. What other users of this machine could change is an
error.

    list(advise(policy, policy.jobs["prune"])) == ["borg refuses to prune without a rule: …"]
"""

import os
from collections.abc import Iterator

from borgctl.borg import patterns
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FILE
from borgctl.cli.policy import hook_rules, policy_files, source_rules
from borgctl.errors import BorgctlError
from borgctl.fs import runtime_files
from borgctl.policy import sent_environment
from borgctl.policy.model import Job, Policy
from borgctl.state import former_hostnames, source_paths
from borgctl.values import SourcePath

_UNRATED = {"keep-last", "keep-secondly", "keep-minutely"}  # many quick backups push out what these keep
_OPAQUE = {"exclude-from", "pattern", "patterns-from"}  # the policy alone does not show what a job excludes
_OWN = "name a file that root or the gate's user owns, or put the hook's work into such a script"
_FORMER = "prune them in a job of their own, with the old name in its 'glob-archives'"
_BELOW = "it would save nothing of that; name what is in it, or use borg 1.4"


def advise(policy: Policy, job: Job) -> Iterator[str]:
    """Yield the warnings about a job."""
    yield from _saved(policy, job)
    yield from _series(policy, job)
    yield from hook_rules.advise((*job.before, *job.after))


def _saved(policy: Policy, job: Job) -> Iterator[str]:
    """Check what a job saves, or deletes."""
    options = dict(job.options)
    if job.command == "create" and "dry-run" in options:
        yield "dry-run: it saves nothing, and counts as no backup: remove that once you have seen what it would save"
    if job.command == "prune":
        yield from _prune(policy, job)
    if job.command != "create":
        return
    yield from source_rules.advise(job)
    for path in (path for path in job.paths if isinstance(path, SourcePath)):  # `errors` checks devices
        if policy_files.absent(path.text):
            if not job.before:  # else a hook may make it
                yield f"path {path.text!r} is not here, so each run fails: correct it, or remove it"
        elif os.path.islink(path.text) and not ("read-special" in options and source_paths.is_device(path.text)):
            yield f"path {path.text!r} is a symlink, and borg saves only the link: name the path that it leads to"
        elif policy_files.closed_above(path.text) and policy_files.opens_above(policy):
            yield f"borg 1.2 opens the directory above {path.text!r}, which you cannot read: {_BELOW}"
    if _OPAQUE & options.keys():
        return
    left_out = [*patterns.excludes(job.options), *runtime_files.excludes(job.paths, options)]
    for noun, place in _own_places(policy):
        inside = any(isinstance(path, SourcePath) and path.contains(SourcePath(place)) for path in job.paths)
        if inside and not patterns.left_out(left_out, place):
            yield f"{noun} is in the backup: add {place!r} to 'exclude'"


def errors(job: Job) -> Iterator[str]:
    """Yield the errors of a job: programs and files that are missing, or that other users can change."""
    for hook in (*job.before, *job.after):
        if problem := policy_files.program(hook[0]):
            yield f"its hook cannot be run, so it fails: {problem}"
        for problem in policy_files.words(hook):
            yield f"another user can change a file of its hook {hook[0]!r}: {problem}: {_OWN}"
    kinds = COMMANDS[job.command].options
    try:
        files = [value for name, value in job.options if value is not None and kinds[name].job is FILE]
        source_paths.require_patterns(files, missing=bool(job.before))
        special = any(name == "read-special" for name, _ in job.options)
        source_paths.require_devices(map(str, job.paths) if special else (), missing=bool(job.before))
    except BorgctlError as error:
        yield f"every run is refused: {error.detail}; {error.hint}"


def _own_places(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the gate's own files by their real paths, which borg finds whatever links lead there."""
    yield "borg's own state, keyfiles too,", os.path.realpath(policy.base)
    if policy.passphrase.file:
        yield (
            "the passphrase, which anyone who gets a restore could then read,",
            os.path.realpath(policy.passphrase.file),
        )


def _series(policy: Policy, job: Job) -> Iterator[str]:
    """Check whether a prune covers the archives that a job makes."""
    prunes = any(other.command == "prune" for other in policy.jobs.values())
    if job.archive is None or not prunes:
        return
    hostname = sent_environment.hostname()
    if not former_hostnames.is_pruned(policy, job, hostname, hostname):
        text = f"no prune here matches its archives, named {str(job.archive)!r}, so all of them stay"
        yield f"{text}: match them with 'glob-archives' in a job of command prune"
        return
    for name in policy_files.former_names(policy):
        if not former_hostnames.is_pruned(policy, job, name, hostname):
            yield f"this host was {name!r} before, and no prune here matches its archives of that time: {_FORMER}"


def _prune(policy: Policy, job: Job) -> Iterator[str]:
    options = dict(job.options)
    rules = {name for name in options if name.startswith("keep-")}
    if not rules:
        yield "borg refuses to prune without a rule: add 'keep-daily', 'keep-weekly' or another"
    elif all(name in _UNRATED and options[name] != "-1" for name in rules):
        yield "a server that asks for many backups in a row pushes the old ones out: add 'keep-daily' or 'keep-weekly'"
    pattern = options.get("glob-archives") or "*"
    if pattern == "*":
        yield (
            "all archives count as one series, those of other jobs and hosts too, and only one a day stays: match "
            'one job\'s, like glob-archives: "{hostname}-default-*"'
        )
        return
    matched = former_hostnames.makers(policy, job)
    if not matched:
        yield f"no job here makes archives named {pattern!r}, so it prunes none of them: correct 'glob-archives'"
    elif len(matched) > 1:
        jobs = " and ".join(repr(name) for name in matched)
        yield f"archives of {jobs} are named {pattern!r} and count as one series: prune each in a job of its own"
