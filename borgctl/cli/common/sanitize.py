r"""A terminal, kept from what a program of ours passes on: a server's words in an error, anybody's name of a file.

Only where a stream is a terminal; a file or a pipe gets the very bytes. What is not printable is written as an escape,
but for the ends of lines and tabs, and as soon as it comes: a question may end without a newline.

    shown = Shown(None, 2); Popen(…, stderr=shown.target); shown.begin(); …; shown.finish()
    >>> Cleaner().feed(b"\x1b[2J")
    b'\\x1b[2J'
"""

import codecs
import contextlib
import os
import threading
from typing import IO

from borgctl.text import printable

_CHUNK = 1 << 16
_PATIENCE = 5.0  # seconds from the program's end to that of its words: a terminal may be stopped, a grandchild at work
_KEPT = "\n\r\t"


class Cleaner:
    """Bytes in, bytes for a terminal out; what stands at the end of a piece may be half of a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> bytes:
        """Return what of this can be shown now; b"" is the end."""
        text = self._decoder.decode(data, final=not data)
        return printable(text, _KEPT).encode("utf-8")


class Shown:
    """Where a program is to write instead of to `fd`: `target` is for Popen, and is `given` where that says where."""

    def __init__(self, given: int | IO[bytes] | None, fd: int) -> None:
        self.target = given
        self._fd = fd
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        if given is None and os.isatty(fd):
            self._pipe = os.pipe2(os.O_CLOEXEC)
            self.target = self._pipe[1]

    def begin(self) -> None:
        """Begin to show, once the program has been started or could not be: a thread must not be there at a fork."""
        if self._pipe is not None:
            source, sink = self._pipe
            os.close(sink)
            self._thread = threading.Thread(target=_copy, args=(source, self._fd), daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until all that the program has said is shown, but not for ever."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)


def _copy(source: int, sink: int) -> None:
    cleaner = Cleaner()
    with (
        os.fdopen(source, "rb", 0) as file,
        contextlib.suppress(OSError),
    ):  # a terminal that is gone ends the program, too
        while data := file.read(_CHUNK):
            _write(sink, cleaner.feed(data))
        _write(sink, cleaner.feed(b""))


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]
