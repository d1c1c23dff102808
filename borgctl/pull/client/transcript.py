"""Transcript: what one connection has sent so far, bounded in memory whatever the client sends.

It believes frames of one run only: the run of `start`, or the only one that frames name. It counts what it cannot keep.

    note = transcript.take(event)       # a Message, Counts or Step to show, or None
    transcript.ending()                 # the Exit to believe, or None
"""

import re
import time

from borgctl.console.text import local
from borgctl.data_class import dataclass, replace
from borgctl.pull.client.borglog import Counts, Note, Step, read
from borgctl.pull.client.events import Event, Exit, GateMessage, Offer, OutputLine, Start, Unframed, WindowState
from borgctl.pull.client.frames import LONGEST
from borgctl.pull.client.result import Result, to_bytes, to_text
from borgctl.wire import frames

MOST = 4 << 20  # bytes of all messages, and of all that is listed
MOST_MESSAGES = 1000
LONGEST_MESSAGE = 4000  # characters
MOST_LISTED = 10_000
LONGEST_LISTED = 1000  # characters


@dataclass(frozen=True, slots=True)
class Message:
    """A line for people; `source` is gate, borg, hook, serve, unframed (the client's words or ssh's) or borgpull."""

    source: str
    level: str
    text: str
    msgid: str | None = None

    @property
    def is_error(self) -> bool:
        """Tell whether it is an error or worse."""
        return self.level in ("ERROR", "CRITICAL")


class Transcript:
    """The state of one conversation; `asked` is the job and repository that `start` must repeat, None for hello.

    `until`: when its window ends, by our own clock.
    """

    def __init__(self, asked: tuple[str | None, str | None] = (None, None), until: float | None = None) -> None:
        self.asked, self._until = asked, until
        self._runs: set[str] = set()
        self._parts: dict[tuple[str, str], bytearray] = {}
        self._exit: Exit | None = None
        self.result = Result()
        self.hello: Offer | None = None
        self.hello_time = 0.0  # when (time.time) hello came
        self.start: Start | None = None
        self.mismatch = False  # the frames contradict each other or the request
        self.used = False  # the window was used
        self.renewed = False  # and the key was changed in it
        self.messages: list[Message] = []
        self.dropped = 0
        self._room = MOST
        self.listed: list[str] = []
        self.unlisted = 0
        self._list_room = MOST
        self.counts: Counts | None = None

    @property
    def run(self) -> str | None:
        """Return the run id: that of `start`, else the only one seen."""
        if self.start is not None:
            return self.start.run
        return next(iter(self._runs)) if len(self._runs) == 1 else None

    @property
    def gate_run(self) -> str | None:
        """Return the run id where it is one that a gate makes: short, and fit to be pasted; else None."""
        return self.run if self.run is not None and re.fullmatch("[0-9a-f]{16}", self.run) else None

    def take(self, event: Event) -> Message | Counts | Step | None:
        """Keep one event; return what of it to show now."""
        if isinstance(event, Unframed):
            return self._words(event.text)
        if self._exit is not None or (self.start is not None and event.run != self.start.run):
            self.mismatch = True  # a frame after the last one, or of another run
            return None
        if len(self._runs) < 2:
            self._runs.add(event.run)
        match event:
            case Offer():
                self.hello_time = self.hello_time or time.time()
                self.hello = self.hello or event
            case Start():
                self.mismatch |= self.start is not None or (event.job, event.repository) != self.asked
                self.start = self.start or event
            case Exit():
                self._exit = event
            case WindowState():
                self.used |= event.state == frames.USED
                self.renewed |= event.state == frames.RENEWED
                end = f" until {local(self._until, time.time())}" if event.state == frames.OPEN and self._until else ""
                return self.keep(Message("gate", "INFO", f"the window is {event.state}{end}"))
            case GateMessage():
                return self.keep(Message("gate", "WARNING", event.text))
            case OutputLine():
                return self._output(event)
        return None

    def ending(self) -> Exit | None:
        """Return the gate's exit line, if there is one of this run."""
        return self._exit if self._exit and self._exit.run == self.run and not self.mismatch else None

    @property
    def is_full(self) -> bool:
        """Tell whether messages are only counted from now on."""
        return len(self.messages) >= MOST_MESSAGES or self._room < 0

    def keep(self, message: Message) -> Message | None:
        """Keep a message, cut if it is long; return it as kept, None where there are too many."""
        if (more := len(message.text) - LONGEST_MESSAGE) > 0:
            message = replace(message, text=f"{message.text[:LONGEST_MESSAGE]}… ({more} more characters)")
        self._room -= len(to_bytes(message.text)) + len(to_bytes(message.msgid or ""))
        if self.is_full:  # from the first one on for which there is no room
            self.dropped += 1
            return None
        self.messages.append(message)
        return message

    @property
    def result_cut(self) -> bool:
        """Tell whether borg's stdout was more than is kept."""
        return self.result.cut

    def totals(self) -> Counts | None:
        """Return the finished archive's counts, from the result of `create --json`."""
        return self.result.archive.totals

    @property
    def files(self) -> int | None:
        """Return how many files the finished archive has, None where the client did not say."""
        totals = self.totals()
        return None if totals is None else totals.files

    def _output(self, event: OutputLine) -> Message | Counts | Step | None:
        if (event.source, event.stream) == ("borg", "stdout"):
            self.result.add(event.data + ("" if event.more else "\n"))
            return None
        key = (event.source, event.stream)
        held = self._parts.pop(key, bytearray())
        held += to_bytes(event.data[: max(0, LONGEST + 1 - len(held))])
        if event.more:
            self._parts[key] = held
            return None
        line = to_text(held)
        if event.source == "hook":
            return self.keep(Message("hook", "INFO", line)) if line.strip() else None
        note = read(line)
        if isinstance(note, Note) and note.listed:
            return self._list(note.text)
        if isinstance(note, Note):
            return self.keep(Message("borg", note.level, note.text, note.msgid)) if note.weighs else None
        if isinstance(note, Counts):
            self.counts = note
        return note

    def _words(self, text: str) -> Message | None:
        """Keep words without a frame; blank ones count as nothing."""
        return self.keep(Message("unframed", "WARNING", text)) if text.strip() else None

    def _list(self, line: str) -> Message | None:
        """Keep a line that borg lists, apart from the messages, so that it takes no message's place."""
        line = line[:LONGEST_LISTED]
        self._list_room -= len(to_bytes(line))
        if len(self.listed) >= MOST_LISTED or self._list_room < 0:
            self.unlisted += 1
            return None
        self.listed.append(line)
        return Message("borg", "INFO", self.listed[-1])
