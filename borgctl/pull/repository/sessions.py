"""Sessions: what a client may say to `borg serve` in one call, by what the server asked for.

The kind follows from the job that the server named and from how its target file describes that job, never from the
client's words; a window's follows from `borgpull window --allow`. `rpc_sessions` has what each kind may say.

    session_for(target, JobName("default"), repository_known=True)   == GuardSession("create", deletes=0)
"""

from borgctl.data_class import dataclass
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName

WINDOWS = ("read", "write", "passphrase", "delete")

# serve writes a put before it refuses it for the quota, so the guard has its own limit. An honest client should get the
# quota error from serve, by name; by then this much may be on its way (pipes, sockets, ssh's window; 16 MiB were seen).
_SLACK = 64 << 20  # bytes
# serve needs about 44 bytes of memory for each object: so many take 9 GB. A first backup of 10 TB in large files has
# five million, and each small file is one more.
_MOST_PUTS = 200_000_000
# Each commit writes the whole index anew, and begins files. borg makes a checkpoint every 30 minutes; `recreate`, in a
# window, two commits an archive.
_MOST_COMMITS, _MOST_IN_A_WINDOW = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class GuardSession:
    """A kind of session and its limits; `deletes` of objects of earlier sessions is None for any number."""

    name: str
    deletes: int | None = 0

    @property
    def commits(self) -> bool:
        """Tell whether a good run of this kind must have changed the repository, whatever the client says."""
        return self.name in ("create", "init")


def session_for(target: Target, job: JobName, repository_known: bool) -> GuardSession:
    """Return the session of a job; `repository_known`: there is a repository, or there once was one."""
    described = target.job(job)
    if described.kind == "read":
        return GuardSession("read")
    if not repository_known:
        return GuardSession("init")
    return GuardSession(described.kind, described.deletes)


def window_session(allow: str) -> GuardSession:
    """Return the session of a window; `allow` is one of WINDOWS."""
    return GuardSession(f"window-{allow}", None if allow == "delete" else 0)


def bounds(session: GuardSession, quota: float, used: int) -> dict[str, int]:
    """Return how many bytes, puts and commits may pass, of a quota of which `used` bytes are taken."""
    commits = _MOST_IN_A_WINDOW if session.name.startswith("window") else _MOST_COMMITS
    return {"quota": max(0, int(quota) - used) + _SLACK, "puts": _MOST_PUTS, "commits": commits}
