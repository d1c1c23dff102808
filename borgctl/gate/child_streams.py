"""A child whose stdout and stderr are pipes of the gate's, and where each pipe's lines go.

child, streams = start(output, "hook", ["/usr/bin/pg_dump"], env, lambda stream: None)
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence

from borgctl.data_class import dataclass
from borgctl.gate.output import Lines, Output
from borgctl.process import spawn
from borgctl.process.spawn import Child

_UNCONFINED = spawn.Confinement()


@dataclass(frozen=True, slots=True)
class Stream:
    """A pipe from a child: our end and where its lines go."""

    fd: int
    lines: Lines


def start(
    output: Output,
    source: str,
    words: Sequence[str],
    env: Mapping[str, str],
    disclose: Callable[[str], Callable[[str], str | None] | None],
    fds: Mapping[int, int] | None = None,
    confinement: spawn.Confinement = _UNCONFINED,
    sought: re.Pattern[str] | None = None,
) -> tuple[Child, list[Stream]]:
    """Start a child whose stdout and stderr are pipes of ours; `disclose` says by a stream's name what may pass."""
    pipes = {number: os.pipe2(os.O_CLOEXEC) for number in (1, 2)}
    try:
        given = {**(fds or {}), **{n: ends[1] for n, ends in pipes.items()}}
        child = spawn.spawn(words, env, given, confinement.apply, confinement.kinds)
    except OSError:
        for read_end, _ in pipes.values():
            os.close(read_end)
        raise
    finally:
        for _, write_end in pipes.values():
            os.close(write_end)
    names = {1: "stdout", 2: "stderr"}
    return child, [
        Stream(read_end, Lines(output, source, names[n], disclose(names[n]), sought))
        for n, (read_end, _) in pipes.items()
    ]
