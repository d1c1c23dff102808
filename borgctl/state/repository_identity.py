"""Which repository it is, and how far its key was used: what this machine knows of it, against what the server shows.

The relay shows what passes between borg and the server (`relay`), before it passes. The first id and key of a
repository are kept before borg acts on them, but of a new one only when it is made, and its key is what borg itself
gives the server to keep. Where borg has no count of its nonces of its own, it is given a random start before it learns
the id; so it is where a key is seen for the first time, as it may have been used under another id, and the server never
chooses from where borg counts on.

    identity = Identity(base, launch.repository, launch.command); RelayListener(…, identity.agree); …; identity.settle()
"""

import contextlib
from collections.abc import Iterator

from borgctl.borg import nonces, relay
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

_MAKING, _WINDOW = "init", "window"
RENEWED = b"K"  # besides what the relay shows: a key that the admin says is to be known from now on


@dataclass(slots=True)
class Identity:
    """What is known of the repository at this path, and what this session has been shown."""

    base: StateDir
    repository: RepositoryPath
    command: str
    _id: str | None = None
    _key: str | None = None  # the hash of the key that the server has shown
    _given: str | None = None  # the hash of the key that borg has given the server to keep

    def require_new(self) -> None:
        """Raise BorgctlError where a repository is to be made in the place of one that is known."""
        if self.command == _MAKING:
            pins.require_new(self.base, self.repository)

    def agree(self, kind: bytes, shown: bytes) -> bool:
        """Tell whether it may pass; raise BorgctlError where the reason is another than a wrong id or key."""
        match kind:
            case relay.REPOSITORY:
                return self._repository(shown.hex())
            case relay.KEY:
                self._key = shown.hex()
                return self._key == self._given or self._known_key(self._key)
            case relay.SAVED_KEY:
                return self._saved(shown.hex())
            case _ if kind == RENEWED and self.command == _WINDOW:
                self._restart()
            case relay.NONCE:
                self._outrun(_number(shown))
            case relay.RESERVED:
                self._require_own_count(_number(shown))
            case relay.WRITES:
                self._require_key()
            case _:
                return False
        return True

    def settle(self) -> None:
        """Keep what a repository that was just made has been shown to be."""
        if self.command == _MAKING and self._id is not None:
            pins.set_pin(self.base, "repository", self.repository, self._id)
            if self._given is not None:
                pins.set_pin(self.base, "key", self.repository, self._given)

    def _repository(self, shown: str) -> bool:
        known = pins.pin(self.base, "repository", self.repository)
        if (self._id or known) not in (None, shown) or not self._kept("repository", shown):
            return False
        self._require_one_base(shown, known)
        if self.command != _MAKING:
            with self._usable():
                nonces.seed(self.base.fd, shown)
        self._id = shown
        return True

    def _known_key(self, shown: str) -> bool:
        """Tell whether this is the key that is known; where none is, learn it."""
        learned = pins.pin(self.base, "key", self.repository) is None and self.command != _MAKING
        if learned:
            self._restart()
        return self._kept("key", shown)

    def _restart(self) -> None:
        """Count on from elsewhere: with this key the server may have texts whose nonces were counted by another id."""
        if self._id is not None:
            with self._usable():
                nonces.leap(self.base.fd, self._id)

    def _kept(self, kind: str, shown: str) -> bool:
        """Keep what is seen for the first time, unless it is being made; tell whether it is what is known."""
        known = pins.pin(self.base, kind, self.repository)
        if known is None and self.command != _MAKING:
            pins.set_pin(self.base, kind, self.repository, shown)
        return known in (None, shown)

    def _require_one_base(self, shown: str, known: str | None) -> None:
        """Two bases count nonces by themselves: a server could make one of them use those of the other.

        Each keeps the id before it looks for others, so that of two at once one sees the other.
        """
        other = pins.other_base(self.base, shown)
        if other is not None:
            if known is None:
                pins.delete(self.base, "repository", self.repository)
            raise BorgctlError("repository-elsewhere", f"the repository {shown} is known in {other!r}, too")

    def _saved(self, shown: str) -> bool:
        if self.command not in (_MAKING, _WINDOW):
            raise BorgctlError(
                "transport-failed", "borg asked the server to keep a key, which is for 'init' and windows"
            )
        self._given = shown
        return True

    def _outrun(self, answer: int) -> None:
        """Where the server names more than was counted here, go on from a number that it could not foresee."""
        if answer <= min(self._counted(), nonces.END - 1):
            return
        if self._id is None or answer >= nonces.FARTHEST:
            raise BorgctlError("nonce-refused", f"the server says that {answer} nonces of 2^64 are used up")
        with self._usable():
            nonces.leap(self.base.fd, self._id, answer)

    def _require_own_count(self, reserved: int) -> None:
        """Borg counts on from its own file: what is beyond it, it has from an object of the server's."""
        if reserved >= nonces.END:
            raise BorgctlError("nonce-refused", f"borg counts on to {reserved}: its own file is not what it was")
        if reserved > self._counted() + nonces.STEP:
            if self._id is not None and reserved < nonces.FARTHEST:  # an honest server's: the next run goes on above it
                with self._usable():
                    nonces.leap(self.base.fd, self._id, reserved)
            raise BorgctlError("nonce-refused", f"an object of the server's has borg count on to {reserved}")

    def _counted(self) -> int:
        with self._usable():
            return (nonces.local(self.base.fd, self._id) if self._id else None) or 0

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BorgctlError("base-unusable", f"{self.base.borg!r}: {error.strerror}") from None

    def _require_key(self) -> None:
        """Before borg writes, it has loaded the key that is known; a server may say that there is none."""
        if self.command != _MAKING and self._key is None and pins.pin(self.base, "key", self.repository) is not None:
            raise BorgctlError("repository-replaced", "borg was to write without the key that is known here")


def _number(shown: bytes) -> int:
    return int.from_bytes(shown[:8], "big")
