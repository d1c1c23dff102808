"""State file: a target's state as one JSON file, which is replaced whole.

    STATE/NAME/state.json      the head of the client's audit log, each job's last and last good run, alerts,
                               which repository it is

Whoever changes it holds the target's lock; a reader sees the old file or the new one. A file that cannot be read is put
aside. That is an alert, and no reason to make no backup.

    state = load(folders, name); save(folders, name, state)
"""

import dataclasses
import json
import os
import re
from typing import Any

from borgctl.errors import BadValue
from borgctl.pull import atomic
from borgctl.pull.client import frame_fields
from borgctl.pull.state.state import Acceptance, Alert, Job, Past, State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import Head, JobName

LARGEST = 1 << 20  # bytes


def load(folders: Folders, name: TargetName) -> State:
    """Read a target's state; an empty one where there is none, and one with an alert where it cannot be read."""
    path = folders.memory(name)
    try:
        with open(path, "rb") as file:
            return _read(file.read(LARGEST + 1))
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, BadValue) as error:
        state = State(lost=True)
        state.alert("state-lost", f"{path} cannot be read: {type(error).__name__}", os.path.getmtime(path))
        return state


def save(folders: Folders, name: TargetName, state: State) -> None:
    """Write a target's state, on disk when this returns; one that could not be read is kept as state.json.broken."""
    path = folders.memory(name)
    atomic.directories(os.path.dirname(path))
    told = dataclasses.asdict(state) | {"version": 1, "head": state.head and str(state.head)}
    del told["lost"]
    aside = f"{path}.broken" if state.lost else None
    atomic.write(path, json.dumps(told, indent=1).encode("ascii"), aside=aside)


def _read(data: bytes) -> State:
    told = json.loads(data.decode("ascii"))
    if told["version"] != 1:
        raise ValueError
    return State(
        head=None if told["head"] is None else Head.read(told["head"]),
        since=None if told.get("since") is None else _number(told["since"]),
        last=_past(told["last"]),
        jobs={str(JobName(name)): _job(job) for name, job in told["jobs"].items()},
        alerts={_text(name): _alert(alert) for name, alert in told["alerts"].items()},
        accepted=[
            Acceptance(_number(one["time"]), _text(one["by"]), _text(one["reason"]), tuple(map(_text, one["alerts"])))
            for one in told["accepted"]
        ],
        config=None if told.get("config") is None else _text(told["config"]),
        linked=told.get("linked") is True,
        repository=_id(told.get("repository")),
        untried_key=told.get("untried_key") is True,
        contents=None if told.get("contents") is None else _text(told["contents"]),
    )


def _id(value: object) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", _text(value)):
        raise ValueError
    return None if value is None else str(value)


def _past(told: Any) -> Past | None:  # noqa: ANN401 - JSON
    if told is None:
        return None
    reason, detail, run = (
        None if (word := told.get(key)) is None else _text(word) for key in ("reason", "detail", "run")
    )
    since = None if told.get("since") is None else _number(told["since"])
    return Past(_number(told["time"]), _text(told["outcome"]), reason, detail, since, run)


def _job(told: Any) -> Job:  # noqa: ANN401
    last, command = _past(told["last"]), told["command"]
    if last is None:
        raise ValueError
    passed = told.get("passed")
    return Job(
        *(last, _past(told["good"]), None if command is None else _text(command)),
        None if passed is None else {_text(name): int(count) for name, count in passed.items()},
        frame_fields.all_counts(*(told.get("pruned") or (None, None))),
        by_hand if (by_hand := told.get("by_hand")) in (True, False) else None,
        None if told.get("files") is None else int(_number(told["files"])),
    )


def _alert(told: Any) -> Alert:  # noqa: ANN401
    numbers = (_number(told["time"]), int(_number(told["count"])), _number(told["latest"]))
    return Alert(_text(told["reason"]), _text(told["text"]), *numbers)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
