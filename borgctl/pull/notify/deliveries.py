"""Deliveries: send each thing its way, and keep what became of it in the target's `told.json`.

A try is written down before it begins. So a second `borgpull` does not tell the same, and one that is killed leaves a
mark. Where nothing can be written, it is told all the same: twice is better than never.

    Deliveries(folders, print).events(name, telling, standing, {}, {}, now)
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from borgctl.data_class import replace
from borgctl.fs.secure_path import InsecurePath
from borgctl.pull.notify import hook, ping, services
from borgctl.pull.notify.events import FAILED, RECOVERED, Event, judge
from borgctl.pull.notify.lanes import Lanes, Way
from borgctl.pull.notify.messages import digest, message
from borgctl.pull.notify.tasks import Command, Letter, Place, Signal
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state import told
from borgctl.pull.state.told import Entry, Told
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.telling import HOOK, Address, Service, Telling, ping_name

GAP = 60.0  # seconds between two messages to one address
PING = 10.0  # seconds for a step of a ping
HOOK_TIME = 30.0  # seconds
DIGEST = "digest"
_LATE = "no answer in time"


class Deliveries:
    """What is on its way; `say` prints a line about what went wrong."""

    def __init__(self, folders: Folders, say: Callable[[str], None]) -> None:
        self._folders, self._say = folders, say
        self._lanes = Lanes()
        self._end = math.inf

    def events(
        self,
        name: TargetName,
        telling: Telling,
        standing: Standing,
        reported: Mapping[str, Event],
        texts: Mapping[str, str],
        now: float,
    ) -> None:
        """Tell each service what is due; `reported` is as for `judge`, `texts` are summaries of this call by job."""
        path, letters = self._folders.told(name), list[tuple[Address, Letter]]()

        def judged(service: Service, memory: Told) -> tuple[dict[str, Entry], dict[str, Event]]:
            return judge(standing, service.kinds, memory.entries.get(service.name, {}), now, reported)

        def claim(memory: Told) -> None:
            memory.forget_others(telling.names)
            for service in telling.notify:
                entries, due = judged(service, memory)
                tried = {key: replace(entries[key], tries=entries[key].tries + 1, tried=now) for key in due}
                memory.entries[service.name] = {**entries, **tried}
                if due:
                    memory.begin(service.name, now)
                    events = tuple(_with_summary(key, event, texts) for key, event in due.items())
                    letters.append((service.address, Letter((Place(name, service.name, tuple(due)),), events)))

        memory = told.load(path)
        if all(judged(one, memory) == (memory.entries.get(one.name, {}), {}) for one in telling.notify):
            return  # as with most targets in most calls: no lock, and nothing is written
        if not self._change(path, claim) and not letters:
            claim(told.load(path))
        for address, letter in letters:
            self._lanes.put(("notify", address), letter, Way(partial(self._send_events, address), GAP))

    def digest(self, targets: Iterable[tuple[TargetName, Telling, Standing]], now: float) -> None:
        """Send the day's message to each address that wants it: one about all targets that it was not sent of today."""
        about: dict[Address, list[tuple[Place, Standing]]] = {}
        for name, telling, standing in targets:
            for service in telling.notify:
                if DIGEST in service.kinds:
                    about.setdefault(service.address, []).append((Place(name, service.name), standing))
        due = self._claim_digests([place for members in about.values() for place, _ in members], now)
        for address, members in about.items():
            places = tuple(place for place, _ in members if place in due)
            if places:
                text = digest([standing for place, standing in members if place in due])
                self._lanes.put((DIGEST, address), Letter(places, (), text), Way(partial(self._send_digest, address)))

    def _claim_digests(self, places: Sequence[Place], now: float) -> set[Place]:
        """Return which of them were not sent the day's message."""
        due: set[Place] = set()

        def claim(memory: Told) -> None:
            for place in places:
                entries = memory.entries.setdefault(str(place.target), {})
                entry = entries.get(place.who, Entry(0.0))
                entry = entry if _day(entry.since) == _day(now) else Entry(now)
                if entry.due(now):
                    entries[place.who] = replace(entry, tries=entry.tries + 1, tried=now)
                    due.add(place)

        if places and not self._change(self._folders.digests, claim) and not due:
            claim(told.load(self._folders.digests))
        return due

    def ping(self, name: TargetName, address: Address, signal: str, text: str) -> None:
        """Ping an address; its pings arrive in their order."""
        task = Signal((Place(name, ping_name(address)),), signal, text)
        self._lanes.put(("ping", address), task, Way(partial(self._send_ping, address)))

    def hook(self, name: TargetName, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Run a hook; those of one target run one after the other. One that is killed before it ends has failed."""
        self._change(self._folders.told(name), partial(Told.begin, who=HOOK, now=time.time()))
        self._lanes.put((HOOK, name), Command((Place(name, HOOK),), argv, env), Way(self._run_hook))

    def finish(self, end: float) -> None:
        """Wait until all is sent, or the time `end` (monotonic); what is not by then has failed."""
        self._end = end
        for task in self._lanes.finish(end):
            self._note(task.places, _LATE)

    def _send_events(self, address: Address, letters: Sequence[Letter]) -> None:
        events = [event for letter in letters for event in letter.events]
        error = services.send(address.reveal(), message(events))
        self._note([place for letter in letters for place in letter.places], error)

    def _send_digest(self, address: Address, letters: Sequence[Letter]) -> None:
        for letter in letters:
            text = letter.message
            if text is None:
                continue
            error = services.send(address.reveal(), text)
            self._note(letter.places if error is None else letter.places[:1], error)
            if error is None:
                self._change(self._folders.digests, partial(_confirm_digests, letter.places, time.time()))

    def _send_ping(self, address: Address, signals: Sequence[Signal]) -> None:
        for one in signals:
            for place in one.places:
                self._change(self._folders.told(place.target), partial(Told.begin, who=place.who, now=time.time()))
            self._note(one.places, ping.send(address.reveal(), one.signal, one.text, PING))

    def _run_hook(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if time.monotonic() + HOOK_TIME > self._end:
                self._note(command.places, "was not started: no time was left")
                continue
            error, lines = hook.run(command.argv, command.env, HOOK_TIME)
            for text in lines:
                self._say(f"{command.places[0].target}: {HOOK}: {text}")
            self._note(command.places, error)

    def _note(self, places: Iterable[Place], error: str | None) -> None:
        """Keep how it ended, and say what went wrong."""
        for place in places:
            self._change(self._folders.told(place.target), partial(_end, place, error, time.time()))
            if error is not None:
                self._say(f"{place.target}: not told: {place.who}: {error}")

    def _change(self, path: str, act: Callable[[Told], None]) -> bool:
        """Change what a file remembers; say so where that does not work."""
        try:
            with told.change(path) as memory:
                act(memory)
        except (OSError, InsecurePath) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._say(f"{path}: what was told cannot be kept, and may be told again: {why}")
            return False
        return True


def _with_summary(key: str, event: Event, texts: Mapping[str, str]) -> Event:
    kind, _, job = key.partition(":")
    return event._replace(text=texts[job]) if kind == FAILED and job in texts else event


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d")


def _confirm_digests(places: Iterable[Place], now: float, memory: Told) -> None:
    """Note that a message was sent; forget those of days before, as of targets that are gone."""
    for place in places:
        entries = memory.entries.get(str(place.target), {})
        if place.who in entries:
            entries[place.who] = replace(entries[place.who], done=True)
    for target, entries in list(memory.entries.items()):
        if all(_day(entry.since) != _day(now) for entry in entries.values()):
            del memory.entries[target]


def _end(place: Place, error: str | None, now: float, memory: Told) -> None:
    memory.end(place.who, error, now)
    entries = memory.entries.get(place.who, {})
    for key in place.keys:
        if error is None and key in entries:
            entries[key] = replace(entries[key], done=True)
            if key.startswith(f"{RECOVERED}:"):
                del entries[key]
