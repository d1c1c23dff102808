"""What was told: kept whole, shared by two calls, and lost without harm."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from borgctl.pull.state import told
from borgctl.pull.state.told import MOST_TRIES, UNDERWAY, Entry, Failure, Told
from borgctl.pull.targets.paths import Folders, TargetName

NAME = TargetName("web1")
WHO = "notify 1 (json://…)"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(str(tmp_path / "config"), str(tmp_path / "state"))


def test_what_is_written_is_read_again(folders) -> None:
    with told.change(folders.told(NAME)) as memory:
        memory.entries[WHO] = {"failed:default": Entry(1.5, 2, 3.5, True)}
        memory.failures["on_failure"] = Failure(1.0, 2.0, 3, "ended with status 1")
    assert told.load(folders.told(NAME)) == Told(
        {WHO: {"failed:default": Entry(1.5, 2, 3.5, True)}},
        {"on_failure": Failure(1.0, 2.0, 3, "ended with status 1")},
    )
    path = Path(folders.told(NAME))
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_has_not_changed_is_not_written(folders) -> None:
    with told.change(folders.told(NAME)):
        pass
    assert not os.path.exists(folders.told(NAME))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"[]", b"{}", b'{"version": 2}', b"[" * 100_000, b'{"version": 1, "entries": []}'),
        json.dumps({"version": 1, "entries": {"a": {"b": {"since": -1}}}, "failures": {}}).encode(),
        json.dumps({"version": 1, "entries": {}, "failures": {"a": {"since": 1e300}}}).encode(),
    ],
    ids=range(9),
)
def test_a_file_that_cannot_be_read_is_nothing_told_and_is_replaced(folders, content) -> None:
    path = Path(folders.told(NAME))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert told.load(folders.told(NAME)) == Told()
    with told.change(folders.told(NAME)) as memory:
        memory.entries[WHO] = {"a": Entry(1.0)}
    assert told.load(folders.told(NAME)).entries == {WHO: {"a": Entry(1.0)}}


def test_changes_from_many_threads_are_all_kept(folders) -> None:
    def add(number: int) -> None:
        with told.change(folders.told(NAME)) as memory:
            memory.entries[str(number)] = {}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert len(told.load(folders.told(NAME)).entries) == 12


def test_a_failure_counts_and_goes_once_it_works(folders) -> None:
    memory = Told()
    memory.begin(WHO, 100.0)
    assert not memory.failures[WHO].stands(100.0) and memory.failures[WHO].stands(100.0 + UNDERWAY), "it was killed"
    memory.end(WHO, "refused", 101.0)
    memory.begin(WHO, 200.0)
    memory.end(WHO, "refused", 201.0)
    assert memory.failures[WHO] == Failure(100.0, 201.0, 2, "refused") and memory.failures[WHO].stands(201.0)
    memory.end(WHO, None, 300.0)
    assert memory.failures == {}


def test_an_entry_is_tried_again_later_and_not_for_ever_whatever_the_clock_does() -> None:
    entry = Entry(0.0)
    assert entry.due(1000.0)
    assert not Entry(0.0, 1, 1000.0).due(1000.0 + UNDERWAY - 1) and Entry(0.0, 1, 1000.0).due(1000.0 + UNDERWAY)
    assert Entry(0.0, 1, 9e9).due(1000.0), "the clock was years ahead, and was set back"
    assert not Entry(0.0, MOST_TRIES, 0.0).due(1000.0) and not Entry(0.0, 1, 0.0, True).due(1000.0)


def test_who_is_no_longer_named_is_forgotten() -> None:
    memory = Told({WHO: {}, "x": {}}, {"x": Failure(0.0, 0.0, 1, "y"), WHO: Failure(0.0, 0.0, 1, "y")})
    memory.forget_others((WHO,))
    assert (list(memory.entries), list(memory.failures)) == ([WHO], [WHO])
