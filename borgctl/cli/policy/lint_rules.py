"""lint's errors and warnings about a valid policy, each one sentence with what to do, and its line.

An error is what the gate refuses, or what gives the gate's rights to another user; a warning is what is unwise. Those
about jobs come from `job_rules`, those about the files that the policy names from `policy_files`. It reads no secret.

    advise(policy, root).warnings == (Problem(9, 3, "job 'prune': …"),)
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from borgctl.cli.policy import job_rules, policy_files
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy.model import Policy
from borgctl.sandbox import plan, privileges
from borgctl.strict_yaml import Node, Problem
from borgctl.values import SourcePath

_INIT = "init: {command: init, options: {encryption: repokey-blake2}}"
_SOCKET = (
    "socket: the server can make sockets wherever the login user may write, and could delete files: it needs {user}"
    "'StreamLocalBindUnlink no' in sshd_config; 'stdio' needs neither"
)

Find = Callable[..., Node]
Placed = tuple[Node, str]  # a text and the key that it is about


@dataclass(frozen=True, slots=True)
class Advice:
    """The errors and warnings, in the order of the file."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def advise(policy: Policy, root: Node) -> Advice:
    """Return the errors and warnings; `root` is the tree that the policy was read from."""

    def find(*keys: str) -> Node:
        """Return the key with this path, or the last one of the path that is written."""
        node, here = Node(1, 1), root
        for key in keys:
            pair = next((pair for pair in here.pairs or () if pair[0].value == key), None)
            if pair is None:
                break
            node, here = pair
        return node

    warnings = [*_exposed(policy, find), *_weak_sandbox(policy, find), *_repositories(policy, find)]
    errors = [*_refused(policy, find)]
    for name in policy.commands:
        warnings += [(find("commands", name), f"command {name!r}: {text}") for text in _command(policy, name)]
    for name, job in policy.jobs.items():
        node = find("jobs", name)
        warnings += [(node, f"job {name!r}: {text}") for text in job_rules.advise(policy, job)]
        errors += [(node, f"job {name!r}: {text}") for text in job_rules.errors(job)]
    for flaw in policy_files.flaws(policy):
        (errors if flaw.fatal else warnings).append((find(flaw.key), flaw.text))
    return Advice(_problems(errors), _problems(warnings))


def _problems(texts: Iterable[Placed]) -> tuple[Problem, ...]:
    return tuple(sorted({Problem(node.line, node.column, text) for node, text in texts}))


def _exposed(policy: Policy, find: Find) -> Iterator[Placed]:
    """Check what the policy opens to the server."""
    if policy.published and "default" not in policy.jobs:
        yield find("published"), "an empty request means the job 'default', which is not here: add it, or say 'no'"
    if policy.published and "socket" not in policy.transports:
        yield find("published"), "the published scripts announce a socket: add it to 'transports', or say 'no'"
    if "socket" in policy.transports:
        user = "an unprivileged login user ('borgctl authorize --login sudo') and " if os.geteuid() == 0 else ""
        yield find("transports"), _SOCKET.format(user=user)
    if policy.names_disclosed:
        yield find("disclose"), "the server learns names of files: say 'counts', unless its admin needs them"


def _refused(policy: Policy, find: Find) -> Iterator[Placed]:
    try:
        plan.prepare(policy.sandbox, policy.user, policy.borg)
    except BorgctlError as error:
        yield _missing(policy, find), f"every run is refused: {error.detail}"


def _weak_sandbox(policy: Policy, find: Find) -> Iterator[Placed]:
    rights = "all rights of root" if os.geteuid() == 0 else "all rights of its user"
    try:
        plan.prepare("require", policy.user, policy.borg)
    except BorgctlError as error:
        if policy.sandbox == "prefer":
            yield _missing(policy, find), f"the sandbox is incomplete: {error.detail}"
        elif policy.sandbox == "off":
            yield find("sandbox"), f"borg runs with {rights}; 'require' is not possible: {error.detail}"
    else:
        if policy.sandbox != "require":
            yield find("sandbox"), f"borg can run with {rights}: say 'require', which is possible on this machine"


def _missing(policy: Policy, find: Find) -> Node:
    """Return the key to blame for an incomplete sandbox: `user` or `borg` if written and at fault, else `sandbox`."""
    user = find("user")
    if os.geteuid() == 0 and user.value == "user":
        try:
            privileges.account(policy.user)
        except BadValue:
            return user
    borg = find("borg")
    return borg if borg.value == "borg" and plan.unconfined(policy.borg) else find("sandbox")


def _repositories(policy: Policy, find: Find) -> Iterator[Placed]:
    for repository in policy.repositories:
        if not repository.encrypted:
            node = find("repositories", repository.path.text)
            yield node, "the server can read and forge what is in this repository: say 'encryption: required'"
    makes = "init" in policy.commands or any(job.command == "init" for job in policy.jobs.values())
    if not makes and not os.path.isdir(f"{policy.base}/borg/.config/borg/security"):
        yield find("jobs"), f"nothing here makes the repository: add '{_INIT}', or make it by hand"


def _command(policy: Policy, name: str) -> Iterator[str]:
    """Check a command that the server may spell out."""
    offer = policy.commands[name]
    if SourcePath("/") in offer.paths:
        yield "the server may ask for any file of this machine: name directories, or write a job"
    if name == "prune":
        yield "the server makes its own rules for what to delete: write a job with 'keep-…' instead"
        if not any(option.startswith("keep-") for option in offer.options):
            yield "borg refuses to prune without a rule: offer a 'keep-…' option"
