"""borgpull: from a command line to an exit status. It has the place where errors become text.

A line of a common form (`common_line`) is done at once. For all others typer is imported (`command_line`), which takes
longer than the rest of a start.

    borgpull --config-dir /etc/borgpull run web1 --job default
"""

import os
import sys

from borgctl import __version__
from borgctl.pull import common_line
from borgctl.pull.common_line import Run, Status, Version


def main() -> None:
    """Run the command line; the one place where errors become text and exit status 2.

    So do errors that nobody foresaw: Python's own status for them is 1, which here means warnings.
    """
    _fill_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    line = common_line.read(sys.argv[1:], os.environ)
    if isinstance(line, Version):
        try:
            print(f"borgpull {__version__}", flush=True)
            sys.exit(0)
        except OSError:  # it is still in the buffer: the flush below fails too, and that is told
            pass
    import signal  # noqa: PLC0415 - from here on what a version does not need

    from borgctl.console.ending import end, flushed  # noqa: PLC0415
    from borgctl.errors import BadValue  # noqa: PLC0415
    from borgctl.pull.commands.output import complain, failure  # noqa: PLC0415
    from borgctl.pull.targets.errors import PullError  # noqa: PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where our starter ignored it, each end of a child's looks good
    wrong: Exception | None = None
    status = 2
    try:
        status = flushed(lambda: _status(line))
    except (PullError, BadValue) as error:
        wrong = error
    except BrokenPipeError:
        pass
    except OSError as error:
        wrong = failure(error)
    except KeyboardInterrupt:
        wrong = PullError("interrupted")
    except Exception:
        import traceback  # noqa: PLC0415 - 10 ms

        wrong = PullError(traceback.format_exc().rstrip())
    end(None if wrong is None else lambda: complain(wrong), status)


def _status(line: Version | Run | Status | None) -> int:
    """Do what the line says, and return the exit status."""
    if line is None:
        from borgctl.console.ending import typed  # noqa: PLC0415
        from borgctl.pull import command_line  # noqa: PLC0415 - typer's lines alone

        return typed(command_line.app)
    if isinstance(line, Version):
        return 0
    from borgctl.pull.targets import owner, paths  # noqa: PLC0415

    folders = paths.choose(line.config_dir, line.state_dir, dict(os.environ))
    if isinstance(line, Status):
        from borgctl.pull.commands.show_status import show_status  # noqa: PLC0415

        return show_status(folders, line.targets, line.all, line.as_json, line.as_nagios)
    owner.require(folders, sys.argv[1:])
    from borgctl.pull.commands.run_jobs import run_jobs  # noqa: PLC0415

    return run_jobs(folders, line)


def _fill_descriptors() -> None:
    """Open /dev/null in the place of a closed stdin, stdout or stderr; else one of our files would get its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
