"""A borg key to type from paper: the lines of `borg key export --paper`, each with its own checksum.

`borg key import --paper` asks for them one by one and tells at once which one is mistyped. The format is borg's
(crypto/keymanager.py); the tests compare with the real one.

    lines(exported)[:2] == ["id: 23 / 63fb6c 4f1e11 … - 1c", " 1: 86a964 617461 … - b3"]
"""

import binascii
import hashlib

from borgctl.errors import BadValue

_BYTES = 18  # of the key in a line


def lines(exported: bytes) -> list[str]:
    """Return the lines for a key as `borg key export` writes it; raise BadValue where it is damaged."""
    head, _, text = exported.decode("ascii", "replace").partition("\n")
    try:
        key = binascii.a2b_base64(text)
    except binascii.Error:
        raise BadValue("the key is damaged: it is not base64") from None
    parts = [key[start : start + _BYTES] for start in range(0, len(key), _BYTES)]
    identity, whole = head.removeprefix("BORG_KEY ")[:18], _digest(key, 12)
    check = _digest(f"{len(parts)}/{identity}/{whole}".encode("ascii"), 2)
    first = f"id: {len(parts)} / {_grouped(identity)} / {_grouped(whole)} - {check}"
    numbered = enumerate(parts, 1)
    return [first, *(f"{i:2d}: {_grouped(part.hex())} - {_digest(i.to_bytes(2) + part, 2)}" for i, part in numbered)]


def _digest(data: bytes, digits: int) -> str:
    return hashlib.sha256(data).hexdigest()[:digits]


def _grouped(text: str) -> str:
    return " ".join(text[start : start + 6] for start in range(0, len(text), 6))
