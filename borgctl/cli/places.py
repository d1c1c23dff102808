"""Which of a policy's repositories a command of the admin's is about.

repository(policy, None) == RepositoryPath("/srv/borg/web1")
"""

from borgctl.cli.explain import facts
from borgctl.errors import BorgctlError
from borgctl.policy import Policy
from borgctl.values import RepositoryPath


def repositories(policy: Policy) -> list[RepositoryPath]:
    """Return the paths of the policy's repositories on the server, as the gate expands them."""
    names = facts().names
    return [RepositoryPath(repository.path.expand(names)) for repository in policy.repositories]


def repository(policy: Policy, named: str | None) -> RepositoryPath:
    """Return the repository that is named, else the only one; raise BorgctlError as the gate would."""
    known = repositories(policy)
    if named is None and len(known) > 1:
        raise BorgctlError("repository-needed", f"{policy.file} has {len(known)} repositories: name one")
    path = known[0] if named is None else RepositoryPath(named)
    if path not in known:
        raise BorgctlError("unknown-repository", f"{path.text!r} is not in {policy.file}")
    return path
