"""OpenSSH's public keys: their one line of text, what is inside, and the fingerprint.

A line that is read holds one whole key of the kind that it says: OpenSSH takes no other. This module opens no file but
one that `PublicKey.read` is given the name of.

PublicKey.read("ssh-ed25519 AAAA… borgpull-web1").fingerprint == "SHA256:…"
HostKey.read("ssh-ed25519 AAAA… root@web1").text      # the comment is left out
"""

import base64
import hashlib
import re

from borgctl.data_class import dataclass
from borgctl.errors import BadValue

# How many fields a key of each kind has (sshkey.c; RFC 4253, 6.6; RFC 5656, 3.1; PROTOCOL.u2f)
_FIELDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
    "ssh-dss": 5,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
_MOST_FIELDS = max(_FIELDS.values())
_ED25519 = 32  # bytes of the second field
_HOST = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_USER = (*_HOST, "sk-ssh-ed25519@openssh.com")
_LINE = re.compile(r"([A-Za-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: ([^\x00-\x1f\x7f]*))?")
_PLAIN = re.compile(r"[A-Za-z0-9@._-]{0,100}")
_LONGEST = 4096  # characters of a line: OpenSSH's largest RSA key has 2800


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A user's public key: `blob` is its base64; the comment is one that may stand in a line of authorized_keys."""

    kind: str
    blob: str
    comment: str

    @classmethod
    def read(cls, text: str) -> "PublicKey":
        """Read a key's text, or the file of that name."""
        if not text.startswith(("ssh-", "ecdsa-", "sk-")):
            text = _content(text)
        kind, blob, comment = _parse(text.strip(), "public key", _USER)
        if not _PLAIN.fullmatch(comment):
            raise BadValue(f"bad public key: comment {comment[:60]!r} (expected letters, digits and @._-)")
        return cls(kind, blob, comment)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as ssh-keygen -l prints it."""
        return fingerprint(self.blob)

    def __str__(self) -> str:
        return f"{self.kind} {self.blob} {self.comment}".rstrip()


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key as `KIND BASE64`; whatever its comment is, it is left out."""

    text: str

    @classmethod
    def read(cls, text: str) -> "HostKey":
        """Read a public key line."""
        kind, blob, _ = _parse(text, "host key", _HOST)
        return cls(f"{kind} {blob}")

    @classmethod
    def from_file(cls, path: str) -> "HostKey":
        """Read a file as sshd keeps it."""
        return cls.read(_content(path).strip())

    def __str__(self) -> str:
        return self.text


def fingerprint(blob: str) -> str:
    """Return the fingerprint of what is in base64, whatever that is; raise BadValue where it is no base64."""
    try:
        digest = hashlib.sha256(base64.b64decode(blob)).digest()
    except ValueError:
        raise BadValue("no key: its base64 is damaged") from None
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def kind_inside(blob: str) -> str:
    """Return the kind of the key that is in base64; raise BadValue where there is not one whole key."""
    try:
        inside = base64.b64decode(blob, validate=True)
    except ValueError:
        raise BadValue("its base64 is damaged") from None
    fields: list[bytes] = []
    while inside:  # each a length of four bytes and as many bytes (RFC 4251, 5)
        if len(fields) == _MOST_FIELDS:  # a user may write millions of empty ones, and root reads them
            raise BadValue("it has too many fields")
        length = int.from_bytes(inside[:4], "big")
        if len(inside) < 4 + length:
            raise BadValue("it is cut short")
        fields.append(inside[4 : 4 + length])
        inside = inside[4 + length :]
    kind = fields[0].decode("ascii", "replace") if fields else ""
    if kind not in _FIELDS:
        raise BadValue("it holds no key of a kind that is known")
    if len(fields) != _FIELDS[kind] or (kind.partition("@")[0].endswith("ssh-ed25519") and len(fields[1]) != _ED25519):
        raise BadValue(f"it does not hold one whole key of kind {kind!r}")
    return kind


def _parse(text: str, what: str, kinds: tuple[str, ...]) -> tuple[str, str, str]:
    """Split a line into kind, base64 and comment."""
    if len(text) > _LONGEST:
        raise BadValue(f"{what} of {len(text)} characters is too long (at most {_LONGEST})")
    match = _LINE.fullmatch(text)
    if match is None:
        raise BadValue(f"bad {what} {text[:60]!r}: expected 'ssh-ed25519 AAAA… comment', without options before it")
    kind, blob, comment = match.groups(default="")
    if kind not in kinds:
        raise BadValue(f"bad {what}: kind {kind!r} (expected one of: {', '.join(kinds)})")
    try:
        inside = kind_inside(blob)
    except BadValue as error:
        raise BadValue(f"bad {what}: {error}") from None
    if inside != kind:
        raise BadValue(f"bad {what}: what follows {kind!r} is not a key of that kind")
    return kind, blob, comment


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(2 * _LONGEST)
    except (OSError, UnicodeDecodeError, ValueError):
        raise BadValue(f"{path[:60]!r} is neither a public key nor a file that holds one") from None
