"""One loop for all that is waited for: descriptors, the ends of processes, signals, moments of the monotonic clock.

It does not know what any of them is about. One loop can carry several sessions side by side: each registers what it
waits for, and forgets it again. Nothing is shared between two loops.

    loop = EventLoop()
    loop.watch(pipe, lambda: take(loop.read(pipe)))
    loop.once(child.pidfd, note_its_end)
    loop.after(3600, give_up)
    while running: loop.turn()
"""

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Self

Act = Callable[[], object]
_CHUNK = 1 << 16  # bytes
_LONGEST = 3600.0  # seconds of one wait: poll(2) counts milliseconds in an int
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Timer:
    """A moment, and what is done then, once."""

    def __init__(self, due: float, act: Act) -> None:
        self.due, self.act = due, act


class EventLoop:
    """What is waited for, and what to do then.

    In one turn, descriptors come before timers, and in the order in which they were first watched. Each act happens
    only while it is still registered, so an act may forget, cancel or replace any other of the same turn.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watches: dict[int, tuple[Act, Act | None]] = {}
        self._timers: set[Timer] = set()

    def watch(self, fd: int, act: Act, events: int = select.POLLIN, gone: Act | None = None) -> None:
        """Call `act` whenever one of these events (poll(2)) is there; what was said of `fd` before no longer counts.

        An error or a hang-up comes whatever `events` says. It calls `gone`, once, as `fd` is forgotten first; without
        `gone` it calls `act`, so that a reader finds the end of the file.
        """
        self._poll.register(fd, events)
        self._watches[fd] = (act, gone)

    def once(self, fd: int, act: Act, events: int = select.POLLIN) -> None:
        """Call `act` at the first event, and forget `fd`; with `events` 0, at an error or a hang-up."""

        def first() -> None:
            self.forget(fd)
            act()

        self.watch(fd, first, events)

    def forget(self, *fds: int) -> None:
        """Stop watching descriptors, before they are closed; those that are not watched are no error."""
        for fd in fds:
            if self._watches.pop(fd, None) is not None:
                self._poll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Tell whether `fd` is watched."""
        return fd in self._watches

    def read(self, fd: int) -> bytes:
        """Read what is there, at most 64 KiB; b"" is the end, after which `fd` is no longer watched."""
        data = os.read(fd, _CHUNK)
        if not data:
            self.forget(fd)
        return data

    def after(self, seconds: float, act: Act) -> Timer:
        """Call `act` once, so many seconds from now; `math.inf` is never."""
        timer = Timer(time.monotonic() + seconds, act)
        self._timers.add(timer)
        return timer

    def cancel(self, *timers: Timer | None) -> None:
        """Let timers not happen; None, and those that have happened, are no error."""
        self._timers.difference_update(timers)

    def clear(self) -> None:
        """Forget everything."""
        self.forget(*self._watches)
        self._timers.clear()

    def turn(self, until: float | None = None) -> None:
        """Wait for something to happen, but not beyond the moment `until`, and act on all that has."""
        moments = [timer.due for timer in self._timers] + ([] if until is None else [until])
        seconds = min(max(0.0, min(moments, default=math.inf) - time.monotonic()), _LONGEST)
        events = self._poll.poll(seconds * 1000)
        for (fd, event), watch in zip(events, [self._watches[fd] for fd, _ in events], strict=True):
            if self._watches.get(fd) is not watch:
                continue  # forgotten since, or the number is another file's by now
            act, gone = watch
            if event & select.POLLNVAL or (gone and event & _GONE):
                self.forget(fd)  # else it would be told again and again
            (gone if gone and event & _GONE else act)()
        now = time.monotonic()
        for timer in sorted((timer for timer in self._timers if timer.due <= now), key=lambda timer: timer.due):
            if timer in self._timers:
                self._timers.remove(timer)
                timer.act()


class Termination:
    """The signals that end a process, one after the other, each so many seconds after the one before.

    One that was late, as we were stopped, leaves the next its whole time. `first` is called at the beginning.
    """

    def __init__(
        self,
        loop: EventLoop,
        send: Callable[[int], object],
        steps: Sequence[tuple[float, int]],
        first: Act = lambda: None,
    ) -> None:
        self._loop, self._send, self._steps, self._first = loop, send, list(steps), first
        self._timer: Timer | None = None
        self._begun = False

    def begin(self) -> None:
        """Begin, if that was not done before."""
        if not self._begun:
            self._begun = True
            self._first()
            self._next()

    def cancel(self) -> None:
        """Send nothing more: the process has ended."""
        self._begun = True
        self._steps.clear()
        self._loop.cancel(self._timer)

    def _next(self) -> None:
        if self._steps:
            seconds, number = self._steps.pop(0)
            self._timer = self._loop.after(seconds, partial(self._step, number))

    def _step(self, number: int) -> None:
        self._send(number)
        self._next()


class Signals:
    """Signals that end nothing while this is entered, but are noted, and make `fd` readable.

    They are not blocked then, whatever our starter has blocked; one of `keep_ignored` that it ignored stays ignored
    (nohup). The kernel may give a signal to another thread, and then no wait of ours is interrupted: it is the
    descriptor that wakes the loop (signal.set_wakeup_fd). To be entered in the main thread.

        with Signals(SIGTERM, SIGHUP) as signals: loop.watch(signals.fd, lambda: note(signals.take()))
    """

    def __init__(self, *numbers: int, keep_ignored: Sequence[int] = ()) -> None:
        self._numbers, self._keep_ignored = numbers, keep_ignored
        self.received: list[int] = []
        self._taken = 0

    def __enter__(self) -> Self:
        self.fd, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        numbers = [n for n in self._numbers if not (n in self._keep_ignored and signal.getsignal(n) is signal.SIG_IGN)]
        self._handlers = {n: signal.signal(n, self._note) for n in numbers}
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handlers)
        return self

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._writer)

    def take(self) -> list[int]:
        """Return those that have come since the last call; `received` holds all of them."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, _CHUNK)
        taken, self._taken = self._taken, len(self.received)
        return self.received[taken : self._taken]

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received.append(number)
