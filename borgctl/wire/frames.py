"""Frames: the words of what the gate tells the launcher, one JSON object a line (docs/wire.md).

Both sides take them from here, so that neither knows one that the other does not. How a frame is written is in the
gate's `output`, how one is read in the launcher's `stream`.

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
DRY_RUN = "dry-run"  # the reason of an ending that is good, and of no backup
ORIGINS = ("borg", "gate")

# of an output
SOURCES = ("borg", "hook")
STREAMS = ("stdout", "stderr")

# of a window: nobody has claimed it; a command of the admin's uses it; that has changed the key
OPEN, USED, RENEWED = "open", "used", "renewed"
WINDOW_STATES = (OPEN, USED, RENEWED)
