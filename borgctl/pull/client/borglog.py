"""borg's own lines: what `--log-json` writes to stderr. The client sends them, so nothing in them is trusted.

>>> read('{"type": "log_message", "levelname": "ERROR", "message": "none"}') == Note("ERROR", "none")
True
"""

from borgctl.data_class import dataclass
from borgctl.pull.client.frames import parse

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LARGEST = 1 << 63
_LONGEST = 4000  # characters of a message that are kept: a thousand messages are a few megabytes


@dataclass(frozen=True, slots=True)
class Note:
    """A message: its level is one of LEVELS, `msgid` is borg's name for it where it has one."""

    level: str
    text: str
    msgid: str | None = None
    listed: bool = False  # an answer rather than a message: what an option like --list makes borg say

    @property
    def weighs(self) -> bool:
        """Tell whether this is a warning or worse."""
        return self.level not in ("DEBUG", "INFO")


@dataclass(frozen=True, slots=True)
class Counts:
    """How far an archive is: files, and bytes before and after deduplication; `compressed` where borg says that."""

    files: int
    original: int
    new: int
    compressed: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What borg is doing, when that is not counted in files."""

    text: str


def read(line: str) -> Note | Counts | Step | None:
    """Read one line of borg's stderr; None where there is nothing to show. A line that is not JSON is a warning."""
    entry = parse(line)
    if entry is None:
        return Note("WARNING", line[:_LONGEST]) if line.strip() else None
    match entry.get("type"):
        case "log_message":
            level = entry.get("levelname")
            return Note(
                level if level in LEVELS else "WARNING",
                _text(entry.get("message")),
                _text(entry.get("msgid")) or None,
                listed=_text(entry.get("name")).startswith("borg.output.") and level == "INFO",
            )
        case "archive_progress":
            return counts(entry)
        case "progress_message" | "progress_percent":
            return Step(_text(entry.get("message"))) if entry.get("message") else None
        case "file_status":
            return Note("INFO", f"{_text(entry.get('status'))} {_text(entry.get('path'))}", listed=True)
        case "question_prompt" | "question_invalid_answer" | "question_accepted_false":
            return Note("WARNING", _text(entry.get("message")), _text(entry.get("msgid")) or None)
        case _:
            return None


def counts(entry: object) -> Counts | None:
    """Read the numbers of a progress line or of an archive's `stats`; None where one is not a sane number."""
    if not isinstance(entry, dict):
        return None
    files, original, new = (_count(entry.get(key)) for key in ("nfiles", "original_size", "deduplicated_size"))
    if files is None or original is None or new is None:
        return None
    return Counts(files, original, new, _count(entry.get("compressed_size")))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _LARGEST else None


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""
