"""Stream reader: read the client's stream and serve's stderr into a transcript and onto the screen.

reader.client(chunk)        # raises LineTooLong; b"" is the end
reader.serve(chunk)
"""

import re

from borgctl.pull.client.borglog import LEVELS, Note, read
from borgctl.pull.client.events import Event
from borgctl.pull.client.frames import LineBuffer, LineTooLong, event, may_be_frame
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.report.progress import View

_MOST_SERVE_LINES = 200

# ssh's advice about a known_hosts file; ours is made for one call (`client_command.prepare`), from the target file
_ADVICE = re.compile(rb" *(?:remove with:|ssh-keygen -f |Offending \S+ key in |Add correct host key in )")


class StreamReader:
    """Both streams, with their unfinished lines; `transcript` keeps the rest."""

    def __init__(self, transcript: Transcript, screen: View) -> None:
        self.transcript, self._screen = transcript, screen
        self._client, self._serve, self._serve_said = LineBuffer(), LineBuffer(), 0
        self._run: str | None = None

    def client(self, data: bytes) -> None:
        """Take bytes of the client's stream."""
        for line in self._client.feed(data) if data else self._client.finish():
            if not line:
                continue
            if may_be_frame(line):
                self._take(event(line))
            elif not line.decode("utf-8", "replace").strip():
                continue
            elif self.transcript.is_full:  # nothing is made of lines that are only counted: 64 KiB may be 32768
                self.transcript.dropped += 1
            elif not _ADVICE.match(line):
                self._take(event(line))

    def _take(self, said: Event) -> None:
        shown = self.transcript.take(said)
        if self._run is None and (run := self.transcript.gate_run) is not None:
            self._run = run
            self._screen.bind(run)
        self._screen.show(shown)

    def serve(self, data: bytes) -> None:
        """Take bytes of serve's stderr, which quotes the client; keep a limited number of its warnings."""
        try:
            lines = self._serve.feed(data) if data else self._serve.finish()
        except LineTooLong:
            self._serve, lines = LineBuffer(), [b"a line of more than 1 MiB was left out"]
        for line in lines:
            note = _note(line.decode("utf-8", "replace"))
            if not isinstance(note, Note) or not note.weighs:
                continue
            self._serve_said += 1
            if self._serve_said <= _MOST_SERVE_LINES:
                self._screen.show(self.transcript.keep(Message("serve", note.level, note.text, note.msgid)))
            else:
                self.transcript.dropped += 1


def _note(line: str) -> object:
    """Read a line of serve's: JSON, or `$LOG LEVEL NAME TEXT` before a client has chosen one of them."""
    plain = re.fullmatch(r"\$LOG ([A-Z]+) \S+ (?:Remote: )?(.*)", line)
    if plain is None:
        return read(line)
    return Note(plain[1] if plain[1] in LEVELS else "WARNING", plain[2])
