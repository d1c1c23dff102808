"""`borgctl audit show --run ID --files`: the files that borg warned of in one run, from the list beside the log.

warned_in("/var/log/borgctl/audit.jsonl", "3f2a", records)
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from borgctl.audit import rotation
from borgctl.audit.warned_files import MOST_RUNS, place
from borgctl.borg.warning_kinds import KINDS
from borgctl.errors import BadValue
from borgctl.text import printable


@dataclass(frozen=True, slots=True)
class Warned:
    """The warnings of one run; `left_out` is how many more there were than the list had room for."""

    run: str
    warnings: tuple[dict[str, str], ...]
    left_out: int

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"run": self.run, "warnings": list(self.warnings), "left_out": self.left_out}

    @property
    def lines(self) -> list[str]:
        """Return it for people."""
        lines = [f"{printable(warning['kind']):10}  {printable(warning['text'])}" for warning in self.warnings]
        return [*lines, *([f"and {self.left_out} more, for which the list had no room"] if self.left_out else [])]


def warned_in(log: str, begins: str, records: Iterable[dict[str, Any]]) -> Warned:
    """Return the warnings of the run whose id begins with `begins`; `records` are those of the log."""
    exits = [record for record in records if record.get("type") == "exit" and _is(record, begins)]
    runs = {str(record["run"]) for record in exits}
    if len(runs) != 1:
        which = "no run in this log has" if not runs else f"{len(runs)} runs have"
        raise BadValue(f"{which} an id that begins with {begins[:40]!r}: name one run with --run")
    (run,), total = runs, sum(counts(exits[-1]).values())
    if not total:
        raise BadValue(f"borg warned of no file in run {run!r}")
    warnings = _read(f"{place(os.path.abspath(log))}/{os.path.basename(run)}")
    return Warned(run, warnings, max(0, total - len(warnings)))


def counts(record: dict[str, Any]) -> dict[str, int]:
    """Return a record's counts of warnings by kind, as far as they have the types that the gate gives them."""
    numbers = record.get("warnings")
    if not isinstance(numbers, dict):
        return {}
    return {kind: numbers[kind] for kind in KINDS if type(numbers.get(kind)) is int}


def _is(record: dict[str, Any], begins: str) -> bool:
    return str(record.get("run", "")).startswith(begins)


def _read(path: str) -> tuple[dict[str, str], ...]:
    try:
        with rotation.reading(None, path) as fd:
            lines = [json.loads(line) for line in rotation.forwards(fd, packed=False)]
    except FileNotFoundError:
        raise BadValue(f"no list {path!r}: only those of the last {MOST_RUNS} runs with warnings are kept") from None
    except OSError as error:
        raise BadValue(f"cannot read {path!r}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BadValue(f"{path!r} holds lines that no gate has written") from None
    warnings = [line for line in lines if isinstance(line, dict)]
    return tuple({name: str(warning.get(name)) for name in ("kind", "text")} for warning in warnings)
