"""The policy that the admin names on the command line, and which of its repositories.

policy = read("web1.yaml"); repository(policy, None) == RepositoryPath("/srv/borg/web1")
"""

import contextlib
import os
import pwd
import shlex

from borgctl.cli.policy.explain import facts
from borgctl.errors import BorgctlError
from borgctl.policy import load
from borgctl.policy.model import Policy
from borgctl.values import RepositoryPath


def read(file: str) -> Policy:
    """Read a policy. Root must not follow another user's file: the hint says how to run the command as that user."""
    path = os.path.abspath(file)
    try:
        return load.read(path)
    except BorgctlError as error:
        if os.geteuid() == 0 and error.reason.code == "policy-unsafe":
            with contextlib.suppress(OSError, KeyError):
                if owner := os.stat(path).st_uid:
                    hint = f"{error.hint}; as its owner: runuser -u {pwd.getpwuid(owner).pw_name} -- borgctl …"
                    raise BorgctlError(error.reason.code, error.detail, hint) from None
        raise


def repositories(policy: Policy) -> list[RepositoryPath]:
    """Return the paths of the policy's repositories on the server, as the gate expands them."""
    names = facts().names
    return [RepositoryPath(repository.path.expand(names)) for repository in policy.repositories]


def recovery_command(policy: Policy, path: RepositoryPath) -> str:
    """Return the command that prints the recovery page of one repository; it needs an open window."""
    named = ["--repository", path.text] if len(policy.repositories) > 1 else []
    return shlex.join(["borgctl", "recovery", policy.file, *named])


def repository(policy: Policy, named: str | None) -> RepositoryPath:
    """Return the repository with this path, or without one the only one; raise BorgctlError as the gate would."""
    known = repositories(policy)
    if named is None and len(known) > 1:
        raise BorgctlError("repository-needed", f"{policy.file} has {len(known)} repositories: name one")
    path = known[0] if named is None else RepositoryPath(named)
    if path not in known:
        raise BorgctlError("unknown-repository", f"{path.text!r} is not in {policy.file}")
    return path
