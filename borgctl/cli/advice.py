"""What a valid policy should not say, and what is missing around it: each finding is one sentence and what to do.

It looks at the policy and at the files that the policy names: whose they are, never what is in them.

    advise(policy, root) == [Problem(9, 3, "prune without 'glob-archives' …")]
"""

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator

from borgctl import custody
from borgctl.custody import Pinned, Unsafe
from borgctl.policy import Job, Policy
from borgctl.templates import SAMPLE, Names, Template
from borgctl.values import SourcePath
from borgctl.vocabulary import COMMANDS
from borgctl.yamlnodes import Node, Problem

_SHORT = 16  # bytes of a passphrase file; with repokey the server may guess as long as it likes
_UNRATED = {"keep-last", "keep-secondly", "keep-minutely"}  # what many quick backups push out
_OPAQUE = {"exclude-from", "pattern", "patterns-from"}  # what a job leaves out cannot be told from the policy

Find = Callable[..., Node]


def advise(policy: Policy, root: Node) -> list[Problem]:
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

    findings = [*_exposed(policy, find), *_commands(policy, find), *_around(policy, find)]
    for job in policy.jobs.values():
        findings += [(find("jobs", str(job.name)), text) for text in _job(policy, job)]
    return [Problem(node.line, node.column, text) for node, text in findings]


def _exposed(policy: Policy, find: Find) -> Iterator[tuple[Node, str]]:
    """Look at what opens the machine to the server."""
    if policy.published and "default" not in policy.jobs:
        yield find("published"), "an empty request means the job 'default', which is not here: add it, or say no"
    if policy.published and "socket" not in policy.transports:
        yield find("published"), "the published scripts send a socket: add 'socket' to 'transports', or say no"
    if "socket" in policy.transports:
        root = (
            "root can be made to create sockets anywhere: let an unprivileged user log in ('borgctl authorize --login \
sudo'), and set "
            if os.geteuid() == 0
            else "the server can create sockets wherever this user may write: set "
        )
        yield find("transports"), f"{root}'StreamLocalBindUnlink no' in sshd_config; stdio needs neither"
    if policy.names_disclosed:
        yield find("disclose"), "the server learns names of files: say 'counts', unless somebody there needs them"
    if policy.sandbox != "require":
        yield find("sandbox"), f"'{policy.sandbox}': borg runs with all rights of the gate's user, no second wall"
    for repository in policy.repositories:
        if not repository.encrypted:
            place = find("repositories", repository.path.text)
            yield place, "the server can read and forge all that is in here: say 'encryption: required'"
    if not any(job.command == "init" for job in policy.jobs.values()) and "init" not in policy.commands:
        if not os.path.isdir(f"{policy.base}/borg/.config/borg/security"):
            yield (
                find("jobs"),
                "no job makes the repository: add 'init: {command: init, options: {encryption: \
repokey-blake2}}', or make it by hand",
            )


def _commands(policy: Policy, find: Find) -> Iterator[tuple[Node, str]]:
    """Look at what the server may spell out."""
    for name, offer in policy.commands.items():
        place = find("commands", name)
        if SourcePath("/") in offer.paths:
            yield place, "the server may ask for any file of this machine: name the directories, or write a job"
        if name == "prune":
            yield place, "the server makes its own rules for what to delete: write a job with 'keep-…' instead"
        if name == "prune" and not any(option.startswith("keep-") for option in offer.options):
            yield place, "borg refuses to prune without a rule: offer a 'keep-…' option"
        if name == "list" and not policy.names_disclosed and "exclude" in offer.options:
            yield place, "'exclude' is for listing files, which 'disclose: counts' refuses: leave it out"


def _job(policy: Policy, job: Job) -> Iterator[str]:
    """Look at one job."""
    options = dict(job.options)
    if "read-special" in options:
        yield "read-special: borg reads devices and waits at pipes; keep such files in a job and a directory of their own"
    if job.command == "prune":
        yield from _prune(policy, job)
    for hook in (*job.before, *job.after):
        if problem := _program(hook[0]):
            yield f"hook {problem}: this job would fail"
    if job.command != "create":
        return
    for path in job.paths:
        if _missing(path.text):
            yield f"path {path.text!r} is not here: each run would end with a warning; create it or leave it out"
    if _OPAQUE & options.keys():
        return
    for noun, place in _own_places(policy):
        if any(path.contains(SourcePath(place)) for path in job.paths) and not _left_out(job, place):
            yield f"the backup holds {noun}: add {place!r} to 'exclude'"


