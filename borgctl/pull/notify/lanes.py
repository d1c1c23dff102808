"""Lanes: what is to be sent, one after the other to each address, and to all addresses side by side.

A lane is a key, as an address. Its tasks are done in their order, one at a time. Where its way of sending can join
tasks, those that came meanwhile are sent as one. An address that hangs keeps up its own lane and nothing else. It does
not know what is sent.

    lanes = Lanes()
    lanes.put(address, task, Way(send, gap=60.0))
    lanes.finish(end)                                  the tasks that were not done by then
"""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

MOST = 32  # lanes at work at a time


class Way(NamedTuple):
    """How a lane sends: `send` takes the next task, or with a `gap` all that wait.

    After each sending a lane with a gap waits for so many seconds, so that a fleet that fails is few messages. `send`
    raises nothing.
    """

    send: Callable[[Sequence[Any]], None]
    gap: float = 0.0


class _Lane:
    def __init__(self, way: Way) -> None:
        self.way = way
        self.waiting: list[Any] = []
        self.sending: list[Any] = []
        self.active = False


class Lanes:
    """The lanes, their threads, and what is in them."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane] = {}
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        self._turns = threading.Semaphore(MOST)

    def put(self, key: Hashable, task: object, way: Way) -> None:
        """Add a task to a lane; the first one decides how that sends."""
        with self._changed:
            lane = self._lanes.setdefault(key, _Lane(way))
            lane.waiting.append(task)
            if not lane.active:
                lane.active = True
                threading.Thread(target=self._work, args=(lane,), daemon=True).start()

    def finish(self, end: float) -> list[Any]:
        """Wait for no gap any more, and until all is sent or the time `end` (monotonic); return what was not."""
        self._hurry.set()
        with self._changed:
            while any(lane.active for lane in self._lanes.values()) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return [task for lane in self._lanes.values() for task in (*lane.sending, *lane.waiting)]

    def _work(self, lane: _Lane) -> None:
        while self._take(lane):
            with self._turns:
                lane.way.send(lane.sending)
            with self._changed:
                lane.sending = []
            self._hurry.wait(lane.way.gap)

    def _take(self, lane: _Lane) -> bool:
        """Take what is to be sent next; False where that is nothing, and the lane rests."""
        with self._changed:
            number = len(lane.waiting) if lane.way.gap else 1
            lane.sending, lane.waiting = lane.waiting[:number], lane.waiting[number:]
            lane.active = bool(lane.sending)
            if not lane.active:
                self._changed.notify_all()
            return lane.active
