r"""A program's output on the admin's terminal, made safe: it may have a server's words, or any name of a file.

Only a terminal gets it so; a file or a pipe gets the bytes as they are. Characters that are not printable become
escapes, except ends of lines and tabs. All is written at once: a question may end without a newline.

    output = SanitizedOutput(None, 2); Popen(…, stderr=output.target); output.begin(); …; output.finish()
    >>> Sanitizer().feed(b"\x1b[2J")
    b'\\x1b[2J'
"""

import codecs
import contextlib
import os
import threading
from typing import IO

from borgctl.text import printable

_CHUNK = 1 << 16
_PATIENCE = 5.0  # seconds for the rest of the output after the program's end: the terminal may be stopped
_KEPT = "\n\r\t"


class Sanitizer:
    """Bytes in, bytes for a terminal out; a piece may end in the middle of a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> bytes:
        """Return what the terminal can have now; b"" is the end."""
        text = self._decoder.decode(data, final=not data)
        return printable(text, _KEPT).encode("utf-8")


class SanitizedOutput:
    """Output for `fd` of a program: `target` is for Popen, and is `given` where that is not None."""

    def __init__(self, given: int | IO[bytes] | None, fd: int) -> None:
        self.target = given
        self._fd = fd
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        if given is None and os.isatty(fd):
            self._pipe = os.pipe2(os.O_CLOEXEC)
            self.target = self._pipe[1]

    def begin(self) -> None:
        """Start to copy, after the program was started or failed to: there must be no thread at a fork."""
        if self._pipe is not None:
            source, sink = self._pipe
            os.close(sink)
            self._thread = threading.Thread(target=_copy, args=(source, self._fd), daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until all output is written, but at most 5 seconds."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)


def _copy(source: int, sink: int) -> None:
    sanitizer = Sanitizer()
    with (
        os.fdopen(source, "rb", 0) as file,
        contextlib.suppress(OSError),
    ):  # a terminal that closes ends the program, too
        while data := file.read(_CHUNK):
            _write(sink, sanitizer.feed(data))
        _write(sink, sanitizer.feed(b""))


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]
