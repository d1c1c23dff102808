"""A public key, as `authorize` is given one and `authorized_keys` holds it: its kind, its blob, its fingerprint.

PublicKey.read("ssh-ed25519 AAAA… borgpull-web1").fingerprint == "SHA256:…"
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from borgctl.errors import BadValue

_TYPES = r"ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa|sk-ssh-ed25519@openssh\.com"
_LINE = re.compile(rf"({_TYPES}) ([A-Za-z0-9+/]+={{0,2}})(?: ([A-Za-z0-9@._-]{{0,100}}))?")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, checked: the type that its text says is the one inside."""

    kind: str
    blob: str
    comment: str

    @classmethod
    def read(cls, text: str) -> "PublicKey":
        """Read a key's text, or the file of that name."""
        if not text.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                with open(text, encoding="ascii") as file:
                    text = file.read(16384)
            except (OSError, UnicodeDecodeError):
                raise BadValue(f"{text[:60]!r} is neither a public key nor a file that holds one") from None
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise BadValue("not a public key: expected 'ssh-ed25519 AAAA… comment', without options before it")
        kind, blob, comment = match.groups(default="")
        try:
            inside = base64.b64decode(blob, validate=True)
        except binascii.Error:
            raise BadValue("not a public key: its base64 is damaged") from None
        if inside[4 : 4 + int.from_bytes(inside[:4], "big")] != kind.encode():
            raise BadValue(f"not a public key: it does not hold the {kind!r} that it says")
        return cls(kind, blob, comment)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as ssh-keygen -l prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    def __str__(self) -> str:
        return f"{self.kind} {self.blob} {self.comment}".rstrip()
