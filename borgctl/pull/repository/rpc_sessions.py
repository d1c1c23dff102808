"""The kinds of session with `borg serve`, as one table: the methods of each, and why a message may be refused.

The kind follows from what the server asked for, never from the client's words. It reads no message: `rpc_rules` does.

    >>> SESSIONS["window-read"].unlocked, RULES["repair"]
    (True, 'a repair')
"""

from typing import NamedTuple

_READ = frozenset(
    (
        *("negotiate", "open", "load_key", "get", "list", "scan", "__len__", "check", "rollback"),
        *("get_free_nonce", "commit_nonce_reservation"),
    )
)
_WRITE = _READ | {"put", "commit"}
_DELETE = _WRITE | {"delete"}
# serve writes the config anew in a check, which must not be while a prune has its reserve; nor does an init need one
_PRUNE, _INIT = _DELETE - {"check"}, (_WRITE | {"save_key"}) - {"check"}

# Why a message is refused; the texts are for people.
RULES = {
    "encoding": "not a message as borg packs it",
    "stray": "what came first was no message of borg's, but something that the login printed",
    "size": "a size or number beyond what borg sends",
    "never": "no session may say this",
    "session": "this kind of session may not say this",
    "order": "not in its turn: negotiate, open, then the rest, numbered one by one",
    "path": "another repository than the target's",
    "create": "a new repository where something is, or none where one is to begin",
    "options": "a way of opening that no session may ask for",
    "lock": "without the lock that this needs",
    "repair": "a repair",
    "compact": "a commit that compacts",
    "empty": "a commit of nothing",
    "mixed": "a check, and writing, in one session",
    "nonce": "a nonce of 2^63 or more, or one that no counter could have reached",
    "key": "not the text of a key",
    "delete": "a delete of what this session did not put",
    "quota": "more bytes than the quota leaves",
    "puts": "more puts than allowed",
    "manifests": "more manifests than commits are allowed",
    "commits": "more commits than allowed",
}


class SessionRules(NamedTuple):
    """What one kind of session may say."""

    methods: frozenset[str]
    create: bool = False  # it begins a repository where nothing is, and only so
    unlocked: bool = False  # it may open without a lock, as `borg key export` does
    granted: bool = False  # it may delete as many other ids as the server's file says
    any_delete: bool = False  # it may delete any id


SESSIONS = {
    "read": SessionRules(_READ),
    "create": SessionRules(_DELETE),
    "prune": SessionRules(_PRUNE, granted=True),
    "init": SessionRules(_INIT, create=True),
    "window-read": SessionRules(_READ, unlocked=True),
    "window-write": SessionRules(_DELETE, unlocked=True),
    "window-passphrase": SessionRules(_READ | {"save_key"}, unlocked=True),
    "window-delete": SessionRules(_DELETE, unlocked=True, any_delete=True),
}


class SessionLimits(NamedTuple):
    """What the server allows one session: the only path, and numbers that count admitted messages."""

    repository: bytes
    quota: int = 0  # bytes of puts, as serve counts them, and of the files that manifests and commits begin
    puts: int = 0
    commits: int = 0
    deletes: int | None = 0  # of ids not put in this session; None: any number
