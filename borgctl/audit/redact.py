"""Masks: what looks like a secret does not get into the log from free text, whoever wrote it there.

A passphrase never reaches a record by the gate's own doing. What a hook or borg prints may hold one: words that follow
a telling name, the password of a URL, a bearer token, a private key. It is a net, and no proof: where a value's end is
in doubt, more is masked. What is known to be secret is masked wherever it stands (`without`). Which fields of a record
are free text, `record` knows: what was asked for, and what was run, is never masked.

    >>> masked("BORG_PASSPHRASE=hunter2 borg list")
    'BORG_PASSPHRASE=*** borg list'
"""

import functools
import re
from collections.abc import Callable

MASK = "***"
_NAMES = (
    r"(?:pass(?:phrase|wd|word|code)?|passcommand|pwd|secret|token|credential"
    r"|(?:api|access|private|encryption|signing)[_-]?key)[a-z0-9_-]{0,30}"
)
# One of these words is in whatever is masked, and so is one of the marks: quick to see
_TELLING = ("pass", "pwd", "secret", "token", "key", "credential", "://", "bearer", "basic")
_MARKS = re.compile(r"[=:\s]")
# Quoted as a shell, JSON or Python would, with backslashes before a quote that is part of it; or without an end
_QUOTED = r"""(?:"(?:\\.|[^"\\])*(?:"|\\?\Z)|'(?:\\.|[^'\\])*(?:'|\\?\Z))"""
_VALUE = (
    r"""(?:(?P<quote>\\+["']).*?(?:(?<!\\)(?P=quote)|\Z)"""  # a text within a quoted text
    rf"""|{_QUOTED}(?:{_QUOTED}|\\.|[^\s,;&"'\\\]}})])*"""
    rf"""|(?:{_QUOTED}|\\.|[^\s"'\\])+)"""
)
# A file whose name tells, and what is wrong with it: "'/etc/passphrase': No such file or directory" holds no secret
_FILE = r"""(?<=['"])/[^'"\n]+(?=['"]:\s)|/[a-z0-9_.@+-]+(?=:\s)"""
_SHORTEST = 8  # characters of a secret that is looked for: a shorter one is part of other words


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]:
    """Return what to look for; made when it is first needed, as that takes longer than most records."""
    return (
        # NAME=VALUE, NAME: VALUE, "NAME": "VALUE", --NAME VALUE
        (
            re.compile(
                rf"(?is){_FILE}|((?:{_NAMES}\\{{0,9}}[\"']?\s{{0,3}}[=:]|--[a-z-]{{0,30}}{_NAMES}(?=\s))\s{{0,3}}){_VALUE}"
            ),
            lambda found: found[0] if found[1] is None else f"{found[1]}{MASK}",
        ),
        (re.compile(r"(://[^\s:/@]*:)[^\s/]+(?=@)"), rf"\1{MASK}"),
        (re.compile(r"(?i)(\b(?:bearer|basic)\s{1,3})[A-Za-z0-9+/=._~-]{8,}"), rf"\1{MASK}"),
        (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL), rf"\1{MASK}\2"),
    )


@functools.cache
def _telling() -> re.Pattern[str]:
    return re.compile(rf"(?i)[a-z0-9_-]{{0,60}}{_NAMES}:?")


def masked(text: str) -> str:
    """Return text with MASK in the place of what looks like a secret; takes time in proportion to its length."""
    lower = text.lower()
    if not any(word in lower for word in _TELLING) or not _MARKS.search(text):
        return text
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text


def tells(name: str) -> bool:
    """Tell whether a key, or an option that is a word by itself, says that a secret follows."""
    lower = name.lower()
    return any(word in lower for word in _TELLING) and _telling().fullmatch(name) is not None


def without(text: str, secret: str | None) -> str:
    """Return text with MASK in the place of a secret that is known."""
    return text.replace(secret, MASK) if secret and len(secret) >= _SHORTEST else text
