"""What the value of a borg option must look like: patterns, longest lengths, bounds of numbers.

It does not know which option a value belongs to (`subcommands`) or who writes it. A kind for an admin's own policy is
often wider than that for a request. Sources: borg 1.4.5's and 1.2.4's parsers.

    >>> COMPRESSION.check("zstd,3")
    'zstd,3'
"""

import re

from borgctl.data_class import dataclass
from borgctl.errors import BadValue


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must look like: a pattern for the whole text, the longest length, bounds of a number."""

    expected: str
    pattern: str
    longest: int = 200
    low: int | None = None
    high: int | None = None

    def check(self, text: str) -> str:
        """Return `text` unchanged, or raise BadValue."""
        if len(text) > self.longest:
            raise BadValue(f"value of {len(text)} characters is too long (at most {self.longest})")
        if text == "--" or not re.fullmatch(self.pattern, text):  # argparse takes '--' for no value at all
            raise BadValue(f"bad value {text!r}: expected {self.expected}")
        if self.low is not None and self.high is not None and not self.low <= int(text) <= self.high:
            raise BadValue(f"bad value {text!r}: expected {self.expected}")
        return text


def count(low: int, high: int) -> Kind:
    """Return the kind of a whole number within bounds."""
    return Kind(f"a number from {low} to {high}", r"0|[1-9][0-9]{0,9}", 10, low, high)


def word(*choices: str) -> Kind:
    """Return the kind of one word of a list."""
    return Kind(f"one of: {', '.join(choices)}", "|".join(re.escape(choice) for choice in choices))


_TEXT = r"[^\x00-\x1f\x7f-\x9f{}]"
FLAG = Kind("no value", "")
COMPRESSION = Kind(
    "none, lz4, zstd[,1-12], zlib[,0-6], or auto, before one of them",
    r"(?:auto,)?(?:none|lz4|zstd(?:,(?:[1-9]|1[0-2]))?|zlib(?:,[0-6])?)",
)
ANY_COMPRESSION = Kind(
    "none, lz4, zstd[,1-22], zlib[,0-9], lzma[,0-9], or auto, before one of them",
    r"(?:auto,)?(?:none|lz4|zstd(?:,(?:[1-9]|1[0-9]|2[0-2]))?|zlib(?:,[0-9])?|lzma(?:,[0-9])?)",
)
COMMENT = Kind("up to 200 printable characters without braces", _TEXT + "{0,200}")
# fm:, sh:, pf: and pp: only: a regular expression can hang borg on one long name, and so can many stars
EXCLUDE = Kind(
    "an exclude pattern of style fm:, sh:, pf: or pp:, at most 3 stars, not one that matches everything",
    rf"(?:(?:pp|pf|fm|sh):|(?!..:))(?!(?:[^*]*\*){{4}})(?!\s*\Z)(?!/?\**(?:/\**)*\Z){_TEXT}+",
    1000,
)
OWN_EXCLUDE = Kind("a borg exclude pattern without braces", _TEXT + "+", 1000)
FILE = Kind("an absolute path without braces", rf"/{_TEXT}+", 4000)
# a job's glob and comment may hold the gate's own placeholders: they are expanded, then checked again (`judge`)
GLOB = Kind("an archive name, which may end in *", r"[A-Za-z0-9][A-Za-z0-9_.:+@=-]{0,99}\*?|\*")
SORT = Kind("timestamp, name or id, joined by commas", r"(?:timestamp|name|id)(?:,(?:timestamp|name|id)){0,2}")
STATUS = Kind("status letters", r"[AMUCEdbchsfix?+-]{1,20}")
# a year below 1000 would make the repository unreadable to list, prune and check
TIMESTAMP = Kind(
    "a time in UTC like 2026-11-23T04:05:06Z",
    r"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
)
WITHIN = Kind("a number and H, d, w, m or y", r"[1-9][0-9]{0,4}[Hdwmy]")
TAG = Kind("a file name", r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
CHUNKER = Kind(
    "default, or buzhash,MIN,MAX,MASK,WINDOW, or fixed,SIZE",
    r"default|buzhash,1[0-9],2[0-3],(?:1[4-9]|2[0-3]),4095|fixed,[1-9][0-9]{3,7}",
)
FILES_CACHE = word("ctime,size,inode", "ctime,size", "mtime,size,inode", "mtime,size", "rechunk,ctime", "disabled")
KEEP = count(1, 10000)
OWN_KEEP = Kind("a number from 1 to 10000, or -1 for all", r"-1|[1-9][0-9]{0,4}", 5, -1, 10000)
ENCRYPTED = word("repokey", "repokey-blake2", "keyfile", "keyfile-blake2")
ANY_ENCRYPTION = word(
    "repokey", "repokey-blake2", "keyfile", "keyfile-blake2", "none", "authenticated", "authenticated-blake2"
)
