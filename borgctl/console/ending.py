"""Ending: how a command ends, also where nobody reads what it says: the disk is full, or a pipe is closed.

Python's own statuses for that are 1 and 120, and typer's is 1, which means warnings. Here a lost output is an OSError,
which the program tells and counts as failed.

    try: status = flushed(lambda: typed(app))
    except OSError as error: …
    end(lambda: complain(error), status)
"""

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO


def typed(app: Callable[[], object]) -> int:
    """Have typer do what the command line says, and return the exit status.

    Raise BrokenPipeError or KeyboardInterrupt, for which typer would end with statuses of its own.
    """
    try:
        app()
    except SystemExit as ending:
        cause = ending.__cause__ or ending.__context__
        while cause is not None:
            if isinstance(cause, BrokenPipeError | KeyboardInterrupt):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        return ending.code if isinstance(ending.code, int) else 2
    return 0


def flushed(act: Callable[[], int]) -> int:
    """Return what `act` returns, once all that it has printed is out; raise OSError where that is lost."""
    status = act()
    if sys.stdout is not None:
        sys.stdout.flush()  # or Python would find at its end that it cannot be written
    return status


def end(tell: Callable[[], object] | None, status: int) -> NoReturn:
    """Tell what went wrong, and exit with the status, also where nobody can be told."""
    if tell is not None:
        with contextlib.suppress(OSError):
            tell()
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            silence(stream)
    gc.freeze()  # else the interpreter looks for garbage on its way out, which takes longer than all else of an end
    sys.exit(status)


def silence(stream: TextIO) -> None:
    """Send further output of a stream that cannot be written to, also its buffer, to /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
