"""Session: one call to one client, from starting both ends to the verdict.

A poll loop over the client's stream, our own processes (`served`), all ends, the signals that stop the launcher, and
one clock. To end early, ssh gets TERM; once it is gone the guard sees the end of file, and then serve; only then
patience runs for each. A guard that refuses or fails ends the session: nothing more of the client's reaches serve.

    ended = Session(call, starts, transcript, screen, stop, seconds=target.timeout).run()
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from borgctl.pull.client.client_command import Call
from borgctl.pull.client.frames import TooLong
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import GOOD
from borgctl.pull.poll import Poll
from borgctl.pull.process import pipes
from borgctl.pull.process.children import Child, Ending
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.outcome import Facts
from borgctl.pull.report.progress import Screen
from borgctl.pull.run.guarded_serve import Served
from borgctl.pull.run.stream_reader import Hearing

_LOOKS = 1.0  # seconds
_STRAY = 200  # bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: how long serve may live after its end of file, and after TERM; how long the client's side may live after
    the gate's last word or the guard's refusal, and after serve's failure; how long the streams are read when all have
    ended; how long the guard may live after its end of file, and after TERM."""

    end_of_file: float = 20
    terminated: float = 10
    last_word: float = 15
    orphaned: float = 120
    drain: float = 2
    guard: float = 10


