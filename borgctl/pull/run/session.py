"""Session: one call to one client, from starting both ends to the verdict.

The launcher's event loop waits for the client's side (`client_side`), our own processes (`guarded_serve`), and the
clock; it has other sessions, too (`scheduler`). To end early, ssh gets TERM. Once it has ended the guard sees the end
of file, and then serve; only then their timeouts run. A guard that refuses or fails ends the session: nothing more of
the client's reaches serve.

    facts = await Session(call, starts, transcript=…, launcher=…, seconds=target.timeout).run()
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from borgctl.pull.client.client_command import Call
from borgctl.pull.client.frames import LineTooLong
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.process import pipes
from borgctl.pull.report.outcome import RunFacts
from borgctl.pull.run.client_side import ClientSide, start
from borgctl.pull.run.defect import Defect
from borgctl.pull.run.guarded_serve import GuardedServe
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.scheduler import until
from borgctl.pull.run.serve_socket import ServeSocket
from borgctl.pull.run.stream_reader import StreamReader
from borgctl.wire.frames import GOOD


class Session:
    """One call; `starts` starts guard and serve, and is None for hello. Where `room` is False the session ends."""

    def __init__(
        self,
        call: Call,
        starts: pipes.Starts | None,
        *,
        launcher: Launcher,
        transcript: Transcript,
        seconds: float,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._call, self._starts, self._patience, self._room = call, starts, launcher.patience, room
        self._transcript, self._loop = transcript, launcher.loop
        left = launcher.deadline - time.monotonic()
        self._seconds, self._over = (seconds, "timeout") if seconds <= left else (max(0.0, left), "deadline")
        self._reader = StreamReader(transcript, launcher.screen)
        self._ended: str | None = None
        self._defect = Defect()
        self._serve_first = False
        self._drained = float("inf")
        self._socket: ServeSocket | None = None
        self._ours: pipes.Ours | None = None
        self._served: GuardedServe | None = None

    async def run(self) -> RunFacts:
        """Start both ends, wait until both have ended, and return the facts; however it ends, nothing is left."""
        with ExitStack() as stack:
            self._open(stack)
            await until(self)
            if self._defect.error is not None:
                raise self._defect.error
        return self._facts()

    def stop(self) -> None:
        """Begin to end it, as a signal ends the launcher."""
        self._end("stopped")

    def _facts(self) -> RunFacts:
        passed = self._served.events.passed if self._served else None
        return RunFacts(
            exit=self._transcript.ending(),
            started=self._transcript.start is not None,
            mismatch=self._transcript.mismatch,
            ended=self._ended,
            peer=self._call.name,
            status=self._client.status,
            serve=self._served.status if self._served else None,
            serve_first=self._serve_first,
            serve_needed=self._starts is not None,
            guard_fault=self._served.fault if self._served else None,
            passed=passed,
            refused=self._served.events.refused if self._served else None,
            result_cut=self._transcript.result_cut,
            stray=self._client.stray,
            sent=self._client.sent(passed.bytes if passed else None),
        )

    def _open(self, stack: ExitStack) -> None:
        if self._call.listen:
            self._socket = ServeSocket(self._call.listen, self._loop)
            stack.callback(self._socket.close)
        self._child, self._ours = start(self._call, self._starts)
        stack.callback(self._close_children)
        if self._socket is not None:
            assert self._starts is not None
            self._socket.await_connection(self._child.pid, self._starts, self._watch_ours, self._defect)
        self._client = ClientSide(
            self._child,
            self._call,
            self._loop,
            self._patience,
            seconds=self._seconds,
            late=partial(self._end, self._over),
            hear=self._hear_client,
            client_gone=self._client_gone,
            defect=self._defect,
        )
        stack.callback(self._forget)
        if self._ours is not None:
            self._watch_ours(self._ours)

    def _watch_ours(self, ours: pipes.Ours) -> None:
        """Watch guard and serve."""
        self._ours = ours
        self._served = GuardedServe(
            ours,
            self._loop,
            self._patience,
            hear=self._hear_serve,
            guard_gone=self._guard_gone,
            serve_gone=self._serve_gone,
            defect=self._defect,
        )
        self._served.watch_space(self._room, partial(self._end, "server-full"))

    def _forget(self) -> None:
        """Stop waiting for anything."""
        self._client.close()
        if self._served is not None:
            self._served.close()

    def _close_children(self) -> None:
        for child in (self._child, *(self._ours or ())):
            child.close()

    def finished(self) -> bool:
        """Tell whether all have ended, and all of their output is read; or something failed that never should."""
        if self._defect.error is not None:
            return True
        if not self._client.gone() or (self._served is not None and not self._served.gone()):
            return False
        read = self._client.told() and (self._served is None or self._served.told())
        return read or time.monotonic() >= self._drained

    def _drain(self) -> None:
        """A process has ended; read the rest of the output for a moment."""
        self._drained = time.monotonic() + self._patience.drain
        self._loop.after(self._patience.drain, lambda: None)

    def _end(self, why: str) -> None:
        """Begin to end the client's side; our own follows when that has ended."""
        self._ended = self._ended or why
        self._client.end()

    def _client_gone(self) -> None:
        self._drain()
        if self._socket is not None:
            self._socket.close()
        if self._served is not None:
            self._served.end()

    def _guard_gone(self) -> None:
        assert self._served is not None
        self._drain()
        if self._served.fault is not None:
            self._end("guard-failed")
        elif self._served.events.refused is not None:  # the client sees that serve has ended, and may still report it
            self._client.end_after_last_word()

    def _serve_gone(self) -> None:
        assert self._served is not None
        self._drain()
        if self._served.status != 0 and not self._client.gone():
            self._serve_first = True
            self._client.end_orphaned()

    def _hear_client(self, data: bytes) -> None:
        try:
            self._reader.client(data)
        except LineTooLong:
            self._client.ignore()
            self._end("stream-limit")
        if self._transcript.ending() is not None:
            self._client.end_after_last_word()

    def _hear_serve(self, data: bytes) -> None:
        told = self._transcript.ending()
        if self._served is not None and self._served.events.refused is not None:
            return  # it only complains that the client stopped in the middle
        if not self._client.gone() or (told is not None and told.outcome in GOOD and not self._call.idle):
            self._reader.serve(data)  # else it only complains that nobody is there any more
