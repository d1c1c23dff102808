"""borgpull without the guard, so that the benchmark can tell what the guard costs. Not installed, and of no other use.

It is the launcher of this checkout with one thing changed: `borg serve` reads the client's bytes itself. In the guard's
place a shell reports at once that all went well, as nobody looks.
"""

import json
import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from borgctl.pull import app
from borgctl.pull.process import pipes
from borgctl.pull.repository import guard_process
from borgctl.pull.repository.guard_process import Passed

_REPORT = json.dumps({"event": "end"} | asdict(Passed(puts=1, commits=1, manifests=1, committed_manifests=1, keys=1)))


def _start(starts: pipes.Starts, source: int, sink: int, undo: ExitStack) -> pipes.Ours:
    """Start serve on the client's own descriptor, and the report."""
    serve = starts.serve(source, sink)
    undo.callback(serve.close)
    reader, writer = os.pipe()
    try:
        report = starts.guard(reader, writer)
    finally:
        os.close(reader)
        os.close(writer)
    undo.callback(report.close)
    return pipes.Ours(report, serve)


def _report(*_: Any) -> list[str]:  # noqa: ANN401
    return ["/bin/sh", "-c", 'printf "%s\\n" "$1" >&2', "sh", _REPORT]


if __name__ == "__main__":
    pipes._start = _start
    guard_process.argv = _report
    app.main()
