"""`borgctl audit verify`: logs and heads in, a proof out.

verify(["/var/log/borgctl/audit.jsonl"], []).status == 0
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from borgctl.audit.head_file import HeadFile
from borgctl.cli.log import read
from borgctl.cli.log.verify_chain import ChainCheck
from borgctl.text import printable
from borgctl.values import Head

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a check of these files; `counted` are refusals that wait for their alert."""

    files: tuple[str, ...]
    check: ChainCheck
    counted: int

    @property
    def status(self) -> int:
        """Return the exit status: 0 proved, 1 proved with something odd, 2 not proved."""
        if self.check.bad:
            return 2
        return 1 if self.check.findings or self.check.unchained else 0

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "proved": self.status < 2,
            **self.check.plain,
            "files": self.files,
            "findings": [dataclasses.asdict(finding) for finding in self.check.findings],
            "unfinished": [
                {"run": run.run, "sequence": run.sequence, "time": run.time, "over": run.over}
                for run in self.check.unfinished
            ],
            "counted": self.counted,
        }

    @property
    def lines(self) -> list[str]:
        """Return it for people."""
        return [printable(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        check = self.check
        for finding in check.findings:
            place = f"{finding.file}:{finding.line}: " if finding.file else ""
            yield f"{place}{finding.kind}: {finding.text}"
        if check.more:
            yield f"and {check.more} more findings"
        for run in check.unfinished:
            if not run.over:
                yield f"run {run.run}, accepted {run.time}, is unfinished: at work, or broken off"
        if check.unchained:
            yield f"{check.unchained} lines from before the chain are not proved"
        if self.counted:
            yield f"{self.counted} refusals are counted, and not yet in an alert"
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        if check.head is None:
            yield f"no record in {files}"
        elif check.bad:
            yield f"NOT PROVED: {check.records} records in {files}; the first bad one is {self.plain['bad']}"
        else:
            yield f"proved: records {check.first} to {check.head.sequence} in {files}"
            yield f"head: {check.head}"


def verify(chosen: Sequence[str], heads: Sequence[Head]) -> Proof:
    """Prove one log with its older parts, or exactly the files named; raise BadValue where one cannot be read."""
    for _ in range(_ATTEMPTS):
        before = read.snapshot(chosen[0]) if len(chosen) == 1 else None
        head_file = read.head_file(chosen[0]) if len(chosen) == 1 else HeadFile()
        files = [path for path, _ in before] if before is not None else read.ordered(chosen)
        check = ChainCheck(tuple(heads))
        for line in read.lines(files):
            check.take(line)
        check.end(head_file)
        if before is None or before == read.snapshot(chosen[0]):
            break
    return Proof(tuple(files), check, sum(account.counted for account in head_file.accounts.values()))
