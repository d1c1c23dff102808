"""The place of a setting of sshd: FILE:LINE of sshd_config and what it includes.

sshd itself says what holds (`sshd`), but not where that comes from. This finds the first line of the files that says
exactly the same. It decides nothing.

    read("/etc/ssh/sshd_config").place("permitrootlogin", "no") == "/etc/ssh/sshd_config:33"
"""

import glob
import os
import shlex
from dataclasses import dataclass

_DEEPEST = 16  # servconf.h, SERVCONF_MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its keyword in lower case, its words, its place."""

    keyword: str
    words: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The lines of all files, in order; `unread` are the files that we may not read."""

    lines: tuple[Line, ...]
    unread: tuple[str, ...]

    def place(self, keyword: str, value: str) -> str | None:
        """Return where a keyword has this value; None where no line does: then it is sshd's default."""
        for line in self.lines:
            if line.keyword == keyword and value.lower() in [word.lower() for word in line.words]:
                return line.place
        return None

    def matched_on(self, *criteria: str) -> list[str]:
        """Return the places of Match blocks that test one of these criteria."""
        wanted = {criterion.lower() for criterion in criteria}
        return [
            line.place
            for line in self.lines
            if line.keyword == "match" and wanted & {word.lower().partition("=")[0] for word in line.words}
        ]


def read(path: str) -> Configuration:
    """Read a configuration and what it includes."""
    unread: list[str] = []
    return Configuration(tuple(_lines(path, 0, unread)), tuple(unread))


def _lines(path: str, depth: int, unread: list[str]) -> list[Line]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            texts = file.read(1 << 20).splitlines()
    except OSError:
        unread.append(path)
        return []
    lines: list[Line] = []
    for number, text in enumerate(texts, 1):
        words = _words(text)
        if not words:
            continue
        keyword, values = words[0].lower(), words[1:]
        if keyword == "include" and depth < _DEEPEST:
            for pattern in values:
                for file_name in sorted(glob.glob(os.path.join("/etc/ssh", pattern))):
                    lines += _lines(file_name, depth + 1, unread)
        else:
            lines.append(Line(keyword, tuple(values), f"{path}:{number}"))
    return lines


def _words(text: str) -> list[str]:
    """Split a line as sshd does: blanks or one '=' after the keyword, quotes, comments."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    if words and "=" in words[0]:
        keyword, _, value = words[0].partition("=")
        words = [keyword, *([value] if value else []), *words[1:]]
    elif len(words) > 1 and words[1] == "=":
        del words[1]
    return words
