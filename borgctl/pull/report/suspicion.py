"""Suspicion: which outcomes and alerts may be an attack, and not only a full disk or a host that is away.

Words are our reasons and alerts, borg's names of its messages, and kinds of ssh's errors. Most can also have a harmless
cause. A person must find out the cause before anything is accepted, compacted or run again.

    >>> suspicious("rpc-refused"), suspicious("no-space")
    (True, False)
"""

OURS = (
    *("rpc-refused", "objects-overwritten", "config-changed"),
    *("repository-replaced", "repository-gone", "repository-changed"),
    *("nonce-refused", "audit-broken", "audit-silent", "frame-mismatch", "exit-code-mismatch", "no-start"),
)
BORG = (
    *("Cache.RepositoryReplay", "Cache.EncryptionMethodMismatch", "Cache.RepositoryIDNotUnique"),
    *("KeyfileMismatchError", "RepoIdMismatch", "TAMInvalid", "TAMRequiredError", "TAMUnsupportedSuiteError"),
    *("ArchiveTAMInvalid", "ArchiveTAMRequiredError"),
)
SSH = ("host-key",)
NAMES = frozenset((*OURS, *BORG, *SSH))


def suspicious(*words: str | None) -> bool:
    """Tell whether one of these words may mean an attack."""
    return any(word in NAMES for word in words)
