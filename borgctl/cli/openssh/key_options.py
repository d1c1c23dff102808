"""The options of a line of authorized_keys, read as sshd reads them.

The rules are OpenSSH's own (auth2-pubkeyfile.c, auth-options.c): options in any case; flags in order, so that a later
`restrict` takes back what stood before it; an option that sshd does not know makes the whole line invalid. sshd checks
some values more closely than we do: such options are valid here, and not `certain`.

    parse_options('restrict,command="x"').pty == False
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from borgctl.errors import BadValue

_FLAGS = {  # the field that a flag sets; None: it does not matter here
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
class KeyOptions:
    """What a line permits; `permitopen` and `permitlisten` hold HOST:PORT, an empty one means any.

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


def parse_options(text: str) -> KeyOptions:
    """Read the options of a line; raise BadValue where sshd would refuse them."""
    options, many, at = KeyOptions(), {word: list[str]() for word in _MANY}, 0
    while at < len(text):  # a user may write a line of megabytes, and root reads it: no step reads all of it
        options, at = _option(options, many, text, at)
        if at < len(text):
            if text[at] != ",":
                raise BadValue("unknown key option")
            at += 1
    environment, permitopen, permitlisten = (tuple(many[word]) for word in _MANY)
    certain = options.certain and len(permitopen) + len(permitlisten) <= _MOST_CERTAIN
    return replace(options, environment=environment, permitopen=permitopen, permitlisten=permitlisten, certain=certain)


def _option(options: KeyOptions, many: dict[str, list[str]], text: str, at: int) -> tuple[KeyOptions, int]:
    """Read the option at a position; return the changed options and the position after it. It may add to `many`."""
    lower = text[at : at + _LONGEST_NAME].lower()
    if lower.startswith(","):  # no option between two commas, or after the last one
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


def _with(options: KeyOptions, name: str, value: Any) -> KeyOptions:  # noqa: ANN401 - of the field's own type
    return replace(options, **{name: value})


def _unquoted(text: str, at: int) -> tuple[str, int]:
    r"""Return a value in double quotes, in which \" is a quote, and the position after it."""
    match = _QUOTED.match(text, at)
    if match is None:
        raise BadValue("missing start or end quote")
    return match[1].replace('\\"', '"'), match.end()


def _host_port(text: str, *, bare: bool) -> str:
    """Return HOST:PORT as sshd reads it (misc.c, hpdelim2 and a2port); a bare port of permitlisten means every host.

    The name of a service counts as any port: names are not looked up, as there may be many.
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
