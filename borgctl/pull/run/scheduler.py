"""Scheduler: carry out the calls of one launcher side by side, in one event loop, without a thread.

A call is a coroutine. Where it has to wait it awaits `until(something)`, and the others go on meanwhile. What it waits
for has two methods: `finished()`, and `stop()`, which a signal calls.

    complete(launcher, deque([run(launcher, one), run(launcher, another)]))

    report = result(launcher, run_call(launcher, …))          of one call
"""

import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

from borgctl.process.event_loop import EventLoop
from borgctl.pull.run.launcher import Launcher

T = TypeVar("T")
Call = Coroutine["Wait", None, Any]


class Wait(Protocol):
    """What a call waits for."""

    def finished(self) -> bool:
        """Tell whether it need wait no longer; only what happens in the loop, or in another call, changes that."""

    def stop(self) -> None:
        """See to it that it is finished soon, as a signal has come."""


@coroutine
def until(wait: Wait) -> Generator[Wait, None, None]:
    """Let others go on until it is finished."""
    while not wait.finished():
        yield wait


class Delay:
    """A time to wait for; a signal ends it."""

    def __init__(self, loop: EventLoop, seconds: float) -> None:
        self._over = False
        self._loop, self._timer = loop, loop.after(seconds, self.stop)

    def finished(self) -> bool:
        """Tell whether the time has passed."""
        return self._over

    def stop(self) -> None:
        """End it."""
        self._over = True
        self._loop.cancel(self._timer)


class Interval:
    """A time to wait for, as long as others have work; a signal ends it."""

    def __init__(self, loop: EventLoop, seconds: float, others: Callable[[], bool]) -> None:
        self._delay, self._others = Delay(loop, seconds), others

    def finished(self) -> bool:
        """Tell whether the time has passed, or nobody has work any more."""
        return self._delay.finished() or not self._others()

    def stop(self) -> None:
        """End it."""
        self._delay.stop()


class Places:
    """So many calls at once, and one a repository; a call that has to wait for either lets later ones go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: list[str] = []

    def free(self, repository: str) -> "Place":
        """Return what waits for a place."""
        return Place(self._taken, self._most, repository)


class Place:
    """A place for one call: wait until it is finished, then take it, within the block.

    After a signal nobody waits for one, and a call that has none ends.
    """

    def __init__(self, taken: list[str], most: int, repository: str) -> None:
        self._taken, self._most, self._repository = taken, most, repository
        self._stopped = False

    def finished(self) -> bool:
        """Tell whether there is a place, and nobody else works on the repository."""
        return self._stopped or (len(self._taken) < self._most and self._repository not in self._taken)

    def stop(self) -> None:
        """Wait no longer."""
        self._stopped = True

    def __enter__(self) -> None:
        self._taken.append(self._repository)

    def __exit__(self, *_: object) -> None:
        self._taken.remove(self._repository)


def complete(launcher: Launcher, calls: deque[Call]) -> None:
    """Carry out calls until all have ended, also those that one of them adds to `calls`.

    A signal stops what each waits for. What one raises ends them all.
    """
    waits: dict[Call, Wait] = {}

    def stop() -> None:
        for wait in tuple(waits.values()):
            wait.stop()

    def go_on(call: Call) -> None:
        try:
            waits[call] = wait = call.send(None)
        except StopIteration:
            waits.pop(call, None)
        else:
            if launcher.stop.name is not None:
                wait.stop()

    launcher.stop.tell(launcher.loop, stop)
    try:
        while calls or waits:
            while calls:
                go_on(calls.popleft())
            ready = [call for call, wait in waits.items() if wait.finished()]
            for call in ready:
                if waits[call].finished():  # none before it has taken its place
                    go_on(call)
            if waits and not ready:
                launcher.loop.turn(launcher.screen.due())
                launcher.screen.tick(time.monotonic())
    finally:
        for call in (*waits, *calls):
            call.close()


def result(launcher: Launcher, call: Coroutine[Wait, None, T]) -> T:
    """Carry out one call, and return what it returns."""
    results: list[T] = []

    async def kept() -> None:
        results.append(await call)

    complete(launcher, deque([kept()]))
    return results[0]
