"""Judge a session's messages one by one, by its kind (`rpc_sessions`) and by what it has sent so far.

A client may read, and whatever else its kind of session allows. To write it needs the exclusive lock. It may delete
only what is new in this session, unless the server's own file allows more. It commits what it has put or deleted since
the last commit: serve keeps its counts for that time alone, and a commit of nothing, or one behind a check or a
rollback, would write down empty ones. It starts nothing and reads no file.

    judge = Judge(SESSIONS["create"], SessionLimits(b"/srv/borg/web1", quota=10**9, puts=10**6), vacant, known)
    judge.admit(message)      raises RpcRefused; judge.facts has the counts of what was admitted
"""

import re
from collections.abc import Callable

from borgctl.pull.repository.rpc_messages import MANIFEST, RpcMessage
from borgctl.pull.repository.rpc_reader import RpcRefused
from borgctl.pull.repository.rpc_sessions import SessionLimits, SessionRules

# What changes the repository, or its nonce file, or its config (`check` notes there how far it came).
_EXCLUSIVE = frozenset(("put", "delete", "commit", "check", "commit_nonce_reservation", "get_free_nonce"))
LARGEST_NONCE = (1 << 63) - 1
# One reservation leads anywhere up to FARTHEST_JUMP (a client's count begins at random below 2^62), and on from there
# in borg's own steps alone: 2^28 blocks of 16 bytes, and those of one object. Gates believe servers below 2^62 + 2^61.
FARTHEST_JUMP = (1 << 62) + (1 << 60)
LONGEST_STEP = 1 << 29
REMEMBERED = 16_384  # ids of this session's puts that a delete can count on at least; twice that at most
ENTRY = 41  # bytes that serve writes, and counts, for each put beside its data
FILE = 8192  # bytes of disk for what is written anew with each manifest and commit, at least one segment each
_KEY = re.compile(rb"(?:[A-Za-z0-9+/]{1,100}\n)*[A-Za-z0-9+/]{1,100}={0,2}\n?")  # base64, wrapped


