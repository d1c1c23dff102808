"""Wait for several events in one loop: descriptors, ends of processes, signals, times of the monotonic clock.

It does not know what any of them means. One loop can carry several sessions side by side: each registers its own
events, and forgets them again. Two loops share nothing.

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
_LONGEST = 3600.0  # seconds of one wait: poll(2) takes milliseconds as an int
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Timer:
    """A time, and the call to make then, once."""

    def __init__(self, due: float, act: Act) -> None:
        self.due, self.act = due, act


class EventLoop:
    """The registered events, and the call for each.

    In one turn, descriptors come before timers, in the order in which they were first watched. Each call is made only
    while it is still registered, so a call may forget, cancel or replace any other of the same turn.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watches: dict[int, tuple[Act, Act | None]] = {}
        self._timers: set[Timer] = set()

    def watch(self, fd: int, act: Act, events: int = select.POLLIN, gone: Act | None = None) -> None:
        """Call `act` at each of these events (poll(2)) of `fd`; this replaces any earlier watch of it.

        An error or a hang-up is always an event. It calls `gone`, once, as `fd` is forgotten first; without `gone` it
        calls `act`, so that a reader reaches the end of the file.
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
        """Stop watching descriptors, before they are closed; ignore those that are not watched."""
        for fd in fds:
            if self._watches.pop(fd, None) is not None:
                self._poll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Tell whether `fd` is watched."""
        return fd in self._watches

    def read(self, fd: int) -> bytes:
        """Read available data, at most 64 KiB; b"" is the end, after which `fd` is no longer watched."""
        data = os.read(fd, _CHUNK)
        if not data:
            self.forget(fd)
        return data

    def after(self, seconds: float, act: Act) -> Timer:
        """Call `act` once, `seconds` from now; `math.inf` is never."""
        timer = Timer(time.monotonic() + seconds, act)
        self._timers.add(timer)
        return timer

    def cancel(self, *timers: Timer | None) -> None:
        """Cancel timers; ignore None and those that have expired."""
        self._timers.difference_update(timers)

    def clear(self) -> None:
        """Forget everything."""
        self.forget(*self._watches)
        self._timers.clear()

    def turn(self, until: float | None = None) -> None:
        """Wait for an event, at most until the time `until`, and make all calls that are due."""
        moments = [timer.due for timer in self._timers] + ([] if until is None else [until])
        seconds = min(max(0.0, min(moments, default=math.inf) - time.monotonic()), _LONGEST)
        events = self._poll.poll(seconds * 1000)
        for (fd, event), watch in zip(events, [self._watches[fd] for fd, _ in events], strict=True):
            if self._watches.get(fd) is not watch:
                continue  # forgotten meanwhile, or the number now belongs to another file
            act, gone = watch
            if event & select.POLLNVAL or (gone and event & _GONE):
                self.forget(fd)  # else poll would report it again and again
            (gone if gone and event & _GONE else act)()
        now = time.monotonic()
        for timer in sorted((timer for timer in self._timers if timer.due <= now), key=lambda timer: timer.due):
            if timer in self._timers:
                self._timers.remove(timer)
                timer.act()


class Termination:
    """Send a process the signals that end it: `steps` are seconds after the signal before, and the number.

    If a signal is late, as we were stopped, the next one still waits its full time. `first` is called at the beginning.
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
        """Begin, unless that was done before."""
        if not self._begun:
            self._begun = True
            self._first()
            self._next()

    def cancel(self) -> None:
        """Send no more signals: the process has ended."""
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
    """Within the block, note these signals and make `fd` readable, instead of ending the process.

    They are unblocked, whatever our parent has blocked. A signal of `keep_ignored` that our parent ignored stays
    ignored (nohup). The kernel may deliver a signal to another thread, which interrupts no wait of ours: so the
    descriptor wakes the loop (signal.set_wakeup_fd). Enter it in the main thread.

    A signal may come after the last look at `fd`. So whoever goes on after the block looks at `received` there: it is
    complete then, and what comes later acts as before the block.

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
        # one that comes while its handler is replaced would be lost: Python calls no handler for SIG_DFL
        signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def take(self) -> list[int]:
        """Return the signals since the last call; `received` holds all of them."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, _CHUNK)
        taken, self._taken = self._taken, len(self.received)
        return self.received[taken : self._taken]

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received.append(number)
