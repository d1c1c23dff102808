"""Progress as text: a client's message in lines, and how far a run is. All of the client's words are escaped here.

>>> sentences(Message("borg", "WARNING", "disk is slow"), "web1 default")
['web1 default: borg: warning: disk is slow']
"""

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.text import printable_excerpt, rows, size

_MOST_LINES = 20


def sentences(message: Message, title: str, columns: int | None = None) -> list[str]:
    """Write a message as lines, each with `title` and whose words these are."""
    whose = "ssh or client" if message.source == "unframed" else f"{message.source}: {message.level.lower()}"
    lines = [
        printable_excerpt(line) for line in message.text.split("\n", _MOST_LINES - 1)
    ]  # the rest stays one line, escaped
    return [row for line in lines if line for row in rows(f"{title}: {whose}: ", line, columns)] or [
        f"{title}: {whose}: "
    ]


def position(now: Counts | Step) -> str:
    """Write how far a run is; a step of borg's is the client's words, and marked so."""
    if isinstance(now, Step):
        return f"borg: {printable_excerpt(now.text)[:80]}"
    return f"{now.files} files, {size(now.original)} original, {size(now.new)} new"
