"""`borgctl audit verify`: logs and heads in, what is proved out.

verified(["/var/log/borgctl/audit.jsonl"], []).status == 0
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from borgctl.audit.head_file import HeadFile
from borgctl.cli.log import read
from borgctl.cli.log.verify_chain import Walk
from borgctl.text import printable
from borgctl.values import Head

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found in which files; `counted` are refusals that wait for their alert."""

    files: tuple[str, ...]
    walk: Walk
    counted: int

    @property
    def status(self) -> int:
        """Return the exit status: 0 proved, 1 proved with something odd, 2 not proved."""
        if self.walk.bad:
            return 2
        return 1 if self.walk.findings or self.walk.unchained else 0

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "proved": self.status < 2,
            **self.walk.plain,
            "files": self.files,
            "findings": [dataclasses.asdict(finding) for finding in self.walk.findings],
            "unfinished": [
                {"run": one.run, "sequence": one.sequence, "time": one.time, "over": one.over}
                for one in self.walk.unfinished.values()
            ],
            "counted": self.counted,
        }

    @property
    def lines(self) -> list[str]:
        """Return it for people."""
        return [printable(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        walk = self.walk
        for one in walk.findings:
            yield f"{f'{one.file}:{one.line}: ' if one.file else ''}{one.kind}: {one.text}"
        if walk.more:
            yield f"and {walk.more} findings more"
        for unfinished in walk.unfinished.values():
            if not unfinished.over:
                yield f"run {unfinished.run}, accepted {unfinished.time}, is unfinished: at work, or broken off"
        if walk.unchained:
            yield f"{walk.unchained} lines of before the chain are not proved"
        if self.counted:
            yield f"{self.counted} refusals are counted, and wait for their alert"
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        if walk.head is None:
            yield f"no record in {files}"
        elif walk.bad:
            yield f"NOT PROVED: {walk.records} records in {files}; the first bad one is {self.plain['bad']}"
        else:
            yield f"proved: records {walk.first} to {walk.head.sequence} in {files}"
            yield f"head: {walk.head}"


def verified(chosen: Sequence[str], heads: Sequence[Head]) -> Proof:
    """Prove one log with its older parts, or exactly the files named; raise BadValue where one cannot be read."""
    for _ in range(_ATTEMPTS):
        before = read.snapshot(chosen[0]) if len(chosen) == 1 else None
        tally = read.tally(chosen[0]) if len(chosen) == 1 else HeadFile()
        files = [path for path, _ in before] if before is not None else read.ordered(chosen)
        walk = Walk(tuple(heads))
        for line in read.lines(files):
            walk.take(line)
        walk.end(tally)
        if before is None or before == read.snapshot(chosen[0]):
            break
    return Proof(tuple(files), walk, sum(account.counted for account in tally.accounts.values()))
