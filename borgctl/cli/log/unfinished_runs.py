"""Accepted runs without an exit record: at work, or broken off.

runs = UnfinishedRuns(); runs.take(record, sequence); [run for run in runs if run.over]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class UnfinishedRun:
    """An accepted run without an exit record; `over`: it cannot be at work any more."""

    run: str
    sequence: int
    time: str
    owner: tuple[str, str] | None  # policy and repository: only one run has it at a time
    over: bool = False


@dataclass(slots=True)
class UnfinishedRuns:
    """The runs that have not ended, by the records so far."""

    _runs: dict[str, UnfinishedRun] = field(default_factory=dict)

    def __iter__(self) -> Iterator[UnfinishedRun]:
        return iter(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def take(self, record: dict[str, Any], sequence: int) -> None:
        """Take the next record."""
        run = record.get("run")
        if not isinstance(run, str):
            return
        if record.get("type") == "exit":
            self._runs.pop(run, None)
        elif record.get("type") == "accept":
            policy, repository = record.get("policy"), record.get("repository")
            owner = (policy, repository) if isinstance(policy, str) and isinstance(repository, str) else None
            for other in self._runs.values():
                other.over |= owner is not None and other.owner == owner
            self._runs[run] = UnfinishedRun(run, sequence, str(record["time"]), owner)
