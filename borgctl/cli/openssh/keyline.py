"""One line of authorized_keys, read as sshd reads it: options, key, comment.

The rules are OpenSSH's own (auth2-pubkeyfile.c, auth-options.c): options in any case; flags in order, so that a later
`restrict` takes back what stood before it; a line with an option that sshd doesn't know counts for nothing. Where sshd
looks closer at a line than we do, the line is taken for one that counts, and not for one that surely does (`certain`).

    >>> parse('restrict,command="x" ssh-ed25519 AAAA me', "/root/.ssh/authorized_keys", 1).options.pty
    False
"""

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import Any

from borgctl.errors import BadValue
from borgctl.openssh_key import kind_inside

_KINDS = (  # names of signatures are taken for their key's kind (sshkey.c, peek_type_nid)
    r"ssh-ed25519|ssh-rsa|rsa-sha2-(?:256|512)|ssh-dss|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|(?:webauthn-)?sk-ecdsa-sha2-nistp256@openssh\.com"
)
_KEY = re.compile(rf"({_KINDS})[ \t]+([A-Za-z0-9+/=\v\f\r]+)(?:[ \t]+(.*))?")
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
_CHECKED = ("principals", "from", "expiry-time", "tunnel", "environment")  # sshd refuses some of their values
_MOST_CERTAIN, _LONGEST_CERTAIN = 100, 1000  # permissions, and characters of one; sshd has limits beyond
_LONGEST_NAME = 40  # of an option, with its '='
_QUOTED = re.compile(r'"((?:\\"|[^"])*)"')
_CLOSED: dict[str, Any] = dict.fromkeys(
    ("port_forwarding", "agent_forwarding", "x11_forwarding", "pty", "user_rc"), False
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a line permits; `permitopen` and `permitlisten` hold HOST:PORT, none means any.

    `certain`: sshd takes a line with these options from everywhere and at any time.
    """

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
    certain: bool = True


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A line with a key; `options` is None where sshd refuses them, and `problem` says why.

    `certain`: sshd reads no line of this key after it in the same file.
    """

    file: str
    number: int
    text: str
    options: Options | None
    problem: str | None
    kind: str
    blob: str
    comment: str
    certain: bool = False

    @property
    def place(self) -> str:
        """Return where it stands."""
        return f"{self.file}:{self.number}"


def parse(line: str, file: str, number: int) -> KeyLine | None:
    """Read a line; None where it holds no key."""
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


def parse_options(text: str) -> Options:
    """Read the options of a line; raise BadValue where sshd would refuse them."""
    options, many, at = Options(), {word: list[str]() for word in _MANY}, 0
    while at < len(text):  # a user may write a line of megabytes, and root reads it: no step looks at all of it
        options, at = _option(options, many, text, at)
        if at < len(text):
            if text[at] != ",":
                raise BadValue("unknown key option")
            at += 1
    environment, permitopen, permitlisten = (tuple(many[word]) for word in _MANY)
    certain = options.certain and len(permitopen) + len(permitlisten) <= _MOST_CERTAIN
    return replace(options, environment=environment, permitopen=permitopen, permitlisten=permitlisten, certain=certain)


def _option(options: Options, many: dict[str, list[str]], text: str, at: int) -> tuple[Options, int]:
    """Read the option at a place; return what it makes of `options` or adds to `many`, and the place behind it."""
    lower = text[at : at + _LONGEST_NAME].lower()
    if lower.startswith(","):  # none between two commas, as none after the last
        return options, at
    if lower.startswith("restrict"):
        return replace(options, restricted=True, **_CLOSED), at + 8
    if lower.startswith("cert-authority"):
        return replace(options, cert_authority=True), at + 14
    no = 3 if lower.startswith("no-") else 0
    for flag, name in _FLAGS.items():
        if lower.startswith(flag, no):
            return (_with(options, name, not no) if name else options), at + no + len(flag)
    word, equals, _ = lower.partition("=")
    if not equals or word not in (*_ONCE, *_MANY):
        raise BadValue("unknown key option")
    value, behind = _unquoted(text, at + len(word) + 1)
    if word in _CHECKED:
        options = _with(options, "certain", False)
    if word == "environment":
        many[word].append(value)
        return options, behind
    if word in _MANY:
        many[word].append(_host_port(value, bare=word == "permitlisten"))
        usual = len(value) < _LONGEST_CERTAIN and (many[word][-1] == value or value.isdigit())
        return options if usual else _with(options, "certain", False), behind
    if word in ("command", "from", "principals") and getattr(options, _ONCE[word]) is not None:
        raise BadValue(f"multiple {word!r} clauses")
    return _with(options, _ONCE[word], value), behind


def _with(options: Options, name: str, value: Any) -> Options:  # noqa: ANN401 - of the field's own type
    return replace(options, **{name: value})


def _unquoted(text: str, at: int) -> tuple[str, int]:
    r"""Return a value in double quotes, in which \" is a quote, and the place behind it."""
    match = _QUOTED.match(text, at)
    if match is None:
        raise BadValue("missing start or end quote")
    return match[1].replace('\\"', '"'), match.end()


def _host_port(text: str, *, bare: bool) -> str:
    """Return HOST:PORT as sshd reads it (misc.c, hpdelim2 and a2port); a bare port of permitlisten means every host.

    The name of a service may be any port: it is not looked up, as there may be many of them.
    """
    if bare and ":" not in text:
        text = f"*:{text}"
    match = re.fullmatch(r"(\[[^\]]*\]|[^\[:/][^:/]*|)[:/](\*|[A-Za-z0-9_.+-]+)", text)
    if match is None:
        raise BadValue("invalid permission")
    if not re.fullmatch(r"[+-]?[0-9]+", match[2]):
        return f"{match[1]}:*"
    if len(match[2]) > _LONGEST_NAME or not 0 < int(match[2]) < 1 << 16:
        raise BadValue("invalid permission")
    return f"{match[1]}:{int(match[2])}"
