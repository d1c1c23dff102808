"""A fleet in a test's world: a target for each way in which one can stand, from states and rows alone, without a run.

made(world)                  # web-good, web-overdue, … with their files, states and past runs
STANDINGS["web-overdue"]     # what each rendering has to say of it
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from borgctl.pull.state import history, state_file
from borgctl.pull.state.history import Run
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName

HOUR = 3600.0
RUN = "0a1b2c3d4e5f6071"  # the client's id of the last good run


class Expected(NamedTuple):
    """How a target stands: its level, its job's state, and what else is true of it."""

    level: int
    state: str
    overdue: bool = False
    failing: bool = False
    suspect: bool = False
    alerts: tuple[str, ...] = ()


STANDINGS = {
    "web-alert": Expected(2, "warning", alerts=("backup-shrunken",)),
    "web-attack": Expected(2, "failing", failing=True, suspect=True, alerts=("rpc-refused",)),
    "web-broken": Expected(2, "invalid"),
    "web-failing": Expected(1, "failing", failing=True),
    "web-good": Expected(0, "ok"),
    "web-never": Expected(2, "never", overdue=True, failing=True),
    "web-new": Expected(1, "new"),
    "web-not-ready": Expected(1, "not-ready"),
    "web-overdue": Expected(2, "overdue", overdue=True),
    "web-paused": Expected(0, "paused"),
}


def made(world) -> None:
    """Make them all; web-good has runs of 1, 2 and 3 MB behind it, and saved 4 MB in its last one."""
    remember(world, "web-alert", good(1, "warning", "backup-shrunken"), alerts=("backup-shrunken",))
    remember(world, "web-attack", good(30), Past(ago(1), "failed", "rpc-refused"), ("rpc-refused",), expect="60d")
    remember(world, "web-failing", good(2), Past(ago(1), "failed", "ssh-failed"))
    remember(world, "web-good", good(2))
    recorded(world, "web-good", 1_000_000, 2_000_000, 3_000_000, 4_000_000)
    remember(world, "web-overdue", good(30))
    recorded(world, "web-overdue", 5_000_000)
    remember(world, "web-paused", good(900), paused="{until: 2999-01-01, reason: moves}")
    remember(world, "web-never", None, Past(ago(1), "timeout", "timeout"))
    os.utime(world.folders.target(TargetName("web-never")), (ago(900), ago(900)))
    world.local([], name="web-new")
    world.target("web-not-ready", host="root@web1", jobs="[default]", expect="26h")
    state_file.save(world.folders, TargetName("web-not-ready"), State(jobs={"default": JobRecord(good(1), good(1))}))
    Path(world.folders.target(TargetName("web-broken"))).write_text("bogus: 1\n")


def ago(hours: float) -> float:
    """Return the time so many hours ago."""
    return time.time() - hours * HOUR


def good(hours: float, outcome: str = "ok", reason: str | None = None) -> Past:
    """Return a good run of so many hours ago."""
    return Past(ago(hours), outcome, reason, run=RUN)


def remember(
    world, name: str, good: Past | None, last: Past | None = None, alerts: tuple[str, ...] = (), **keys: object
) -> None:
    """Make a target of 26h whose job `default` had these runs, and with these alerts."""
    world.local([], name=name, **{"expect": "26h"} | keys)
    last = last or good
    state = State(last=last, jobs={} if last is None else {"default": JobRecord(last, good, "create")})
    for reason in alerts:
        state.alert(reason, f"what {reason} was", ago(1))
    state_file.save(world.folders, TargetName(name), state)


def recorded(world, name: str, *sizes: int, **fields: object) -> None:
    """Record good runs of so many bytes and 10 s each; the last took 30 s and is the one that the state remembers."""
    for number, original in enumerate(sizes, 1):
        last = number == len(sizes)
        run = Run(
            *(name, "run", "default", "create", RUN if last else f"earlier-{number}"),
            begun=ago(2),
            ended=ago(2),
            duration=30.0 if last else 10.0,
            outcome="ok",
            archive=f"{name}-default-{number}",
            files=number,
            original=original,
            compressed=original // 2,
            deduplicated=original // 10,
            put_bytes=original // 8,
        )
        history.append(world.folders, run._replace(**fields), time.time())
