"""Result: borg's stdout, as the client sends it: bounded in memory, and in what it costs to read it.

What `create --json` says of its archive is read once, and only where an honest one may have said it. A list of archives
may be long: it is read when it is asked for.

    result = Result(); result.add(text); result.archive.totals
"""

import json
from typing import Any, NamedTuple

from borgctl.pull.client.borglog import Counts, counts
from borgctl.pull.client.frames import parse

MOST = 4 << 20  # bytes
# bytes of what `create --json` prints: some kilobytes, and the words of a policy; this has 64 KiB at most, and a
# character of two bytes becomes one of six in JSON
MOST_OF_CREATE = 256 << 10


class Archive(NamedTuple):
    """What `create --json` says of the archive that it made: a name, which may be anything, and counts."""

    name: object = None
    totals: Counts | None = None


class Result:
    """What came so far; `cut`: there was more than is kept."""

    def __init__(self) -> None:
        self._data = bytearray()  # bytes: many small pieces take far more memory as text
        self._archive: Archive | None = None  # as it was read, until more comes
        self.cut = False

    def add(self, text: str) -> None:
        """Add a piece, or leave it out where there is too much."""
        data = to_bytes(text)
        if len(self._data) + len(data) > MOST:
            self.cut = True
        else:
            self._data += data
        self._archive = None

    def lines(self) -> list[str]:
        """Return it line by line."""
        return to_text(self._data).splitlines()

    @property
    def archive(self) -> Archive:
        """Return what is said of the archive; nothing where this is not what `create --json` prints."""
        if self._archive is None:
            self._archive = _archive(self._object(MOST_OF_CREATE))
        return self._archive

    def created(self) -> dict[str, Any] | None:
        """Return the object that `create --json` prints, fit to be written as JSON again; None for anything else."""
        value = self._object(MOST_OF_CREATE)
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            return None
        return value

    def archives(self) -> list[dict[str, Any]] | None:
        """Read the archives that `list --json` prints, however many; None for anything else."""
        archives = (self._object(MOST) or {}).get("archives")
        if not isinstance(archives, list) or not all(isinstance(archive, dict) for archive in archives):
            return None
        return archives

    def _object(self, most: int) -> dict[str, Any] | None:
        return None if self.cut or len(self._data) > most else parse(to_text(self._data))


def _archive(document: object) -> Archive:
    match document:
        case {"archive": {} as said}:
            return Archive(said.get("name"), counts(said.get("stats")))
        case _:
            return Archive()


def to_bytes(text: str) -> bytes:
    """Write text as bytes, halves of a character too."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes | bytearray) -> str:
    """Read what `to_bytes` has written."""
    return data.decode("utf-8", "surrogatepass")
