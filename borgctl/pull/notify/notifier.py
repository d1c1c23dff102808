"""Notifier: the process that tells people of runs. The story of `python3 -I -m borgctl.pull.notify`.

It reads what the launcher says, one JSON object a line: its folders, then which runs began and ended, each hour that
some still go on, at last that all have ended. Whom to tell stands in the targets' files, so no secret comes this way.
What went wrong is a line on stdout, and in the target's `told.json`. It ends at most LONGEST seconds after its stdin
did, and no run waits for it.

    {"config": "/etc/borgpull", "state": "/var/lib/borgpull", "credentials": null}
    {"event": "started", "target": "web1"}
    {"event": "ended", "target": "web1", "job": "default", "outcome": "failed", "reason": "ssh-failed", …}
    {"event": "meanwhile", "targets": ["web1", "db1"]}
    {"event": "finished", "targets": ["web1", "db1"]}
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple

from borgctl.errors import BadValue
from borgctl.pull.notify import hook, ping
from borgctl.pull.notify.deliveries import Deliveries
from borgctl.pull.notify.events import Event, unrecorded
from borgctl.pull.notify.messages import body, line
from borgctl.pull.report.outcome import SKIPPED
from borgctl.pull.report.status import standings
from borgctl.pull.report.target_status import Standing
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import telling_of
from borgctl.pull.targets.telling import Telling
from borgctl.wire.frames import DRY_RUN, GOOD

LONGEST = 60.0  # seconds for all that is left once the runs have ended
_MOST_LINES = 100  # on stdout, where nobody may be reading: they fit into a pipe
_NO_RUN = ("target-busy", "target-paused")  # another launcher tells of its run; a person who typed it sees it


class Ended(NamedTuple):
    """A run that has ended, by the launcher's record of it; `text` is its summary."""

    job: str | None
    outcome: str
    origin: str
    reason: str | None
    run: str | None
    text: str
    alerts: list[tuple[str, str]]

    @property
    def good(self) -> bool:
        """Tell whether it went well."""
        return self.outcome in GOOD


class Seen(NamedTuple):
    """A target as it stands, and whom to tell of it."""

    name: TargetName
    telling: Telling
    standing: Standing


class Notifier:
    """What is told in one call of the launcher's."""

    def __init__(self, folders: Folders, deliveries: Deliveries) -> None:
        self._folders, self._deliveries = folders, deliveries
        self._texts: dict[str, dict[str, str]] = {}  # by target and job
        self._failed: set[tuple[str, str | None]] = set()  # targets and jobs, by their last run
        self._seen: dict[str, Seen] = {}

    def take(self, said: dict[str, Any]) -> None:
        """Do what an object of the launcher's asks for."""
        match said:
            case {"event": "started", "target": str(target)}:
                self._failed.discard((target, None))  # a job of it runs
                self._started(TargetName(target))
            case {"event": "ended", "target": str(target), **rest}:
                self._ended(TargetName(target), Ended(**{key: rest[key] for key in Ended._fields}))
            case {"event": "meanwhile" | "finished", "targets": list(targets)}:
                self._look_at_others(targets)

    def _started(self, name: TargetName) -> None:
        address = telling_of(self._folders, name).ping
        if address is not None:
            self._deliveries.ping(name, address, ping.START, "")

    def _ended(self, name: TargetName, ended: Ended) -> None:
        if ended.outcome == SKIPPED or (
            ended.origin == "launcher" and ended.reason in _NO_RUN
        ):  # not by the client's word
            return
        self._texts.setdefault(str(name), {})[ended.job or ""] = ended.text
        if ended.good:
            self._failed.discard((str(name), ended.job))
        else:
            self._failed.add((str(name), ended.job))
        seen = self._look(name, ended)
        if seen is None:
            return
        if seen.telling.on_failure and not ended.good:
            env = hook.environment(str(name), ended.job, ended.outcome, ended.reason, ended.run)
            self._deliveries.hook(name, seen.telling.on_failure, env)
        dry = ended.good and ended.reason == DRY_RUN  # which neither saved anything nor failed
        if seen.telling.ping is not None and not dry:
            failed = any(target == str(name) for target, _ in self._failed)
            good = not failed and not ended.alerts and _calm(seen.standing)
            text = ended.text if good else "\n".join([ended.text, *map(str, seen.standing.lines)])
            self._deliveries.ping(name, seen.telling.ping, ping.SUCCESS if good else ping.FAIL, body(text))

    def _look_at_others(self, targets: list[str]) -> None:
        """Look at the targets that did not run: they may be overdue. Then it may be time for the day's message."""
        for text in targets:
            if text not in self._seen:
                with suppress(BadValue):  # a mistyped word of the command line
                    self._look(TargetName(text))
        self._deliveries.digest([(seen.name, seen.telling, seen.standing) for seen in self._seen.values()], time.time())
        self._seen.clear()

    def _look(self, name: TargetName, ended: Ended | None = None) -> Seen | None:
        """Tell what there is to tell of a target; return what was seen of it, None where nobody is to be told."""
        telling = telling_of(self._folders, name)
        if not telling.names or (ended is None and not telling.notify):
            return None
        standing = next(standings(self._folders, [str(name)], time.time()))
        seen = self._seen[str(name)] = Seen(name, telling, standing)
        if telling.notify:
            reported = _unrecorded(standing, ended) if ended is not None else {}
            texts = self._texts.get(str(name), {})
            self._deliveries.events(name, telling, standing, reported, texts, time.time())
        return seen


def _unrecorded(standing: Standing, ended: Ended) -> dict[str, Event]:
    alerts = [alert for alert in ended.alerts if alert[0] not in standing.state.alerts]
    return unrecorded(standing.target, ended.reason, ended.text, alerts)


def _calm(standing: Standing) -> bool:
    """Tell whether a good run may say that all is well: no other job fails or is overdue, and no alert stands."""
    judged = [row for row in standing.rows if row.state not in ("seen", "paused")]
    failing = [row for row in judged if row.last is not None and row.last.outcome not in GOOD]
    return not standing.state.alerts and not failing and all(row.level < 2 for row in standing.rows)


class _Stdout:
    """Lines for the launcher, which may have gone: a limited number, from several threads."""

    def __init__(self) -> None:
        self._lines, self._lock = 0, threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            self._lines += 1
            if self._lines <= _MOST_LINES:
                try:
                    os.write(1, f"{line(text, 300)}\n".encode("utf-8", "replace"))
                except OSError:
                    self._lines = _MOST_LINES


def main() -> None:
    """Do what the launcher says until it says no more; then wait for what is on its way, and end."""
    stdout = _Stdout()
    first = json.loads(sys.stdin.buffer.readline())
    folders = Folders(first["config"], first["state"], first["credentials"])
    deliveries = Deliveries(folders, stdout.say)
    notifier = Notifier(folders, deliveries)
    for words in sys.stdin.buffer:
        try:
            notifier.take(json.loads(words))
        except BadValue:  # a mistyped word of the command line, and no target
            continue
        except (PullError, OSError) as error:  # as of defaults that have mistakes: then nobody knows whom to tell
            stdout.say(f"nobody was told: {str(error).partition(chr(10))[0]}")
        except Exception as error:  # its words may have a URL in them
            stdout.say(f"nobody was told: a defect of borgpull ({type(error).__name__}): please report it")
    deliveries.finish(time.monotonic() + LONGEST)
    os._exit(0)  # threads that wait for a server are left behind
