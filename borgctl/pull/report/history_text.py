"""History text: write past runs, for people as the rows of a table, and for programs.

print(HEAD)
for run in runs: print(row(run))
"""

from typing import Any

from borgctl.console.text import elapsed
from borgctl.pull.report.trends import SHRUNKEN, SLOW
from borgctl.pull.state.history import ACCEPTED, NOT, Run
from borgctl.text import iso, printable_excerpt, size

_NONE = "-"


def row(run: Run) -> str:
    """Write one row; what is not known is a dash."""
    title = f"{run.target} {run.job or ('' if run.kind == 'run' else run.kind)}".rstrip()
    took = _NONE if run.duration is None else elapsed(run.duration)
    sizes = (_NONE if count is None else size(count) for count in (run.original, run.deduplicated, run.put_bytes))
    accepted = "accepted" if ACCEPTED in (run.shrunken, run.slow) else None
    files = _NONE if run.files is None else str(run.files)
    notes = ", ".join(note for note in (run.reason, accepted, run.archive) if note)
    return _line(iso(run.begun), title, run.outcome, files, *sizes, took, notes)


def _line(begun: str, title: str, outcome: str, *cells: str) -> str:
    files, original, new, put, took, notes = cells
    numbers = f"{files:>9}  {original:>9}  {new:>9}  {put:>9}  {took:>12}"
    return printable_excerpt(f"{begun:25}  {title:20}  {outcome:8}  {numbers}  {notes}").rstrip()


HEAD = _line("begun", "target and job", "outcome", "files", "original", "new", "put", "took", "reason, archive")


def plain(run: Run) -> dict[str, Any]:
    """Return a run for JSON: times as ISO 8601, sizes in bytes, the duration in seconds, and the alerts."""
    alerts = [
        {"reason": reason, "accepted": state == ACCEPTED}
        for reason, state in ((SHRUNKEN, run.shrunken), (SLOW, run.slow))
        if state != NOT
    ]
    fields = {name: value for name, value in run._asdict().items() if name not in ("shrunken", "slow")}
    ended = None if run.ended is None else iso(run.ended)
    duration = None if run.duration is None else round(run.duration, 3)
    return fields | {"begun": iso(run.begun), "ended": ended, "duration": duration, "alerts": alerts}