class Session:
    """The state of one call; `starts` starts guard and serve, and is None for hello. Without `room` it is ended."""

    def __init__(
        self,
        call: Call,
        starts: pipes.Starts | None,
        *,
        transcript: Transcript,
        screen: Screen,
        stop: Stop,
        seconds: float,
        patience: Timeouts,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._call, self._starts, self._patience, self._room = call, starts, patience, room
        self._looks = 0.0  # when to ask next whether the repository's disk has room
        self._transcript, self._screen, self._stop = transcript, screen, stop
        self._deadline = time.monotonic() + seconds
        self._poll = Poll()
        self._hearing = Hearing(transcript, screen)
        self._ended: str | None = None
        self._peer_status: int | None = None
        self._serve_first = False
        self._peer_endings: list[Ending] = []
        self._drained = float("inf")
        self._stray = b""
        self._listener: socket.socket | None = None
        self._ours: pipes.Ours | None = None
        self._served: Served | None = None

    def run(self) -> Facts:
        """Start both ends, wait until both have ended, and return the facts."""
        with ExitStack() as stack:
            stack.callback(self._poll.close)
            self._open(stack)
            while not self._finished():
                self._poll.wait(self._seconds())
                self._advance()
        return Facts(
            exit=self._transcript.ending(),
            started=self._transcript.start is not None,
            astray=self._transcript.astray,
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
        )

    def _open(self, stack: ExitStack) -> None:
        self._poll.watch(self._stop.fd, self._stopped)
        if self._starts is None or self._call.listen:
            if self._call.listen:
                self._listener = stack.enter_context(pipes.listen(self._call.listen))
                self._poll.watch(self._listener.fileno(), self._accept)
            self._peer = self._start_peer(subprocess.DEVNULL, subprocess.PIPE)
        else:
            self._ours, self._peer = pipes.cross(self._starts, self._start_peer)
        stack.callback(self._close)
        self._ending, self._last_word, self._orphaned = self._peer_endings = [
            Ending(self._peer, (seconds, signal.SIGTERM), (self._call.patience, signal.SIGKILL))
            for seconds in (0, self._patience.last_word, self._patience.orphaned)
        ]
        self._poll.watch(self._peer.pidfd, self._peer_gone)
        self._poll.watch(self._peer.stderr, self._hear)
        if self._peer.stdout is not None:
            self._poll.watch(self._peer.stdout, partial(self._notice, self._peer.stdout))
        if self._ours is not None:
            self._attend(self._ours)

    def _start_peer(self, stdin: int, stdout: int) -> Child:
        return Child(self._call.argv, self._call.env, stdin, stdout, self._call.orphaned)

    def _notice(self, stdout: int) -> None:
        """Keep the beginning of what comes where nothing is to come."""
        self._stray = (self._stray + self._poll.read(stdout))[:_STRAY]

    def _attend(self, ours: pipes.Ours) -> None:
        """Watch guard and serve."""
        self._ours = ours
        self._served = Served(
            ours,
            self._poll,
            guard=(self._patience.guard, self._patience.guard),
            serve=(self._patience.end_of_file, self._patience.terminated),
            hear=self._hear_serve,
            guard_gone=self._guard_gone,
            serve_gone=self._serve_gone,
        )

    def _close(self) -> None:
        for child in (self._peer, *(self._ours or ())):
            child.close()

    def _finished(self) -> bool:
        if not self._all_gone():
            return False
        read = not self._poll.watches(self._peer.stderr) and (self._served is None or self._served.told())
        return read or time.monotonic() >= self._drained

    def _peer_lives(self) -> bool:
        return self._poll.watches(self._peer.pidfd)

    def _all_gone(self) -> bool:
        return not self._peer_lives() and (self._served is None or self._served.gone())

    def _seconds(self) -> float:
        """Return how long to wait for an event at most."""
        due = [self._screen.due(), *(ending.due for ending in self._peer_endings)]
        due += self._served.due() if self._served else []
        if self._peer_lives() and self._ended is None:
            due += [self._deadline, self._looks] if self._ours is not None else [self._deadline]
        if self._all_gone():
            due.append(self._drained)
        now = time.monotonic()
        return min((moment for moment in due if moment is not None), default=now + 60) - now

    def _advance(self) -> None:
        now = time.monotonic()
        if now >= self._deadline and self._ended is None and self._peer_lives():
            self._end("timeout")
        if self._ours is not None and now >= self._looks:
            self._looks = now + _LOOKS
            if not self._room() and self._ended is None and self._peer_lives():
                self._end("server-full")
        for ending in self._peer_endings:
            ending.advance(now)
        if self._served is not None:
            self._served.advance(now)
        self._screen.tick(now)

    def _end(self, why: str) -> None:
        """Begin to end the client's side; our own follows when that is gone."""
        self._ended = self._ended or why
        self._ending.begin(time.monotonic())

    def _stopped(self) -> None:
        self._poll.forget(self._stop.fd)
        self._end("stopped")

    def _peer_gone(self) -> None:
        self._poll.forget(self._peer.pidfd)
        self._peer_status = self._peer.status()
        self._peer_endings = []
        self._drained = time.monotonic() + self._patience.drain
        if self._listener is not None:
            self._close_listener()
        if self._served is not None:
            self._served.end(time.monotonic())

    def _guard_gone(self) -> None:
        assert self._served is not None
        self._drained = time.monotonic() + self._patience.drain
        if self._served.fault is not None:
            self._end("guard-failed")
        elif self._served.events.refused is not None:  # the client sees that serve has gone, and may still say so
            self._last_word.begin(time.monotonic())

    def _serve_gone(self) -> None:
        assert self._served is not None
        self._drained = time.monotonic() + self._patience.drain
        if self._served.status != 0 and self._peer_lives():
            self._serve_first = True
            self._orphaned.begin(time.monotonic())

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._starts is not None
        ours = pipes.accept(self._listener, self._peer.pid, self._starts)
        if ours is not None:
            self._close_listener()
            self._attend(ours)

    def _close_listener(self) -> None:
        assert self._listener is not None
        self._poll.forget(self._listener.fileno())
        self._listener.close()
        self._listener = None
        assert self._call.listen is not None
        os.unlink(self._call.listen)  # the next job of this launcher listens there

    def _hear(self) -> None:
        try:
            self._hearing.client(self._poll.read(self._peer.stderr))
        except TooLong:
            self._poll.forget(self._peer.stderr)
            self._end("stream-limit")
        if self._transcript.ending() is not None:
            self._last_word.begin(time.monotonic())

    def _hear_serve(self, data: bytes) -> None:
        told = self._transcript.ending()
        if self._served is not None and self._served.events.refused is not None:
            return  # it only complains that the client stopped in the middle
        if self._peer_lives() or (told is not None and told.outcome in GOOD and not self._call.idle):
            self._hearing.serve(data)  # else it only complains that nobody is there any more
