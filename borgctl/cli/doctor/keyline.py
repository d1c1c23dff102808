"""One line of authorized_keys, read as sshd reads it: options, key, comment.

The rules are OpenSSH's own (auth2-pubkeyfile.c, auth-options.c): options in any case; flags in order, so that a later
`restrict` takes back what stood before it; a line with an option that sshd doesn't know counts for nothing.

    parse('restrict,command="x" ssh-ed25519 AAAA… me', "/root/.ssh/authorized_keys", 1).options.pty == False
"""

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import Any

from borgctl.errors import BadValue

_KINDS = (
    r"ssh-ed25519|ssh-rsa|ssh-dss|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com"
)
_KEY = re.compile(rf"({_KINDS})[ \t]+([A-Za-z0-9+/]+={{0,2}})(?:[ \t]+(.*))?")
_FLAGS = {  # the field that a flag sets; None: nothing that matters here
    "port-forwarding": "port_forwarding",
    "agent-forwarding": "agent_forwarding",
    "x11-forwarding": "x11_forwarding",
    "touch-required": None,
    "verify-required": None,
    "pty": "pty",
    "user-rc": "user_rc",
}
_ONCE = {
    "command": "command",
    "principals": "principals",
    "from": "sources",
    "expiry-time": "expires",
    "tunnel": "tunnel",
}
_MANY = ("environment", "permitopen", "permitlisten")
_CLOSED: dict[str, Any] = dict.fromkeys(
    ("port_forwarding", "agent_forwarding", "x11_forwarding", "pty", "user_rc"), False
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a line permits; `permitopen` and `permitlisten` hold HOST:PORT, none means any."""

    restricted: bool = False
    port_forwarding: bool = True
    agent_forwarding: bool = True
    x11_forwarding: bool = True
    pty: bool = True
    user_rc: bool = True
    cert_authority: bool = False
    command: str | None = None
    sources: str | None = None
    expires: str | None = None
    principals: str | None = None
    tunnel: str | None = None
    environment: tuple[str, ...] = ()
    permitopen: tuple[str, ...] = ()
    permitlisten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A line with a key; `options` is None where sshd refuses them, and `problem` says why."""

    file: str
    number: int
    text: str
    options: Options | None
    problem: str | None
    kind: str
    blob: str
    comment: str

    @property
    def place(self) -> str:
        """Return where it stands."""
        return f"{self.file}:{self.number}"


def parse(line: str, file: str, number: int) -> KeyLine | None:
    """Read a line; None where it holds no key."""
    text = line.strip(" \t\r\n")
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
    return KeyLine(file, number, before, options, problem, key[1], _canonical(key[2]), key[3] or "")


def _canonical(blob: str) -> str:
    """Return base64 in its one form: sshd compares the bytes."""
    try:
        return base64.b64encode(base64.b64decode(blob)).decode("ascii")
    except binascii.Error:
        return blob


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


def parse_options(text: str) -> Options:
    """Read the options of a line; raise BadValue where sshd would refuse them."""
    options, rest = Options(), text
    while rest:
        options, rest = _option(options, rest)
        if not rest:
            break
        if rest[0] != ",":
            raise BadValue("unknown key option")
        rest = rest[1:]
        if not rest:
            raise BadValue("unexpected end of options")
    return options


def _option(options: Options, text: str) -> tuple[Options, str]:
    """Read the first option; return what it makes of `options`, and what stands behind it."""
    lower = text.lower()
    if lower.startswith("restrict"):
        return replace(options, restricted=True, **_CLOSED), text[8:]
    if lower.startswith("cert-authority"):
        return replace(options, cert_authority=True), text[14:]
    no = 3 if lower.startswith("no-") else 0
    for flag, name in _FLAGS.items():
        if lower.startswith(flag, no):
            return (_with(options, name, not no) if name else options), text[no + len(flag) :]
    word = lower.partition("=")[0]
    if "=" not in text or word not in (*_ONCE, *_MANY):
        raise BadValue("unknown key option")
    value, rest = _unquoted(text[len(word) + 1 :])
    if word in _MANY:
        entry = value if word == "environment" else _host_port(value, bare=word == "permitlisten")
        return _with(options, word, (*getattr(options, word), entry)), rest
    if word in ("command", "from", "principals") and getattr(options, _ONCE[word]) is not None:
        raise BadValue(f"multiple {word!r} clauses")
    return _with(options, _ONCE[word], value), rest


def _with(options: Options, name: str, value: Any) -> Options:  # noqa: ANN401 - of the field's own type
    return replace(options, **{name: value})


def _unquoted(text: str) -> tuple[str, str]:
    r"""Return a value in double quotes, in which \" is a quote, and what stands behind it."""
    match = re.match(r'"((?:\\"|[^"])*)"', text)
    if match is None:
        raise BadValue("missing start or end quote")
    return match[1].replace('\\"', '"'), text[match.end() :]


def _host_port(text: str, *, bare: bool) -> str:
    """Return HOST:PORT; a bare port of permitlisten means every host."""
    if bare and ":" not in text:
        text = f"*:{text}"
    if not re.fullmatch(r"[^:/\s]+:(?:\*|[1-9][0-9]{0,4})|\[[^\]]+\]:(?:\*|[1-9][0-9]{0,4})", text):
        raise BadValue("invalid permission")
    return text
