"""borg's options and subcommands that no policy can allow, and why.

Nothing here is needed to refuse them, as argv is built from `subcommands` only. It lets an error say more than
"unknown".

    >>> why(OPTIONS, "rsh")
    ': it runs programs'
"""

_RUNS = "it runs programs"
_WRITES = "it writes or overwrites files of the requester's choice"
_READS = "it reads files of the requester's choice"
_LOOSENS = "it loosens borg's own checks"
_DELETES = "it destroys data"
_GATE = "the gate sets it itself"
_OLD = "it is an old spelling of another option"
_QUIET = "it hides what went wrong"

OPTIONS = {
    "append-only": "the server decides that",
    "bypass-lock": _LOOSENS,
    "content-from-command": _RUNS,
    "critical": _QUIET,
    "debug": "it discloses paths and command lines",
    "debug-profile": _WRITES,
    "debug-topic": "it discloses paths and command lines",
    "error": _QUIET,
    "force": _DELETES,
    "format": "it can print secrets of borg's process",
    "import-related-secrets": _READS,
    "lock-wait": _GATE,
    "log-json": _GATE,
    "make-parent-dirs": "the server decides that",
    "noatime": _OLD,
    "nobsdflags": _OLD,
    "numeric-owner": _OLD,
    "paths-delimiter": _READS,
    "paths-from-command": _RUNS,
    "paths-from-stdin": _READS,
    "prefix": f"{_OLD}: glob-archives",
    "progress": _GATE,
    "remote-buffer": _OLD,
    "remote-path": _RUNS,
    "remote-ratelimit": _OLD,
    "repair": _DELETES,
    "rsh": _RUNS,
    "show-rc": _GATE,
    "stdin-group": "it forges ownership",
    "stdin-mode": "it forges permissions",
    "stdin-name": "it forges names",
    "stdin-user": "it forges ownership",
    "storage-quota": "the server decides that",
    "umask": _GATE,
    "warning": _QUIET,
}

COMMANDS = {
    "benchmark": _DELETES,
    "break-lock": "it breaks the lock of a running borg",
    "compact": "only the server frees space, with 'borgpull compact'",
    "config": "it discloses the key and changes the repository",
    "debug": "it discloses and destroys data",
    "delete": "use 'prune'; an admin deletes by hand",
    "diff": "it discloses names of files",
    "export-tar": _WRITES,
    "extract": _WRITES,
    "import-tar": _READS,
    "key": "it discloses or replaces the key",
    "mount": "it discloses content",
    "recreate": _DELETES,
    "rename": "it can hide archives",
    "serve": "it serves the repository to the other side",
    "umount": _RUNS,
    "upgrade": _LOOSENS,
    "with-lock": _RUNS,
}


def why(words: dict[str, str], word: str) -> str:
    """Return ': ' and the reason for a forbidden word, nothing for any other."""
    return f": {words[word]}" if word in words else ""
