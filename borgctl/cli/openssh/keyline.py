"""One line of authorized_keys, read as sshd reads it: options, key, comment.

The rules are OpenSSH's own (auth2-pubkeyfile.c). Where sshd checks a line more closely than we do, we take the line for
valid, and do not call it `certain`.

    >>> parse('restrict,command="x" ssh-ed25519 AAAA me', "/root/.ssh/authorized_keys", 1).options.pty
    False
"""

import base64
import binascii
import re
from dataclasses import dataclass

from borgctl.cli.openssh.key_options import KeyOptions, parse_options
from borgctl.errors import BadValue
from borgctl.openssh_key import kind_inside

_KINDS = (  # names of signatures are taken for their key's kind (sshkey.c, peek_type_nid)
    r"ssh-ed25519|ssh-rsa|rsa-sha2-(?:256|512)|ssh-dss|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|(?:webauthn-)?sk-ecdsa-sha2-nistp256@openssh\.com"
)
_KEY = re.compile(rf"({_KINDS})[ \t]+([A-Za-z0-9+/=\v\f\r]+)(?:[ \t]+(.*))?")


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A line with a key; `subcommands` is None where sshd refuses them, and `problem` says why.

    `certain`: sshd reads no line of this key after it in the same file.
    """

    file: str
    number: int
    text: str
    options: KeyOptions | None
    problem: str | None
    kind: str
    blob: str
    comment: str
    certain: bool = False

    @property
    def place(self) -> str:
        """Return FILE:NUMBER."""
        return f"{self.file}:{self.number}"


def parse(line: str, file: str, number: int) -> KeyLine | None:
    """Read a line; return None where it has no key."""
    text = line.partition("\0")[0].lstrip(" \t").rstrip(" \t\r\n")
    if not text or text.startswith("#"):
        return None
    before, key = "", _KEY.fullmatch(text)
    if key is None:
        before, rest = _past_options(text)
        key = _KEY.fullmatch(rest)
        if key is None:
            return None
    options, problem = None, None
    try:
        options = parse_options(before)
    except BadValue as error:
        problem = str(error)
    blob = _canonical(re.sub(r"[\v\f\r]", "", key[2]))  # b64_pton(3) skips them
    certain = options is not None and options.certain and not options.cert_authority
    certain = certain and "\0" not in line and blob == key[2] and _holds(blob, key[1])
    return KeyLine(file, number, before, options, problem, key[1], blob, key[3] or "", certain)


def _canonical(blob: str) -> str:
    """Return base64 in its one form: sshd compares the bytes."""
    try:
        return base64.b64encode(base64.b64decode(blob)).decode("ascii")
    except binascii.Error:
        return blob


def _holds(blob: str, kind: str) -> bool:
    """Tell whether this is a whole key of the kind that stands before it: sshd takes no other."""
    try:
        return kind_inside(blob) == kind
    except BadValue:
        return False


def _past_options(text: str) -> tuple[str, str]:
    """Split a line behind its options: at the first blank outside quotes."""
    quoted, at = False, 0
    while at < len(text) and (quoted or text[at] not in " \t"):
        if text.startswith('\\"', at):
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        at += 1
    return text[:at], text[at:].lstrip(" \t")
