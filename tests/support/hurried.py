"""The real gate, launcher and window with less patience, so that a test sees how they end what does not end by itself.

    python -I hurried.py gate --policy FILE --key SHA256:…          python hurried.py borgpull run web1
    python hurried.py borgctl window -- borg list

Nothing else is different: what is changed here are numbers of seconds, each by its name in the module that uses it.
"""

import sys
from functools import partial
from signal import SIGINT, SIGKILL, SIGTERM

ENDING = ((0.0, SIGINT), (2.0, SIGTERM), (4.0, SIGKILL))  # of borg


def change(module, name, value):
    """Give a constant another value; one that is not there any more is an error, not another name."""
    getattr(module, name)
    setattr(module, name, value)


def gate():
    from borgctl.gate import hooks, run
    from borgctl.gate import main as gate

    change(run, "BORG_ENDING", ENDING)
    change(hooks, "HOOK_ENDING", ((0.0, SIGTERM), (2.0, SIGKILL)))
    change(run, "_SECONDS_AT_A_PIPE", 2.0)
    gate.main()


def borgctl():
    from borgctl.cli import app
    from borgctl.cli.window import borg_process

    change(borg_process, "BORG_ENDING", ENDING)
    app.main()


def borgpull():
    from borgctl.pull import app
    from borgctl.pull.client import ssh
    from borgctl.pull.commands import run_jobs
    from borgctl.pull.process import workdirs

    change(ssh, "ALIVE_INTERVAL", 2)
    change(ssh, "ALIVE_COUNT", 2)
    change(ssh, "PATIENCE", 5)
    change(workdirs, "PATIENCE", 2.0)
    change(
        run_jobs, "Timeouts", partial(run_jobs.Timeouts, end_of_file=2, terminated=2, last_word=3, orphaned=5, guard=2)
    )
    app.main()


if __name__ == "__main__":
    which = sys.argv.pop(1)
    {"gate": gate, "borgctl": borgctl, "borgpull": borgpull}[which]()
