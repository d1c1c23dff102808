"""Lanes: in order on each, side by side on all, and never for ever."""

import threading
import time

from borgctl.pull.notify.lanes import Lanes, Way

PATIENCE = 30.0  # seconds for what must come


def test_tasks_of_a_lane_are_done_in_their_order_one_at_a_time() -> None:
    lanes, done = Lanes(), []
    for number in range(50):
        lanes.put("a", number, Way(lambda tasks: done.append(tuple(tasks))))
    assert lanes.finish(time.monotonic() + PATIENCE) == []
    assert done == [(number,) for number in range(50)]


def test_a_lane_that_hangs_holds_up_no_other_and_what_it_has_is_given_back() -> None:
    lanes, done, hold, begun = Lanes(), [], threading.Event(), threading.Event()

    def hang(tasks) -> None:
        begun.set()
        hold.wait(PATIENCE)

    lanes.put("hangs", 1, Way(hang))
    lanes.put("hangs", 2, Way(hang))
    assert begun.wait(PATIENCE)
    lanes.put("works", 3, Way(done.extend))
    assert lanes.finish(time.monotonic() + 0.2) == [1, 2] and done == [3]
    hold.set()


def test_what_comes_during_a_gap_is_sent_as_one_and_the_end_waits_for_no_gap() -> None:
    lanes, sent, first = Lanes(), [], threading.Event()

    def send(tasks) -> None:
        sent.append(list(tasks))
        first.set()

    lanes.put("a", 1, Way(send, gap=PATIENCE * 10))
    assert first.wait(PATIENCE)
    for number in (2, 3, 4):
        lanes.put("a", number, Way(send, gap=PATIENCE * 10))
    assert lanes.finish(time.monotonic() + PATIENCE) == []
    assert sent == [[1], [2, 3, 4]]


def test_a_lane_that_has_rested_works_again() -> None:
    lanes, done = Lanes(), []
    lanes.put("a", 1, Way(done.extend))
    assert lanes.finish(time.monotonic() + PATIENCE) == []
    lanes.put("a", 2, Way(done.extend))
    assert lanes.finish(time.monotonic() + PATIENCE) == [] and done == [1, 2]
