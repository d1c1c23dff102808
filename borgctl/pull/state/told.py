"""Told: what was told, and to whom, so that each thing is told once; and what could not be told.

    STATE/NAME/told.json      of one target: entries by service, then by event
    STATE/digests             the day's messages: entries by target, then by service
    *.lock beside each

Services have names here (`Service.name`), never URLs. A file that cannot be read is replaced: then things are told once
more, which is better than never. Readers take no lock.

    with change(folders.told(name)) as told: told.entries["notify 1 (json://…)"] = entries
    load(folders.told(name)).failures
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from borgctl.data_class import asdict, dataclass, field
from borgctl.fs import atomic, plain_file
from borgctl.fs.locked_file import locked
from borgctl.pull.state.json_values import count, moment, text

MOST_TRIES = 5  # of one message, each in a call of its own
UNDERWAY = 120.0  # seconds after the begin of a try, in which another call does not try, and nobody calls it failed
_LARGEST = 4 << 20  # bytes
_threads = threading.Lock()  # lockf(3) does not keep threads of one process apart


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a service is to be told, since `since`; the last of its `tries` began at `tried`."""

    since: float
    tries: int = 0
    tried: float = 0.0
    done: bool = False

    def due(self, now: float) -> bool:
        """Tell whether to try now; a time in the future, by a clock that was set back, is no try that goes on."""
        return not self.done and self.tries < MOST_TRIES and abs(now - self.tried) >= UNDERWAY


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to tell somebody that has failed, `count` times since `since`; without a text the last try may go on."""

    since: float
    latest: float
    count: int
    text: str

    def stands(self, now: float) -> bool:
        """Tell whether the last try has failed, or broke off as its process was killed."""
        return bool(self.text) or abs(now - self.latest) >= UNDERWAY


@dataclass(slots=True)
class Told:
    """What one file remembers: entries, and failures by who could not be told."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def begin(self, who: str, now: float) -> None:
        """Note that somebody is told now: if this process is killed, that has failed."""
        before = self.failures.get(who, Failure(now, now, 0, ""))
        self.failures[who] = Failure(before.since, now, before.count, "")

    def end(self, who: str, error: str | None, now: float) -> None:
        """Note how that ended: `error` is None where it went well."""
        before = self.failures.pop(who, None)
        if error is not None:
            since, count = (now, 0) if before is None else (before.since, before.count)
            self.failures[who] = Failure(since, now, count + 1, error)

    def forget_others(self, names: tuple[str, ...]) -> None:
        """Forget everybody whom the target's file does not name any more."""
        for part in (self.entries, self.failures):
            for name in [name for name in part if name not in names]:
                del part[name]


def load(path: str) -> Told:
    """Read what was told; nothing where there is no such file, or none that can be read."""
    try:
        return _read(plain_file.read(path, _LARGEST))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Told()


@contextmanager
def change(path: str) -> Iterator[Told]:
    """Give what was told, and write it when the block ends, under a lock; raise OSError or InsecurePath."""
    directory, file = os.path.split(path)
    atomic.directories(directory)
    with _threads:
        above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with locked(above, f"{file}.lock"):
                told = load(path)
                before = asdict(told)
                yield told
                if asdict(told) != before:
                    atomic.replace(path, json.dumps(asdict(told) | {"version": 1}, indent=1).encode("ascii"))
        finally:
            os.close(above)


def _read(data: bytes) -> Told:
    whole = json.loads(data.decode("ascii"))
    if whole["version"] != 1:
        raise ValueError
    return Told(
        entries={
            text(who): {text(key): _entry(entry) for key, entry in entries.items()}
            for who, entries in whole["entries"].items()
        },
        failures={text(who): _failure(failure) for who, failure in whole["failures"].items()},
    )


def _entry(entry: Any) -> Entry:  # noqa: ANN401 - JSON
    return Entry(moment(entry["since"]), count(entry["tries"]), moment(entry["tried"]), entry["done"] is True)


def _failure(entry: Any) -> Failure:  # noqa: ANN401
    return Failure(moment(entry["since"]), moment(entry["latest"]), count(entry["count"]), text(entry["text"]))
