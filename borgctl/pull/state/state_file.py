"""State file: a target's state as one JSON file, which is replaced whole.

    STATE/NAME/state.json      the head of the client's audit log, each job's last and last good run, alerts,
                               which repository it is

Whoever changes it holds the target's lock; a reader sees the old file or the new one. A file that cannot be read is put
aside. That is an alert, and no reason to make no backup.

    state = load(folders, name); save(folders, name, state)
"""

import json
import os
import re
import time
from typing import Any

from borgctl.data_class import asdict
from borgctl.errors import BadValue
from borgctl.fs import atomic, plain_file
from borgctl.pull.client import frame_fields
from borgctl.pull.state.json_values import count, moment, text
from borgctl.pull.state.state import Acceptance, Alert, JobRecord, Past, State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import Head, JobName

LARGEST = 1 << 20  # bytes


def load(folders: Folders, name: TargetName) -> State:
    """Read a target's state: an empty one where there is none, one with an alert where it cannot be read."""
    path = folders.memory(name)
    try:
        return _read(plain_file.read(path, LARGEST))
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, BadValue) as error:
        state = State(lost=True)
        state.alert("state-lost", f"{path} cannot be read: {type(error).__name__}", _changed(path))
        return state


def save(folders: Folders, name: TargetName, state: State) -> None:
    """Write a target's state to disk; keep a file that could not be read as state.json.broken.

    A file that is too large to be read again would be a state that is lost, so the oldest that was accepted goes first.
    """
    path = folders.memory(name)
    atomic.directories(os.path.dirname(path))
    content = asdict(state) | {"version": 1, "head": state.head and str(state.head)}
    del content["lost"]
    aside = f"{os.path.basename(path)}.broken" if state.lost else None
    atomic.replace(path, _written(content), aside=aside)


def _written(content: dict[str, Any]) -> bytes:
    over = len(data := json.dumps(content, indent=1).encode("ascii")) - LARGEST
    accepted = list(content["accepted"])
    if over <= 0 or not accepted:
        return data
    while over > 0 and accepted:
        over -= len(json.dumps(accepted.pop(0)))
    return json.dumps(content | {"accepted": accepted}, indent=1).encode("ascii")


def _changed(path: str) -> float:
    """Return when it was changed, in seconds since the epoch; now where it has just gone."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return time.time()


def _read(data: bytes) -> State:
    whole = json.loads(data.decode("ascii"))
    if whole["version"] != 1:
        raise ValueError
    return State(
        head=None if whole["head"] is None else Head.read(whole["head"]),
        since=None if whole.get("since") is None else moment(whole["since"]),
        last=_past(whole["last"]),
        jobs={str(JobName(name)): _job(job) for name, job in whole["jobs"].items()},
        alerts={text(name): _alert(alert) for name, alert in whole["alerts"].items()},
        accepted=[
            Acceptance(
                moment(entry["time"]), text(entry["by"]), text(entry["reason"]), tuple(map(text, entry["alerts"]))
            )
            for entry in whole["accepted"]
        ],
        config=None if whole.get("config") is None else text(whole["config"]),
        linked=whole.get("linked") is True,
        repository=_id(whole.get("repository")),
        untried_key=whole.get("untried_key") is True,
        contents=None if whole.get("contents") is None else text(whole["contents"]),
    )


def _id(value: object) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", text(value)):
        raise ValueError
    return None if value is None else str(value)


def _past(entry: Any) -> Past | None:  # noqa: ANN401 - JSON
    if entry is None:
        return None
    reason, detail, run = (
        None if (word := entry.get(key)) is None else text(word) for key in ("reason", "detail", "run")
    )
    since = None if entry.get("since") is None else moment(entry["since"])
    return Past(moment(entry["time"]), text(entry["outcome"]), reason, detail, since, run)


def _job(entry: Any) -> JobRecord:  # noqa: ANN401
    last, command = _past(entry["last"]), entry["command"]
    if last is None:
        raise ValueError
    passed = entry.get("passed")
    return JobRecord(
        *(last, _past(entry["good"]), None if command is None else text(command)),
        None if passed is None else {text(name): int(count) for name, count in passed.items()},
        frame_fields.all_counts(*(entry.get("pruned") or (None, None))),
        by_hand if (by_hand := entry.get("by_hand")) in (True, False) else None,
        None if entry.get("files") is None else count(entry["files"]),
    )


def _alert(entry: Any) -> Alert:  # noqa: ANN401
    numbers = (moment(entry["time"]), count(entry["count"]), moment(entry["latest"]))
    return Alert(text(entry["reason"]), text(entry["text"]), *numbers)