def _prune(policy: Policy, job: Job) -> Iterator[str]:
    options = dict(job.options)
    rules = {name for name in options if name.startswith("keep-")}
    if not rules:
        yield "borg refuses to prune without a rule: add 'keep-daily', 'keep-weekly' …"
    elif rules <= _UNRATED:
        yield "whoever asks for many backups in a row pushes the old ones out: add 'keep-daily' or 'keep-weekly'"
    pattern = options.get("glob-archives")
    if not pattern:
        yield "prune without 'glob-archives' counts all archives as one series and deletes other jobs' and hosts': add \
it, like \"{hostname}-default-*\""
        return
    glob = Template(pattern).expand(Names(SAMPLE.hostname, str(job.name), SAMPLE.now))
    matched = [name for name, other in policy.jobs.items() if _archive_matches(other, glob)]
    if not matched:
        yield f"no job here makes archives that {pattern!r} matches: correct it, or nothing is ever pruned"
    elif len(matched) > 1:
        jobs = " and ".join(repr(name) for name in matched)
        yield f"{pattern!r} matches archives of {jobs}, which are counted as one series: prune each by a job of its own"


def _archive_matches(job: Job, glob: str) -> bool:
    names = Names(SAMPLE.hostname, str(job.name), SAMPLE.now)
    return job.archive is not None and fnmatch.fnmatchcase(job.archive.expand(names), glob)


def _own_places(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "borgctl's own state, borg's keys included", policy.base
    if policy.passphrase.file:
        yield "the passphrase, for everybody who is given a restore", policy.passphrase.file


def _left_out(job: Job, place: str) -> bool:
    """Tell whether an exclude pattern leaves the place out (borg drops the first slash of both)."""
    for _, pattern in (option for option in job.options if option[0] == "exclude"):
        style, colon, text = (pattern or "").partition(":")
        text = text if colon and style in ("fm", "sh", "pp", "pf") else pattern or ""
        above = place
        while above != "/":
            if fnmatch.fnmatchcase(above.lstrip("/"), text.lstrip("/").rstrip("/")):
                return True
            above = os.path.dirname(above)
    return False


def _around(policy: Policy, find: Find) -> Iterator[tuple[Node, str]]:
    """Look at the files that the policy names, without reading them."""
    if problem := _program(policy.borg):
        yield find("borg"), f"borg {problem}: install it, or name its path with 'borg:'"
    if policy.passphrase.program and (problem := _program(policy.passphrase.program[0])):
        yield find("passphrase"), f"passphrase program {problem}"
    if policy.passphrase.file and (problem := _secret(policy.passphrase.file)):
        yield find("passphrase"), f"passphrase file {problem}"
    directories = [("base", policy.base), ("audit", os.path.dirname(policy.audit.file))]
    directories += [("socket", policy.socket_directory)] if "socket" in policy.transports else []
    for key, path in directories:
        if problem := _directory(path):
            yield find(key), f"the gate would refuse to use {problem}"


def _program(path: str) -> str | None:
    try:
        with Pinned.at(path) as pinned:
            mode = pinned.require(stat.S_IFREG).status.st_mode
    except (OSError, Unsafe) as error:
        return _said(path, error)
    return None if mode & 0o111 else f"{path!r} is not executable: chmod 0755"


def _secret(path: str) -> str | None:
    try:
        with Pinned.at(path) as pinned:
            size = pinned.require(stat.S_IFREG, 0o077).status.st_size
    except FileNotFoundError:
        return f"{path!r} is missing: (umask 077; head -c 33 /dev/urandom | base64 > {path})"
    except (OSError, Unsafe) as error:
        return f"{_said(path, error)}: it must be root's or the gate's user's, mode 0600"
    if size < _SHORT:
        return f"{path!r} has {size} bytes: the server holds the key and may guess, take 20 or more"
    return None


def _directory(path: str) -> str | None:
    """Look at a directory, or where it is missing (the gate makes it) at the first one above that is there."""
    try:
        custody.directory(path).close()
    except FileNotFoundError:
        return _directory(os.path.dirname(path))
    except (OSError, Unsafe) as error:
        return _said(path, error)
    return None


def _said(path: str, error: Exception) -> str:
    return f"{path!r}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
