"""Values that cross a trust border, each a type that cannot hold bad data.

The constructor of the type checks a value once, where it comes in, and raises `BadValue`. This module does not know
where a text came from or what it is for.

    >>> str(RepositoryPath("/srv/borg/web1"))
    '/srv/borg/web1'
    >>> duration("30m")
    1800
    >>> JobName("my job")
    Traceback (most recent call last):
    borgctl.errors.BadValue: bad job name 'my job': expected letters, digits, '_', '.', '-'
"""

import re

from borgctl.data_class import dataclass
from borgctl.errors import BadValue


def _require(text: str, pattern: str, longest: int, noun: str, expected: str) -> None:
    if len(text) > longest:
        raise BadValue(f"{noun} of {len(text)} characters is too long (at most {longest})")
    if not re.fullmatch(pattern, text):
        raise BadValue(f"bad {noun} {text!r}: expected {expected}")


def _require_normal(text: str, noun: str) -> None:
    """Refuse '.', '..' and empty components: to the kernel such a path is another one than to a reader."""
    if text != "/" and any(part in ("", ".", "..") for part in text[1:].split("/")):
        raise BadValue(f"bad {noun} {text!r}: write it without '.', '..', '//' and a final '/'")


@dataclass(frozen=True, slots=True)
class JobName:
    """A job's name: 1 to 64 of a-z A-Z 0-9 _ . -, beginning with a letter or digit."""

    text: str

    def __post_init__(self) -> None:
        _require(self.text, r"[A-Za-z0-9][A-Za-z0-9_.-]*", 64, "job name", "letters, digits, '_', '.', '-'")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class RepositoryPath:
    """An absolute, normal path on the server, of characters without a meaning to borg, ssh or a shell."""

    text: str

    def __post_init__(self) -> None:
        _require(
            self.text,
            r"/[A-Za-z0-9_./+@=-]+",
            1000,
            "repository path",
            "an absolute path of letters, digits and _./+@=-",
        )
        _require_normal(self.text, "repository path")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SocketPath:
    """An absolute, normal path of a unix socket, short enough for sun_path (unix(7): 107 bytes and a NUL)."""

    text: str

    def __post_init__(self) -> None:
        _require(
            self.text, r"/[A-Za-z0-9_./+@=-]+", 107, "socket path", "an absolute path of letters, digits and _./+@=-"
        )
        _require_normal(self.text, "socket path")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ArchiveName:
    """An archive's name that borg reads as a name and nothing else.

    It is no location ('::', '/'), option ('-…'), placeholder ('{') or checkpoint (borg hides and prunes those first).
    """

    text: str

    def __post_init__(self) -> None:
        _require(self.text, r"[A-Za-z0-9][A-Za-z0-9_.:+@=-]*", 200, "archive name", "letters, digits and _.:+@=-")
        if "::" in self.text:
            raise BadValue(f"bad archive name {self.text!r}: '::' is not part of a name")
        if re.search(r"\.checkpoint(?:\.[0-9]+)?\Z", self.text):
            raise BadValue(f"bad archive name {self.text!r}: a checkpoint's name is borg's own")

    def __str__(self) -> str:
        return self.text


def _require_local(text: str) -> None:
    """Raise BadValue unless the text is a plain absolute path."""
    _require(text, r"/[^\x00-\x1f\x7f{}]*", 4000, "path", "an absolute path without control characters and braces")
    _require_normal(text, "path")
    if not text.isprintable():
        raise BadValue(f"bad path {text!r}: expected printable characters")


@dataclass(frozen=True, slots=True)
class SourcePath:
    """An absolute, normal path on the client, outside the kernel's own file systems, which hold no data."""

    text: str

    def __post_init__(self) -> None:
        _require_local(self.text)
        if self.text.split("/")[1] in ("proc", "sys", "dev"):
            raise BadValue(f"bad path {self.text!r}: /proc, /sys and /dev hold no files to back up")

    def __str__(self) -> str:
        return self.text

    def contains(self, other: "SourcePath") -> bool:
        """Return whether `other` is this path or below it, component by component."""
        return self.text in ("/", other.text) or other.text.startswith(f"{self.text}/")


@dataclass(frozen=True, slots=True)
class DevicePath:
    """A device below /dev, which only a job may name; borg saves its content as a file's."""

    text: str

    def __post_init__(self) -> None:
        _require_local(self.text)
        if not self.text.startswith("/dev/"):
            raise BadValue(f"bad device {self.text!r}: expected a path below /dev")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Head:
    """The unmistakable name of a record in a client's audit log: its sequence number and its link, a SHA-256."""

    sequence: int
    digest: str

    @classmethod
    def read(cls, text: str) -> "Head":
        """Read 'SEQUENCE:HEAD'."""
        _require(text, r"[0-9]{1,15}:[0-9a-f]{64}", 80, "sequence and head", "SEQUENCE:HEAD, 64 hexadecimal digits")
        sequence, _, digest = text.partition(":")
        return cls(int(sequence), digest)

    def __str__(self) -> str:
        return f"{self.sequence}:{self.digest}"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> int:
    """Read '90s', '30m', '12h', '14d' or '2w' as seconds, from 1 s to 366 days."""
    _require(text, r"[0-9]{1,8}[smhdw]", 9, "duration", "a number and a unit: 90s, 30m, 12h, 14d or 2w")
    seconds = int(text[:-1]) * _UNITS[text[-1]]
    if not 1 <= seconds <= 366 * 86400:
        raise BadValue(f"bad duration {text!r}: expected 1s to 366d")
    return seconds


def memory(text: str) -> int:
    """Read '512M', '8G' or '1T' as bytes (each unit is 1024 of the one before), from 256M to 64T."""
    _require(text, r"[0-9]{1,5}[MGT]", 6, "size of memory", "a number and a unit: 512M, 8G or 1T")
    size = int(text[:-1]) << {"M": 20, "G": 30, "T": 40}[text[-1]]
    if not 256 << 20 <= size <= 64 << 40:
        raise BadValue(f"bad size of memory {text!r}: expected 256M to 64T")
    return size


def choice(text: str, choices: tuple[str, ...]) -> str:
    """Return `text` if it is one of `choices`."""
    if text not in choices:
        raise BadValue(f"bad value {text!r}: expected one of: {', '.join(choices)}")
    return text


def boolean(text: str) -> bool:
    """Read yes, no, true or false."""
    return choice(text, ("yes", "no", "true", "false")) in ("yes", "true")


def integer(text: str, low: int, high: int) -> int:
    """Read a decimal number from `low` to `high`."""
    _require(text, r"-?[0-9]+", 15, "number", f"a whole number from {low} to {high}")
    if not low <= int(text) <= high:
        raise BadValue(f"bad number {text!r}: expected {low} to {high}")
    return int(text)
