"""Tell what borg's exit status means (borg/constants.py, borg/helpers/errors.py; BORG_EXIT_CODES=modern).

0: success. 1 and from 100: done, with warnings. 2 to 99: errors. borg reserves 100 to 127 for warnings, and uses none
above 110. 126 and 127 are not borg's: a shell, env(1) or a child of ours ends so where no borg was started.

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
    """Return the status as a shell reports it: for a signal, 128 plus its number."""
    return 128 - status if status < 0 else status
