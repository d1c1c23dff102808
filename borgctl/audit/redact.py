"""Mask in free text what looks like a secret, so that it does not get into the log.

The gate itself never writes a passphrase into a record. But the output of a hook or of borg may contain a secret: words
behind a name like `password`, the password of a URL, a bearer token, a private key. This is a precaution, not a proof:
where a value's end is in doubt, more is masked. `without` masks a known secret anywhere. `record` knows which fields
are free text: the request and what ran are never masked.

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
# Whatever is masked contains one of these words and one of the marks: a quick test
_TELLING = ("pass", "pwd", "secret", "token", "key", "credential", "://", "bearer", "basic")
_MARKS = re.compile(r"[=:\s]")
# Quoted as in a shell, JSON or Python, with backslashes before inner quotes; or without an end
_QUOTED = r"""(?:"(?:\\.|[^"\\])*(?:"|\\?\Z)|'(?:\\.|[^'\\])*(?:'|\\?\Z))"""
_VALUE = (
    r"""(?:(?P<quote>\\+["']).*?(?:(?<!\\)(?P=quote)|\Z)"""  # a text within a quoted text
    rf"""|{_QUOTED}(?:{_QUOTED}|\\.|[^\s,;&"'\\\]}})])*"""
    rf"""|(?:{_QUOTED}|\\.|[^\s"'\\])+)"""
)
# A file whose name sounds secret, and an error about it: "'/etc/passphrase': No such file or directory" holds no secret
_FILE = r"""(?<=['"])/[^'"\n]+(?=['"]:\s)|/[a-z0-9_.@+-]+(?=:\s)"""
_SHORTEST = 8  # characters of a known secret: a shorter one would match parts of other words


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]:
    """Return the patterns to mask; they compile at first use, as that takes longer than most records."""
    return (
        # NAME=VALUE, NAME: VALUE, "NAME": "VALUE", --NAME VALUE
        (
            re.compile(
                rf"(?is){_FILE}|((?:{_NAMES}\\{{0,9}}[\"']?\s{{0,3}}[=:]|--[a-z-]{{0,30}}{_NAMES}(?=\s))\s{{0,3}}){_VALUE}"
            ),
            lambda match: match[0] if match[1] is None else f"{match[1]}{MASK}",
        ),
        (re.compile(r"(://[^\s:/@]*:)[^\s/]+(?=@)"), rf"\1{MASK}"),
        (re.compile(r"(?i)(\b(?:bearer|basic)\s{1,3})[A-Za-z0-9+/=._~-]{8,}"), rf"\1{MASK}"),
        (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL), rf"\1{MASK}\2"),
    )


@functools.cache
def _telling() -> re.Pattern[str]:
    return re.compile(rf"(?i)[a-z0-9_-]{{0,60}}{_NAMES}:?")


def masked(text: str) -> str:
    """Return text with MASK instead of what looks like a secret, in time proportional to its length."""
    lower = text.lower()
    if not any(word in lower for word in _TELLING) or not _MARKS.search(text):
        return text
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Tell whether a key, or an option that is a word of its own, announces a secret."""
    lower = name.lower()
    return any(word in lower for word in _TELLING) and _telling().fullmatch(name) is not None


def without(text: str, secret: str | None) -> str:
    """Return text with MASK instead of a known secret."""
    return text.replace(secret, MASK) if secret and len(secret) >= _SHORTEST else text
