"""Masks: what looks like a secret does not get into the log, whoever wrote it there.

A passphrase never reaches a record by the gate's own doing. What a peer asks for, and what a hook prints, may hold one:
words that follow a telling name, the password of a URL, a bearer token, a private key. It is a net, and no proof.

    masked("BORG_PASSPHRASE=hunter2 borg list") == "BORG_PASSPHRASE=*** borg list"
"""

import functools
import re

MASK = "***"
_NAMES = r"pass(?:phrase|wd|word|code)?|passcommand|pwd|secret|token|api_?key|credentials?"
# One of these words is in whatever is masked, and so is one of the marks: quick to see
_TELLING = ("pass", "pwd", "secret", "token", "key", "credential", "://", "bearer", "basic")
_MARKS = re.compile(r"[=:\s]")


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what to look for; made when it is first needed, as that takes longer than most records."""
    return (
        # NAME=VALUE, NAME: VALUE, "NAME": "VALUE", --NAME VALUE; a quoted value up to its quote
        (
            re.compile(
                rf"(?i)((?:(?:{_NAMES})\"?'?\s{{0,3}}[=:]|--[a-z-]{{0,30}}(?:{_NAMES})(?=\s))\s{{0,3}})"
                r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&]+)"
            ),
            rf"\1{MASK}",
        ),
        (re.compile(r"(://[^\s:/@]{0,100}:)[^\s@/]+(?=@)"), rf"\1{MASK}"),
        (re.compile(r"(?i)(\b(?:bearer|basic)\s{1,3})[A-Za-z0-9+/=._~-]{8,}"), rf"\1{MASK}"),
        (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL), rf"\1{MASK}\2"),
    )


def masked(text: str) -> str:
    """Return text with MASK in the place of what looks like a secret; takes time in proportion to its length."""
    lower = text.lower()
    if not any(word in lower for word in _TELLING) or not _MARKS.search(text):
        return text
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text
