"""Session: one call to one client, from starting both ends to the verdict.

The launcher's event loop waits for the client's stream, our own processes (`guarded_serve`), all ends, and the clock;
it has other sessions, too (`scheduler`). To end early, ssh gets TERM. Once it has ended the guard sees the end of file,
and then serve; only then their timeouts run. A guard that refuses or fails ends the session: nothing more of the
client's reaches serve.

    facts = await Session(call, starts, transcript=…, launcher=…, seconds=target.timeout).run()
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from borgctl.process.event_loop import Termination, Timer
from borgctl.pull.client.client_command import Call
from borgctl.pull.client.frames import LineTooLong
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.process import pipes
from borgctl.pull.process.children import ChildProcess
from borgctl.pull.report.outcome import RunFacts
from borgctl.pull.run.guarded_serve import GuardedServe
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.scheduler import until
from borgctl.pull.run.stream_reader import StreamReader
from borgctl.wire.frames import GOOD

_SPACE_INTERVAL = 1.0  # seconds
_STRAY = 200  # bytes


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
        self._fault: Exception | None = None
        self._peer_status: int | None = None
        self._serve_first = False
        self._drained = float("inf")
        self._stray = b""
        self._heard = 0  # bytes of ssh's on stderr
        self._written: int | None = None  # all bytes that ssh wrote
        self._listener: socket.socket | None = None
        self._ours: pipes.Ours | None = None
        self._served: GuardedServe | None = None
        self._space_timer: Timer | None = None

    async def run(self) -> RunFacts:
        """Start both ends, wait until both have ended, and return the facts; however it ends, nothing is left."""
        with ExitStack() as stack:
            self._open(stack)
            await until(self)
            if self._fault is not None:
                raise self._fault
        return self.facts()

    def stop(self) -> None:
        """Begin to end it, as a signal ends the launcher."""
        self._end("stopped")

    def facts(self) -> RunFacts:
        """Return the facts of a session that is finished."""
        return RunFacts(
            exit=self._transcript.ending(),
            started=self._transcript.start is not None,
            mismatch=self._transcript.mismatch,
            ended=self._ended,
            peer=self._call.name,
            status=self._peer_status,
            serve=self._served.status if self._served else None,
            serve_first=self._serve_first,
            serve_needed=self._starts is not None,
            guard_fault=self._served.fault if self._served else None,
            passed=self._served.events.passed if self._served else None,
            refused=self._served.events.refused if self._served else None,
            result_cut=self._transcript.result_cut,
            stray=self._stray.decode("ascii", "backslashreplace").rstrip(),
            sent=self._sent(),
        )

    def _sent(self) -> int | None:
        """Return how many bytes ssh sent: all that it wrote but what came to us, and to the guard; None if unknown."""
        passed = self._served.events.passed if self._served else None
        if self._call.name != "ssh" or self._written is None or passed is None:
            return None
        return max(0, self._written - self._heard - passed.bytes)

    def _open(self, stack: ExitStack) -> None:
        if self._starts is None or self._call.listen:
            if self._call.listen:
                self._listener = stack.enter_context(pipes.listen(self._call.listen))
            self._peer = self._start_peer(subprocess.DEVNULL, subprocess.PIPE)
        else:
            self._ours, self._peer = pipes.cross(self._starts, self._start_peer)
        self._ending, self._last_word, self._orphaned = self._terminations = [
            Termination(self._loop, self._peer.send, ((seconds, signal.SIGTERM), (self._call.patience, signal.SIGKILL)))
            for seconds in (0, self._patience.last_word, self._patience.orphaned)
        ]
        self._deadline = self._loop.after(self._seconds, partial(self._end, self._over))
        stack.callback(self._close)
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), self._own(self._accept))
        self._loop.once(self._peer.pidfd, self._own(self._peer_gone))
        self._loop.watch(self._peer.stderr, self._own(self._hear))
        if self._peer.stdout is not None:
            self._loop.watch(self._peer.stdout, self._own(partial(self._keep_stray, self._peer.stdout)))
        if self._ours is not None:
            self._watch_ours(self._ours)

    def _start_peer(self, stdin: int, stdout: int) -> ChildProcess:
        return ChildProcess(self._call.argv, self._call.env, stdin, stdout, self._call.orphaned)

    def _keep_stray(self, stdout: int) -> None:
        """Keep the beginning of output on a stdout that should have none."""
        self._stray = (self._stray + self._loop.read(stdout))[:_STRAY]

    def _watch_ours(self, ours: pipes.Ours) -> None:
        """Watch guard and serve."""
        self._ours = ours
        self._served = GuardedServe(
            ours,
            self._loop,
            guard=(self._patience.guard, self._patience.guard),
            serve=(self._patience.end_of_file, self._patience.terminated),
            hear=self._hear_serve,
            guard_gone=self._guard_gone,
            serve_gone=self._serve_gone,
            own=self._own,
        )
        self._check_space()

    def _close(self) -> None:
        self._forget_clock()
        self._loop.forget(self._peer.pidfd, self._peer.stderr)
        if self._peer.stdout is not None:
            self._loop.forget(self._peer.stdout)
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
        if self._served is not None:
            self._served.close()
        for child in (self._peer, *(self._ours or ())):
            child.close()

    def _own(self, act: Callable[[], object]) -> Callable[[], None]:
        """Return a callback by which this session fails, and no other one in the loop, where it raises."""

        def call() -> None:
            try:
                act()
            except Exception as error:
                self._fault = self._fault or error

        return call

    def finished(self) -> bool:
        """Tell whether all have ended, and all of their output is read; or something failed that never should."""
        if self._fault is not None:
            return True
        if self._peer_lives() or (self._served is not None and not self._served.gone()):
            return False
        read = not self._loop.watches(self._peer.stderr) and (self._served is None or self._served.told())
        return read or time.monotonic() >= self._drained

    def _peer_lives(self) -> bool:
        return self._loop.watches(self._peer.pidfd)

    def _drain(self) -> None:
        """A process has ended; read the rest of the output for a moment."""
        self._drained = time.monotonic() + self._patience.drain
        self._loop.after(self._patience.drain, lambda: None)

    def _check_space(self) -> None:
        """End the session if the repository's disk has no space left; look again in a moment."""
        self._space_timer = self._loop.after(_SPACE_INTERVAL, self._own(self._check_space))
        if not self._room():
            self._end("server-full")

    def _end(self, why: str) -> None:
        """Begin to end the client's side; our own follows when that has ended."""
        self._ended = self._ended or why
        self._ending.begin()

    def _forget_clock(self) -> None:
        """Stop all timers of the client's side."""
        self._loop.cancel(self._deadline, self._space_timer)
        for termination in self._terminations:
            termination.cancel()

    def _peer_gone(self) -> None:
        self._forget_clock()
        self._written = self._peer.written()
        self._peer_status = self._peer.status()
        self._drain()
        if self._listener is not None:
            self._close_listener()
        if self._served is not None:
            self._served.end()

    def _guard_gone(self) -> None:
        assert self._served is not None
        self._drain()
        if self._served.fault is not None:
            self._end("guard-failed")
        elif self._served.events.refused is not None:  # the client sees that serve has ended, and may still report it
            self._last_word.begin()

    def _serve_gone(self) -> None:
        assert self._served is not None
        self._drain()
        if self._served.status != 0 and self._peer_lives():
            self._serve_first = True
            self._orphaned.begin()

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._starts is not None
        ours = pipes.accept(self._listener, self._peer.pid, self._starts)
        if ours is not None:
            self._close_listener()
            self._watch_ours(ours)

    def _close_listener(self) -> None:
        assert self._listener is not None
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._listener = None
        assert self._call.listen is not None
        os.unlink(self._call.listen)  # the next job of this launcher listens there

    def _hear(self) -> None:
        data = self._loop.read(self._peer.stderr)
        self._heard += len(data)
        try:
            self._reader.client(data)
        except LineTooLong:
            self._loop.forget(self._peer.stderr)
            self._end("stream-limit")
        if self._transcript.ending() is not None:
            self._last_word.begin()

    def _hear_serve(self, data: bytes) -> None:
        told = self._transcript.ending()
        if self._served is not None and self._served.events.refused is not None:
            return  # it only complains that the client stopped in the middle
        if self._peer_lives() or (told is not None and told.outcome in GOOD and not self._call.idle):
            self._reader.serve(data)  # else it only complains that nobody is there any more
