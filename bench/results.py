"""What a comparison has measured, as medians, as ratios pair by pair, as text and as JSON.

A ratio is taken within each round, between two steps that were measured minutes apart, and then the median of these.
So what the machine did in another round doesn't matter.

    results = Results("a machine", "random", 20_016, 1_160_000_000)
    results.add("stdio", "first", step)
    print("\n".join(results.table()))
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from measure import SIDES, Step

PHASES = {"first": "first backup", "same": "nothing changed", "changed": "1 % changed", "restore": "restore of all"}
MEMORY = "peak memory, MiB: the largest process of each program, in any phase"
AGAINST = ("local", "push", "push-gcm", "scripts")  # the contenders that the others are divided by, as far as they ran


@dataclass
class Results:
    """The steps by contender and phase, in the order of rounds; memory from a round that does not count."""

    machine: str
    data: str
    files: int
    bytes: int
    steps: dict[str, dict[str, list[Step]]] = field(default_factory=dict)
    memory: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)

    def add(self, contender: str, phase: str, step: Step) -> None:
        """Note a step of a round that counts."""
        self.steps.setdefault(contender, {}).setdefault(phase, []).append(step)

    def add_memory(self, contender: str, phase: str, step: Step) -> None:
        """Note the peaks of memory of a step."""
        self.memory.setdefault(contender, {})[phase] = step.memory

    def wall(self, contender: str, phase: str) -> float:
        """Return the median of a contender's wall seconds."""
        return self._median(contender, phase, lambda step: step.wall)

    def ratio(self, contender: str, other: str, phase: str, value: Callable[[Step], float]) -> float:
        """Return the median of the ratios between two contenders, round by round."""
        pairs = zip(self.steps[contender][phase], self.steps[other][phase], strict=True)
        return median(value(one) / value(two) for one, two in pairs)

    def table(self) -> Iterator[str]:
        """Yield the lines of the tables: one for each phase, and one of memory."""
        yield from self.origin()
        for title, heads, rows in self._phases():
            yield ""
            yield f"{title:<16}" + "".join(f"{head:>14}" for head in heads)
            for contender, *cells in rows:
                yield f"{contender:<16}" + "".join(f"{cell:>14}" for cell in cells)
        if self.memory:
            yield ""
            yield MEMORY
            yield from (f"{contender:<16}{peaks}" for contender, peaks in self._peaks())

    def markdown(self) -> Iterator[str]:
        """Yield the same tables for the documents."""
        for title, heads, rows in self._phases():
            yield ""
            yield f"| {title} | {' | '.join(heads)} |"
            yield "|---|" + "---:|" * len(heads)
            yield from (f"| {' | '.join(row)} |" for row in rows)
        if not self.memory:
            return
        yield ""
        yield f"| {MEMORY} | |"
        yield "|---|---|"
        yield from (f"| {contender} | {peaks} |" for contender, peaks in self._peaks())

    def origin(self) -> Iterator[str]:
        """Yield two lines: on what machine this was measured, and with what data."""
        yield self.machine
        yield f"data: {self.data}, {self.files:,} files, {self.bytes:,} bytes; rounds: {self._rounds()}"

    def json(self) -> str:
        """Return everything as one JSON object; seconds and bytes."""
        plain = {
            contender: {phase: [step._asdict() | {"memory": None} for step in steps] for phase, steps in phases.items()}
            for contender, phases in self.steps.items()
        }
        facts = {"machine": self.machine, "data": self.data, "files": self.files, "bytes": self.bytes}
        return json.dumps(facts | {"steps": plain, "memory": self.memory}, indent=1) + "\n"

    def _phases(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Yield of each phase the title, the heads, and a row for each contender, its name first."""
        against = [name for name in AGAINST if name in self.steps]
        heads = ["wall s", *(f"by {name}" for name in against), *(f"CPU s {side}" for side in SIDES), "wire MB"]
        for phase, title in PHASES.items():
            yield title, heads, [[contender, *self._cells(contender, phase, against)] for contender in self.steps]

    def _cells(self, contender: str, phase: str, against: list[str]) -> Iterator[str]:
        yield f"{self.wall(contender, phase):.2f}"
        for other in against:
            yield f"{self.ratio(contender, other, phase, lambda step: step.wall):.2f}"
        for side in SIDES:
            yield f"{self._median(contender, phase, lambda step, side=side: step.cpu[side]):.2f}"  # type: ignore[misc]
        yield f"{self._median(contender, phase, lambda step: step.wire / 1e6):.1f}"

    def _peaks(self) -> Iterator[tuple[str, str]]:
        """Yield each contender, and the largest peak of each of its programs."""
        for contender, phases in self.memory.items():
            peaks: dict[str, int] = {}
            for seen in phases.values():
                for program, size in seen.items():
                    peaks[program] = max(size, peaks.get(program, 0))
            yield contender, ", ".join(f"{program} {size / (1 << 20):.0f}" for program, size in sorted(peaks.items()))

    def _median(self, contender: str, phase: str, value: Callable[[Step], float]) -> float:
        return median(map(value, self.steps[contender][phase]))

    def _rounds(self) -> int:
        return max((len(steps) for phases in self.steps.values() for steps in phases.values()), default=0)


def read(text: str) -> Results:
    """Return the results that `Results.json` has written."""
    facts = json.loads(text)
    steps = {
        contender: {phase: [Step(**step | {"memory": {}}) for step in steps] for phase, steps in phases.items()}
        for contender, phases in facts.pop("steps").items()
    }
    return Results(**facts, steps=steps)
