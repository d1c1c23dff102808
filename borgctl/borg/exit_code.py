"""borg's exit status, and what it means (borg/constants.py, borg/helpers/errors.py; BORG_EXIT_CODES=modern).

0: good. 1 and from 100: done, with warnings. 2 to 99: errors. borg keeps 100 to 127 for warnings, and uses none above
110. 126 and 127 are no borg's: so a shell, env(1) or a child of ours ends where no borg was started.

outcome(100) == "warning"        outcome(-9) == "failed"        as_shell(-9) == 137
"""

SUCCESS = 0
WARNINGS = frozenset((1, *range(100, 126)))


def outcome(status: int) -> str:
    """Return 'ok', 'warning' or 'failed' for an exit status, or for minus the number of the signal that ended borg."""
    if status == SUCCESS:
        return "ok"
    return "warning" if status in WARNINGS else "failed"


def as_shell(status: int) -> int:
    """Return the status as a shell tells it, also where a signal ended the program: 128 and the signal's number."""
    return 128 - status if status < 0 else status
