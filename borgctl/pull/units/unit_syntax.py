r"""Unit syntax: words and paths as systemd.syntax(7) and crontab(5) read them back, whatever is in them.

>>> print(words(["/opt/my tools/borgpull", "50%"]))
"/opt/my tools/borgpull" 50%%
>>> print(crontab_command(["/opt/my tools/borgpull", "50%"]))
'/opt/my tools/borgpull' 50\%
"""

import re
import shlex
from collections.abc import Iterable

from borgctl.errors import BadValue


def words(texts: Iterable[str]) -> str:
    """Return a list of words for a setting such as ReadWritePaths=; raise BadValue for what no line can hold."""
    return " ".join(map(_quoted, texts))


def command(texts: Iterable[str]) -> str:
    """Return a command line for ExecStart=, where systemd replaces variables in each word but the program.

    Raise BadValue for a program that systemd cannot start.
    """
    program, *rest = texts
    if re.search(r"""['"\\]""", program):
        raise BadValue(f"bad path {program!r}: systemd starts no program in whose path is a quote or a backslash")
    return " ".join([_quoted(program), *(_quoted(text.replace("$", "$$")) for text in rest)])


def crontab_command(texts: Iterable[str]) -> str:
    """Return a command line for cron, to which a plain % is the end of the line (crontab(5))."""
    return shlex.join(map(_line, texts)).replace("%", "\\%")


def value(text: str) -> str:
    """Return a setting's whole value that systemd splits into no words, such as LoadCredential=."""
    return _line(text).replace("%", "%%")


def _quoted(text: str) -> str:
    plain = value(text)
    if re.fullmatch(r"[A-Za-z0-9_./+@=:%$,-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(text: str) -> str:
    """Return a text that fits into a line of UTF-8."""
    if re.search(r"[\x00-\x1f\x7f]", text) or not text.isprintable():
        raise BadValue(f"bad word {text!r}: no unit can hold control characters, nor bytes that are not UTF-8")
    return text
