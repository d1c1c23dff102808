"""Session: one call to one client, from starting both ends to the verdict.

In an event loop are the client's stream, our own processes (`served`), all ends, and the clock; the loop may have other
sessions beside this one. To end early, ssh gets TERM; once it is gone the guard sees the end of file, and then serve;
only then patience runs for each. A guard that refuses or fails ends the session: nothing more of the client's reaches
serve.

    facts = Session(call, starts, transcript=…, screen=…, seconds=target.timeout, patience=…).run(stop)

    with Session(…, loop=loop) as session:      # in a loop of somebody else's, who says when to `stop`
        while not session.finished(): loop.turn()
        facts = session.facts()
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
from typing import Self

from borgctl.process.event_loop import EventLoop, Termination, Timer
from borgctl.pull.client.client_command import Call
from borgctl.pull.client.frames import TooLong
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.process import pipes
from borgctl.pull.process.children import Child
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.outcome import Facts
from borgctl.pull.report.progress import Screen
from borgctl.pull.run.guarded_serve import Served
from borgctl.pull.run.stream_reader import Hearing
from borgctl.wire.frames import GOOD

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
        seconds: float,
        patience: Timeouts,
        room: Callable[[], bool] = lambda: True,
        loop: EventLoop | None = None,
    ) -> None:
        self._call, self._starts, self._patience, self._room = call, starts, patience, room
        self._transcript, self._screen, self._seconds = transcript, screen, seconds
        self._loop = loop or EventLoop()
        self._opened = ExitStack()
        self._hearing = Hearing(transcript, screen)
        self._ended: str | None = None
        self._peer_status: int | None = None
        self._serve_first = False
        self._drained = float("inf")
        self._stray = b""
        self._listener: socket.socket | None = None
        self._ours: pipes.Ours | None = None
        self._served: Served | None = None
        self._looking: Timer | None = None

    def run(self, stop: Stop) -> Facts:
        """Start both ends, wait until both have ended, and return the facts."""
        with self:
            stop.tell(self._loop, self.stop)
            while not self.finished():
                self._loop.turn(self._screen.due())
                self._screen.tick(time.monotonic())
        return self.facts()

    def __enter__(self) -> Self:
        """Start both ends."""
        with ExitStack() as stack:
            self._open(stack)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Release all that is left; what still runs is killed."""
        self._opened.close()

    def stop(self) -> None:
        """Begin to end it, as the launcher is told to end."""
        self._end("stopped")

    def facts(self) -> Facts:
        """Return how it went, once it is finished."""
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
        self._deadline = self._loop.after(self._seconds, partial(self._end, "timeout"))
        stack.callback(self._close)
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), self._accept)
        self._loop.once(self._peer.pidfd, self._peer_gone)
        self._loop.watch(self._peer.stderr, self._hear)
        if self._peer.stdout is not None:
            self._loop.watch(self._peer.stdout, partial(self._notice, self._peer.stdout))
        if self._ours is not None:
            self._attend(self._ours)

    def _start_peer(self, stdin: int, stdout: int) -> Child:
        return Child(self._call.argv, self._call.env, stdin, stdout, self._call.orphaned)

    def _notice(self, stdout: int) -> None:
        """Keep the beginning of what comes where nothing is to come."""
        self._stray = (self._stray + self._loop.read(stdout))[:_STRAY]

    def _attend(self, ours: pipes.Ours) -> None:
        """Watch guard and serve."""
        self._ours = ours
        self._served = Served(
            ours,
            self._loop,
            guard=(self._patience.guard, self._patience.guard),
            serve=(self._patience.end_of_file, self._patience.terminated),
            hear=self._hear_serve,
            guard_gone=self._guard_gone,
            serve_gone=self._serve_gone,
        )
        self._look()

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

    def finished(self) -> bool:
        """Tell whether all have ended, and all that they had to say is read."""
        if self._peer_lives() or (self._served is not None and not self._served.gone()):
            return False
        read = not self._loop.watches(self._peer.stderr) and (self._served is None or self._served.told())
        return read or time.monotonic() >= self._drained

    def _peer_lives(self) -> bool:
        return self._loop.watches(self._peer.pidfd)

    def _drain(self) -> None:
        """Somebody has gone; for a moment from here on, what they have said is still read."""
        self._drained = time.monotonic() + self._patience.drain
        self._loop.after(self._patience.drain, lambda: None)

    def _look(self) -> None:
        """Look whether the repository's disk has room, and again in a moment."""
        self._looking = self._loop.after(_LOOKS, self._look)
        if not self._room():
            self._end("server-full")

    def _end(self, why: str) -> None:
        """Begin to end the client's side; our own follows when that is gone."""
        self._ended = self._ended or why
        self._ending.begin()

    def _forget_clock(self) -> None:
        """Nothing of the client's side is waited for any more."""
        self._loop.cancel(self._deadline, self._looking)
        for termination in self._terminations:
            termination.cancel()

    def _peer_gone(self) -> None:
        self._forget_clock()
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
        elif self._served.events.refused is not None:  # the client sees that serve has gone, and may still say so
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
            self._attend(ours)

    def _close_listener(self) -> None:
        assert self._listener is not None
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._listener = None
        assert self._call.listen is not None
        os.unlink(self._call.listen)  # the next job of this launcher listens there

    def _hear(self) -> None:
        try:
            self._hearing.client(self._loop.read(self._peer.stderr))
        except TooLong:
            self._loop.forget(self._peer.stderr)
            self._end("stream-limit")
        if self._transcript.ending() is not None:
            self._last_word.begin()

    def _hear_serve(self, data: bytes) -> None:
        told = self._transcript.ending()
        if self._served is not None and self._served.events.refused is not None:
            return  # it only complains that the client stopped in the middle
        if self._peer_lives() or (told is not None and told.outcome in GOOD and not self._call.idle):
            self._hearing.serve(data)  # else it only complains that nobody is there any more
