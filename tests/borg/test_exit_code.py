"""The meaning of borg's exit status, compared with borg's own tables."""

import json
import subprocess

import pytest

from borgctl.borg.exit_code import WARNINGS, as_shell, outcome

ASK = """
import json
from borg import constants, helpers
from borg.helpers import errors, classify_ec
def below(kind):
    return [kind, *(more for one in kind.__subclasses__() for more in below(one))]
import borg.archive, borg.archiver, borg.cache, borg.remote, borg.repository
kinds = {"warning": [errors.BorgWarning, errors.BackupError], "error": [errors.Error]}
codes = {name: sorted({kind.exit_mcode for top in tops for kind in below(top)}) for name, tops in kinds.items()}
print(json.dumps({"codes": codes, "classes": [classify_ec(status) for status in range(256)]}))
"""


@pytest.fixture(scope="module")
def told(borg_14):
    """Return what borg says of its exit codes."""
    done = subprocess.run([borg_14.python, "-c", ASK], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_every_code_that_borg_has_is_what_borg_calls_it(told):
    warnings = set(told["codes"]["warning"]) - {2}
    assert {100, 107} < warnings and {outcome(code) for code in warnings} == {"warning"}
    assert {outcome(code) for code in told["codes"]["error"]} == {"failed"}


def test_it_differs_from_borgs_own_classes_in_what_a_shell_says_alone(told):
    """126 and 127 are in the range that borg keeps for warnings, and borg has no such warning."""
    same = {"success": "ok", "warning": "warning", "error": "failed", "signal": "failed"}
    assert [status for status in range(256) if outcome(status) != same[told["classes"][status]]] == [126, 127]
    assert not {126, 127} & set(told["codes"]["warning"])


MEANING = {"ok": (0,), "warning": (1, 100, 125), "failed": (2, 3, 99, 126, 127, 128, 255, -9)}


@pytest.mark.parametrize(("expected", "statuses"), MEANING.items())
def test_what_a_status_means(expected, statuses):
    assert {outcome(status) for status in statuses} == {expected}


def test_a_shell_where_no_borg_is_has_no_warning_for_a_backup():
    done = subprocess.run(["/bin/sh", "-c", "no-borg-here"], capture_output=True, check=False)
    assert (done.returncode, outcome(done.returncode)) == (127, "failed")


def test_a_signal_is_told_as_a_shell_does():
    done = subprocess.run(["/bin/sh", "-c", "sh -c 'kill -9 $$'; echo $?"], capture_output=True, text=True, check=False)
    assert [as_shell(status) for status in (-9, 0, 2)] == [int(done.stdout), 0, 2]
    assert 1 in WARNINGS
