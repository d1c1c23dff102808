"""Define the words of frames, the gate's messages to the launcher: one JSON object a line (docs/wire.md).

Both sides use these definitions, so neither has a word that the other does not know. The gate's `output` writes frames,
the launcher's `frames` reads them.

{"type": TYPE, "event": EXIT, "run": "3f2a…", "outcome": "ok", "origin": "borg", "code": 0}
"""

PROTOCOL = 1
TYPE = "borgctl"

HELLO, START, MESSAGE, OUTPUT, WINDOW, EXIT = "hello", "start", "message", "output", "window", "exit"
EVENTS = (HELLO, START, MESSAGE, OUTPUT, WINDOW, EXIT)

# of an exit
OUTCOMES = (
    *("ok", "warning", "failed", "refused", "malformed", "busy", "limit", "disconnected", "hook-failed", "internal"),
)
GOOD = ("ok", "warning")
DRY_RUN = "dry-run"  # the reason of a successful run that made no backup
ORIGINS = ("borg", "gate")

# of an output
SOURCES = ("borg", "hook")
STREAMS = ("stdout", "stderr")

# of a window: no command has used it; an admin's command uses it; that command has changed the key
OPEN, USED, RENEWED = "open", "used", "renewed"
WINDOW_STATES = (OPEN, USED, RENEWED)