class SessionCounts:
    """What a session has said, as far as it was admitted."""

    __slots__ = (
        *("commits", "committed_manifests", "deletes", "keys", "manifests", "messages"),
        *("overwrites", "put_bytes", "puts"),
    )

    def __init__(self) -> None:
        self.messages = self.puts = self.put_bytes = self.deletes = self.commits = self.keys = 0
        self.manifests = 0  # puts of the manifest
        self.overwrites = 0  # puts over other objects that earlier sessions left
        self.committed_manifests = 0  # commits with such a put since the commit before

    def report(self) -> dict[str, int]:
        """Return all numbers by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class _Recent:
    """The ids of the latest puts: REMEMBERED of them for certain, never more than twice as many."""

    def __init__(self) -> None:
        self.younger: set[bytes] = set()
        self.older: set[bytes] = set()

    def add(self, id_: bytes) -> None:
        if len(self.younger) >= REMEMBERED:
            self.older, self.younger = self.younger, set()
        self.younger.add(id_)

    def __contains__(self, id_: object) -> bool:
        return id_ in self.younger or id_ in self.older


class Judge:
    """One session: `admit` takes its messages one after the other and raises Refused at the first that may not pass.

    `vacant` says whether nothing is at the repository's path; it is asked when a session begins a repository. `known`
    says whether an object was there before this session.
    """

    def __init__(
        self, session: SessionRules, limits: SessionLimits, vacant: Callable[[], bool], known: Callable[[bytes], bool]
    ) -> None:
        self.session, self.limits, self.vacant, self.known = session, limits, vacant, known
        self.facts = SessionCounts()
        self.exclusive = False
        self._number = 0
        self._recent = _Recent()
        self._others = 0  # deletes of ids that were there before, or may have been
        self._written = 0  # bytes that count against the quota
        self._changed = False  # something was put or deleted since the last commit
        self._manifest = False  # a manifest was
        self._checked = False

    def admit(self, message: RpcMessage) -> None:
        """Take the next message, or raise Refused."""
        method = message.method
        if method not in self.session.methods:
            raise RpcRefused(method, "session")
        self._turn(message)
        if method in _EXCLUSIVE and not self.exclusive:
            raise RpcRefused(method, "lock")
        if rule := _RULES.get(method):
            rule(self, message)
        self._number = message.number
        self.facts.messages += 1

    def _turn(self, message: RpcMessage) -> None:
        """Refuse a message out of turn."""
        expected = {0: "negotiate", 1: "open"}.get(self._number)
        if message.number != self._number + 1 or (message.method in {"negotiate", "open"}) != (expected is not None):
            raise RpcRefused(message.method, "order")
        if expected is not None and message.method != expected:
            raise RpcRefused(message.method, "order")

    def _open(self, message: RpcMessage) -> None:
        path, create, _, lock, exclusive, append_only, parents = message.arguments
        if path != self.limits.repository:
            raise RpcRefused("open", "path")
        if append_only or parents:
            raise RpcRefused("open", "options")
        if not lock and not self.session.unlocked:
            raise RpcRefused("open", "lock")
        if create != self.session.create or (create and not (lock and exclusive and self.vacant())):
            raise RpcRefused("open", "create")
        self.exclusive = bool(lock and exclusive)

    def _check(self, message: RpcMessage) -> None:
        if message.arguments[0]:
            raise RpcRefused("check", "repair")
        if self.facts.puts or self.facts.deletes:
            raise RpcRefused("check", "mixed")
        self._checked = True

    def _change(self, method: str) -> None:
        if self._checked:
            raise RpcRefused(method, "mixed")
        self._changed = True

    def _nonce(self, message: RpcMessage) -> None:
        for nonce in message.arguments:
            if isinstance(nonce, int) and nonce > LARGEST_NONCE:
                raise RpcRefused(message.method, "nonce")
        end, start = message.arguments
        assert isinstance(end, int)
        if end > FARTHEST_JUMP and (start is None or end - int(start) > LONGEST_STEP):
            raise RpcRefused(message.method, "nonce")

    def _save_key(self, message: RpcMessage) -> None:
        (key,) = message.arguments
        if not isinstance(key, bytes) or not _KEY.fullmatch(key):
            raise RpcRefused("save_key", "key")
        self.facts.keys += 1

    def _put(self, message: RpcMessage) -> None:
        id_, length = message.arguments
        assert isinstance(id_, bytes) and isinstance(length, int)
        facts, limits = self.facts, self.limits
        self._change("put")
        if facts.puts >= limits.puts:
            raise RpcRefused("put", "puts", f"{limits.puts} at most")
        if id_ == MANIFEST and facts.manifests >= limits.commits:
            raise RpcRefused("put", "manifests", f"{limits.commits} at most")
        self._charge("put", length + ENTRY + (FILE if id_ == MANIFEST else 0))
        facts.puts += 1
        facts.put_bytes += length
        if id_ == MANIFEST:
            facts.manifests += 1
            self._manifest = True
        elif self.known(id_):
            facts.overwrites += 1
        else:
            self._recent.add(id_)

    def _charge(self, method: str, count: int) -> None:
        """Count bytes against the quota."""
        if self._written + count > self.limits.quota:
            raise RpcRefused(method, "quota", f"{self.limits.quota} bytes at most")
        self._written += count

    def _delete(self, message: RpcMessage) -> None:
        (id_,) = message.arguments
        self._change("delete")
        if id_ == MANIFEST:  # without it there are no archives; borg only ever puts a new one
            raise RpcRefused("delete", "delete", "the manifest")
        if id_ not in self._recent and not self.session.any_delete:
            most = self.limits.deletes if self.session.granted else 0
            if most is not None and self._others >= most:
                raise RpcRefused("delete", "delete", f"{most} at most")
            self._others += 1
        self.facts.deletes += 1

    def _commit(self, message: RpcMessage) -> None:
        _, compact, _, cleanup = message.arguments
        if compact or cleanup:
            raise RpcRefused("commit", "compact")
        if self.facts.commits >= self.limits.commits:
            raise RpcRefused("commit", "commits", f"{self.limits.commits} at most")
        if not self._changed:
            raise RpcRefused("commit", "empty")
        self._charge("commit", FILE)
        self.facts.commits += 1
        self.facts.committed_manifests += self._manifest
        self._manifest = False
        self._changed = False

    def _rollback(self, _: RpcMessage) -> None:
        self._manifest = False
        self._changed = False


_RULES: dict[str, Callable[[Judge, RpcMessage], None]] = {
    "open": Judge._open,
    "check": Judge._check,
    "commit_nonce_reservation": Judge._nonce,
    "save_key": Judge._save_key,
    "put": Judge._put,
    "delete": Judge._delete,
    "commit": Judge._commit,
    "rollback": Judge._rollback,
}
