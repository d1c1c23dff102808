"""fd 2, framed: the only writer to what the peer reads.

Every line of borg's and the hooks' is wrapped (`--log=json`) or escaped and prefixed (text), so that no file name can
pass for a line of ours. Writing never blocks: lines wait in memory until the peer reads, and whoever feeds stops
reading from borg while too many wait.

    output = Output(2, "3f2a…"); output.event("start", job="default"); output.foreign("borg", "stderr", b"…")
"""

import json
import os
import re
import select
import time
from collections import deque
from collections.abc import Callable

from borgctl.borg import json_lines
from borgctl.text import printable_ascii
from borgctl.wire import frames

PIECE = 64 * 1024  # bytes of one line in one object; a longer line goes on in the next
LONGEST = 16 * 1024 * 1024  # bytes of one line that has to be judged whole
_TAIL = 5  # lines
_LONGEST_TAIL = 8 * 1024  # characters: more than a passphrase has, which must not be cut before it is masked
_FULL = 256 * 1024
_ATOMIC = select.PIPE_BUF  # poll(2) promises room for this much
STALLED = 60.0  # seconds without a byte taken: as good as gone


class Output:
    """Lines on their way to the peer. `gone` turns true once the peer does not read any more."""

    def __init__(self, fd: int, run: str) -> None:
        self.fd = fd
        self.run = run
        self.json = False
        self.gone = False
        self._waiting = bytearray()
        self._moved = time.monotonic()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing more should be read for it."""
        return len(self._waiting) > _FULL

    def event(self, event: str, **values: object) -> None:
        """Add one object of ours."""
        self._add(json.dumps({"type": frames.TYPE, "event": event, "run": self.run, **values}))

    def say(self, text: str) -> None:
        """Add one line of ours for people (text) or programs (JSON)."""
        if self.json:
            self.event(frames.MESSAGE, text=text)
        else:
            self._add(f"borgctl: {printable_ascii(text)}")

    def foreign(self, source: str, stream: str, text: str, *, more: bool = False) -> None:
        """Add a line, or a piece of one, that borg or a hook wrote."""
        if self.json:
            self.event(frames.OUTPUT, source=source, stream=stream, data=text, **({"more": True} if more else {}))
        else:
            for line in _listed(text) or _readable(stream, text):
                self._add(f"{source}: {printable_ascii(line)}")

    def _add(self, line: str) -> None:
        if not self.gone:
            if not self._waiting:
                self._moved = time.monotonic()
            self._waiting += line.encode("ascii", "backslashreplace") + b"\n"

    def write(self) -> None:
        """Write what the peer takes now; call it when poll(2) says POLLOUT."""
        try:
            written = os.write(self.fd, self._waiting[:_ATOMIC])
        except BlockingIOError:
            written = 0
        except OSError:
            self.drop()
            return
        if written:
            del self._waiting[:written]
            self._moved = time.monotonic()

    def drop(self) -> None:
        """Give the peer up."""
        self.gone = True
        self._waiting.clear()

    def stalled(self) -> bool:
        """Tell whether the peer has taken nothing for too long."""
        return self.waiting and time.monotonic() - self._moved > STALLED

    def flush(self) -> None:
        """Write all that waits, for as long as a stalled peer is waited for; what is left then is dropped."""
        end = time.monotonic() + STALLED
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while self.waiting and not self.gone:
            events = poll.poll(1000)
            if events and events[0][1] & (select.POLLERR | select.POLLNVAL):
                self.drop()
            elif events:
                self.write()
            if time.monotonic() > end:
                self.drop()


def _listed(text: str) -> list[str]:
    """Return a line of borg's list of files as it writes it without JSON; nothing for any other line."""
    value = json_lines.read(text, "type", "file_status")
    return [] if value is None else [f"{value.get('status')} {value.get('path')}"]


def _readable(stream: str, text: str) -> list[str]:
    """Return what a person wants of a line of borg's: the lines of a log message, no progress."""
    if stream != "stderr" or not text.startswith("{"):
        return [text]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if not isinstance(value, dict) or "type" not in value:
        return [text]
    message = value.get("message") if value["type"] == "log_message" else None
    return [line for line in message.split("\n") if line] if isinstance(message, str) else []


class Lines:
    """Cut a stream of bytes into lines for an Output.

    `disclose`, where given, is handed each whole line, of stdout the whole text (borg 1.2 spreads its JSON over many
    lines), and returns what of it may be passed on, or None. `taken` counts the bytes read; `overflow` turns true where
    there was too much to be judged whole and it is lost; `tail` holds the last lines, for our own log; `met` turns true
    where one of stderr's begins with what is `sought`.
    """

    def __init__(
        self,
        output: Output,
        source: str,
        stream: str,
        disclose: Callable[[str], str | None] | None,
        sought: re.Pattern[str] | None = None,
    ) -> None:
        self.output, self.source, self.stream, self.disclose = output, source, stream, disclose
        self.sought, self.met = sought, False
        self.taken = 0
        self.overflow = False
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self.taken += len(data)
        *lines, rest = [data] if self.disclose and self.stream == "stdout" else data.split(b"\n")
        for line in lines:
            self._rest += line
            self._pass()
        self._rest += rest
        if self.disclose and len(self._rest) > LONGEST:
            self.overflow = True
            self._rest.clear()
        while not self.disclose and len(self._rest) > PIECE:
            self._piece(self._rest[:PIECE].decode("utf-8", "surrogateescape"), more=True)
            del self._rest[:PIECE]

    def end(self) -> None:
        """Take the end of the stream: what has no newline is a line too."""
        if self._rest:
            self._pass()

    def _pass(self) -> None:
        line = self._rest.decode("utf-8", "surrogateescape")
        self._rest.clear()
        if self.stream == "stderr" or self.source == "hook":
            parts = [part[:_LONGEST_TAIL] for part in _readable(self.stream, line)]
            self.tail.extend(parts)
            if self.sought and self.stream == "stderr":
                self.met = self.met or any(self.sought.match(part) for part in parts)
        kept = self.disclose(line) if self.disclose else line
        if kept is None:
            return
        for start in range(0, max(1, len(kept)), PIECE):
            self._piece(kept[start : start + PIECE], more=start + PIECE < len(kept))

    def _piece(self, text: str, *, more: bool) -> None:
        self.output.foreign(self.source, self.stream, text, more=more)
