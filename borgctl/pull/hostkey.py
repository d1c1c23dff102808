"""A host's public key, as it stands in the first two fields of an OpenSSH public key file.

HostKey.read("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… root@web1").text      # the comment is left out
"""

import base64
import binascii
import re
from dataclasses import dataclass

from borgctl.errors import BadValue

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class HostKey:
    """`KIND BASE64`, where the key's own first field (RFC 4253, section 6.6) is that very kind."""

    text: str

    @classmethod
    def read(cls, text: str) -> "HostKey":
        """Read a public key line; a comment after the key is dropped."""
        if len(text) > LONGEST:
            raise BadValue(f"host key of {len(text)} characters is too long (at most {LONGEST})")
        found = re.fullmatch(r"([a-z0-9-]+) ([A-Za-z0-9+/]+={0,2})(?: [^\x00-\x1f\x7f]*)?", text)
        if not found:
            raise BadValue(
                f"bad host key {text[:60]!r}: expected a line like 'ssh-ed25519 AAAA…', as in ssh_host_ed25519_key.pub"
            )
        kind, encoded = found.groups()
        if kind not in KINDS:
            raise BadValue(f"bad host key: kind {kind!r} (expected one of: {', '.join(KINDS)})")
        if _fields(encoded)[0] != kind.encode():
            raise BadValue(f"bad host key: what follows {kind!r} is not a key of that kind")
        return cls(f"{kind} {encoded}")

    def __str__(self) -> str:
        return self.text


def _fields(encoded: str) -> list[bytes]:
    """Split a key's blob into its fields, each a length of four bytes and as many bytes (RFC 4251, section 5)."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise BadValue("bad host key: the base64 is broken") from None
    fields = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            raise BadValue("bad host key: it is cut short")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    if len(fields) < 2:
        raise BadValue("bad host key: it is cut short")
    return fields
