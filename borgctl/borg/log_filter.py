"""Filter borg's output where the policy says `disclose: counts`: the server gets numbers, not names.

`counts(stream, text)` takes one line of borg's log, or borg's whole result, and returns what may leave, or None. It is
an allow-list: only keys known to hold numbers and fixed words pass. The text of a warning is replaced by its kind,
unless it is, from the first character to the last, one of the few sentences of borg's own below. So no name passes but
one that is such a sentence as a whole. It does not know the policy.

    counts("stderr", '{"type": "file_status", "path": "/home/alice"}') is None
"""

import json
from collections.abc import Mapping
from typing import Any

# Keys whose values are numbers, or words and ids of borg's own
_NUMBERS = frozenset(
    [
        "time",
        "original_size",
        "compressed_size",
        "deduplicated_size",
        "nfiles",
        "finished",
        "operation",
        "msgid",
        "current",
        "total",
    ]
)
_TYPES = frozenset(("archive_progress", "progress_message", "progress_percent"))
_LOG = frozenset(("type", "time", "levelname", "name", "msgid"))
# create --json, list --json, info --json: a tree of these keys, in which command lines and local paths have no place
_RESULT = frozenset(
    [
        "archive",
        "archives",
        "archive_id",
        "barchive",
        "id",
        "name",
        "start",
        "end",
        "duration",
        "stats",
        "cache",
        "repository",
        "encryption",
        "mode",
        "last_modified",
        "time",
        "nfiles",
        "original_size",
        "compressed_size",
        "deduplicated_size",
        "limits",
        "max_archive_size",
        "total_chunks",
        "total_csize",
        "total_size",
        "total_unique_chunks",
        "unique_csize",
        "unique_size",
    ]
)

# Whole messages of borg 1.2 and 1.4 in which nothing is filled in
_KEEP_THE_KEY_14 = (
    "\nIMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!\n\n"
    "Key storage location depends on the mode:\n"
    "- repokey modes: key is stored in the repository directory.\n"
    "- keyfile modes: key is stored in the home directory of this user.\n\n"
    "For any mode, you should:\n"
    "1. Export the borg key and store the result at a safe place:\n"
    "   borg key export           REPOSITORY encrypted-key-backup\n"
    "   borg key export --paper   REPOSITORY encrypted-key-backup.txt\n"
    "   borg key export --qr-html REPOSITORY encrypted-key-backup.html\n"
    "2. Write down the borg key passphrase and store it at safe place.\n"
)
_KEEP_THE_KEY_12 = (
    "\nIMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!\n"
    "If you used a repokey mode, the key is stored in the repo, but you should back it up separately.\n"
    'Use "borg key export" to export the key, optionally in printable format.\n'
    "Write down the passphrase. Store both at safe place(s).\n"
)
_SENTENCES = frozenset(
    [
        _KEEP_THE_KEY_14,
        _KEEP_THE_KEY_12,
        "Cache integrity data not available: old Borg version modified the cache.",
        "Continuing without files cache - expect lower performance.",
        "Discarding incompatible or corrupted cache and forcing a cache rebuild",
        "Archive consistency check complete, problems found.",
        "Repository manifest not found!",
    ]
)


def counts(stream: str, line: str) -> str | None:
    """Return the part of a line that may leave, as JSON; None where nothing may."""
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            return None
        allowed = _result(value) if stream == "stdout" else _message(value)
        return None if allowed is None else json.dumps(allowed)
    except (ValueError, RecursionError):
        return None


def _message(value: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = value.get("type")
    if not isinstance(kind, str):
        return None
    if kind in _TYPES:
        allowed = {key: item for key, item in value.items() if key in _NUMBERS and _plain(item)}
        return {"type": kind, **allowed}
    text = value.get("message")
    if kind == "log_message" and isinstance(text, str) and text.startswith("Remote: "):
        return {"type": kind, "levelname": "INFO", "message": text}  # the server's own words
    if kind == "log_message" and value.get("levelname") not in ("INFO", "DEBUG"):
        allowed = {key: item for key, item in value.items() if key in _LOG and _plain(item)}
        sentence = text if isinstance(text, str) and text in _SENTENCES else "text withheld by the client's policy"
        return {**allowed, "message": str(allowed.get("msgid") or sentence)}
    return None  # also INFO, which is all names and numbers in words


def _plain(item: object) -> bool:
    return item is None or isinstance(item, (int, float)) or (isinstance(item, str) and "/" not in item)


def _result(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {key: _result(item) for key, item in value.items() if key in _RESULT}
    if isinstance(value, list):
        return [_result(item) for item in value]
    return value if _plain(value) else None
