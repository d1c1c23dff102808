"""Session: one call to one client, from starting both ends to the verdict.

A poll loop over the client's stream, serve's stderr, both processes' ends, the signals that stop the launcher, and one
clock. To end early, ssh gets TERM; once it is gone serve sees the end of file, and only then patience runs for serve.

    ended = Session(call, serve, transcript, screen, stop, seconds=target.timeout).run()
"""

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from borgctl.pull import wiring
from borgctl.pull.children import Child, Ending
from borgctl.pull.hearing import Hearing
from borgctl.pull.outcome import GOOD, Facts
from borgctl.pull.peer import Call
from borgctl.pull.poll import Poll
from borgctl.pull.progress import Screen
from borgctl.pull.stop import Stop
from borgctl.pull.stream import TooLong
from borgctl.pull.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: how long serve may live after its end of file, and after TERM; how long the client's side may live after
    the gate's last word, and after serve's failure; how long the streams are read when both have ended."""

    end_of_file: float = 20
    terminated: float = 10
    last_word: float = 15
    orphaned: float = 120
    drain: float = 2


class Session:
    """The state of one call; `serve` starts borg serve on two descriptors, and is None for hello."""

    def __init__(
        self,
        call: Call,
        serve: wiring.Start | None,
        *,
        transcript: Transcript,
        screen: Screen,
        stop: Stop,
        seconds: float,
        patience: Patience,
    ) -> None:
        self._call, self._start_serve, self._patience = call, serve, patience
        self._transcript, self._screen, self._stop = transcript, screen, stop
        self._deadline = time.monotonic() + seconds
        self._poll = Poll()
        self._hearing = Hearing(transcript, screen)
        self._ended: str | None = None
        self._peer_status: int | None = None
        self._serve_first = False
        self._peer_endings: list[Ending] = []
        self._serve_endings: list[Ending] = []
        self._drained = float("inf")
        self._listener: socket.socket | None = None
        self.serve: Child | None = None
        self.serve_status: int | None = None

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
            serve=self.serve_status,
            serve_first=self._serve_first,
            serve_needed=self._start_serve is not None,
            result_cut=self._transcript.result_cut,
        )

    def _open(self, stack: ExitStack) -> None:
        self._poll.watch(self._stop.fd, self._stopped)
        if self._start_serve is None or self._call.listen:
            if self._call.listen:
                self._listener = stack.enter_context(wiring.listen(self._call.listen))
                self._poll.watch(self._listener.fileno(), self._accept)
            self._peer = self._start_peer(subprocess.DEVNULL, subprocess.PIPE)
        else:
            self.serve, self._peer = wiring.cross(self._start_serve, self._start_peer)
        stack.callback(self._close)
        self._ending, self._last_word, self._orphaned = self._peer_endings = [
            Ending(self._peer, (seconds, signal.SIGTERM), (self._call.patience, signal.SIGKILL))
            for seconds in (0, self._patience.last_word, self._patience.orphaned)
        ]
        self._poll.watch(self._peer.pidfd, self._peer_gone)
        self._poll.watch(self._peer.stderr, self._hear)
        if self._peer.stdout is not None:
            self._poll.watch(self._peer.stdout, partial(self._poll.read, self._peer.stdout))
        if self.serve is not None:
            self._attend(self.serve)

    def _start_peer(self, stdin: int, stdout: int) -> Child:
        return Child(self._call.argv, self._call.env, stdin, stdout, self._call.orphaned)

    def _attend(self, serve: Child) -> None:
        """Watch serve, and be ready to end it."""
        self.serve = serve
        steps = (self._patience.end_of_file, signal.SIGTERM), (self._patience.terminated, signal.SIGKILL)
        self._serve_endings = [Ending(serve, *steps)]
        self._poll.watch(serve.pidfd, self._serve_gone)
        self._poll.watch(serve.stderr, self._hear_serve)

    def _close(self) -> None:
        self._peer.close()
        if self.serve is not None:
            self.serve.close()

    def _finished(self) -> bool:
        streams = (self._peer.stderr, self.serve.stderr if self.serve else None)
        return self._both_gone() and (not any(map(self._poll.watches, streams)) or time.monotonic() >= self._drained)

    def _peer_lives(self) -> bool:
        return self._poll.watches(self._peer.pidfd)

    def _both_gone(self) -> bool:
        return not self._peer_lives() and not (self.serve is not None and self._poll.watches(self.serve.pidfd))

    def _seconds(self) -> float:
        """Return how long to wait for an event at most."""
        due = [self._screen.due(), *(ending.due for ending in (*self._peer_endings, *self._serve_endings))]
        if self._peer_lives() and self._ended is None:
            due.append(self._deadline)
        if self._both_gone():
            due.append(self._drained)
        now = time.monotonic()
        return min((moment for moment in due if moment is not None), default=now + 60) - now

    def _advance(self) -> None:
        now = time.monotonic()
        if now >= self._deadline and self._ended is None and self._peer_lives():
            self._end("timeout")
        for ending in (*self._peer_endings, *self._serve_endings):
            ending.advance(now)
        self._screen.tick(now)

    def _end(self, why: str) -> None:
        """Begin to end the client's side; serve follows when that is gone."""
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
        for ending in self._serve_endings:
            ending.begin(time.monotonic())

    def _serve_gone(self) -> None:
        assert self.serve is not None
        self._poll.forget(self.serve.pidfd)
        self.serve_status = self.serve.status()
        self._serve_endings = []
        self._drained = time.monotonic() + self._patience.drain
        if self.serve_status != 0 and self._peer_lives():
            self._serve_first = True
            self._orphaned.begin(time.monotonic())

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._start_serve is not None
        serve = wiring.accept(self._listener, self._peer.pid, self._start_serve)
        if serve is not None:
            self._close_listener()
            self._attend(serve)

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

    def _hear_serve(self) -> None:
        assert self.serve is not None
        data = self._poll.read(self.serve.stderr)
        told = self._transcript.ending()
        if self._peer_lives() or (told is not None and told.outcome in GOOD and not self._call.idle):
            self._hearing.serve(data)  # else it only complains that nobody is there any more
