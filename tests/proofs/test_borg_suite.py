"""borg's own tests of remote repositories, behind the guard: only those fail that do what the guard forbids.

`borg_suite.yaml` names each of them with the method and the rule of the refusal. One that fails for another reason, or
passes though it is named, fails this proof; and without the guard they all pass.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
RUNNER = HERE / "borg_suite.py"
CASES = {
    "repository.py": ("RemoteRepositoryTestCase", "RemoteLegacyFree", "RemoteRepositoryCheckTestCase"),
    "archiver.py": ("RemoteArchiverTestCase",),
}
FEW = (
    *("RemoteRepositoryTestCase::test_consistency", "RemoteRepositoryTestCase::test_list"),
    *("RemoteArchiverTestCase::test_break_lock", "RemoteArchiverTestCase::test_rename"),
    *("RemoteArchiverTestCase::test_change_passphrase", "RemoteArchiverTestCase::test_unusual_filenames"),
    "RemoteRepositoryCheckTestCase::test_repair_no_commits",
)
PATIENCE = 3_000  # seconds


@pytest.fixture
def suite(borg_14, tmp_path):
    """What runs tests of borg's, by their names or all, and returns what its runner reports."""
    code = "import borg.testsuite as suite; print(suite.__path__[0])"
    found = subprocess.run([borg_14.python, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    path = f"{Path(borg_14.python).parent}:/usr/bin:/bin"  # one test asks for python3
    env = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8", "TMPDIR": str(tmp_path)}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(names=None, guard=sys.executable):
        wanted = [
            f"{found.stdout.strip()}/{file}::{case}{test}"
            for file, cases in CASES.items()
            for case in cases
            for test in (
                [""] if names is None else [name[len(case) :] for name in names if name.startswith(f"{case}:")]
            )
        ]
        report = tmp_path / "report"
        words = [RUNNER, sysconfig.get_path("purelib"), guard, report, "-c", "/dev/null", "--tb=short"]
        argv = [borg_14.python, *words, "--basetemp", tmp_path / "base", *wanted]
        done = subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(report.read_text())

    return run


def table():
    """Return the tests that do what the guard forbids: the refusal of each, by its name."""
    rows = yaml.safe_load((HERE / "borg_suite.yaml").read_text())
    named = {name: refusal for refusal, names in rows.items() for name in names}
    assert len(named) == sum(map(len, rows.values()))
    return named


def test_borgs_own_tests_pass_behind_the_guard_but_for_those_that_do_what_it_forbids(proof, suite):
    tests = suite(proof.size(FEW, None))
    assert proof.full or tests.keys() == set(FEW)
    failed = {name: set(test["refused"]) for name, test in tests.items() if test["outcome"] == "failed"}
    named = {name: {refusal} for name, refusal in table().items() if name in tests or proof.full}
    assert failed == named
    skipped = sum(test["outcome"] == "skipped" for test in tests.values())
    proof.say("borg's own tests", passed=len(tests) - len(failed) - skipped, forbidden=len(failed), skipped=skipped)


def test_those_that_do_what_the_guard_forbids_pass_without_it(proof, suite):
    named = sorted(table())
    tests = suite(proof.size([name for name in named if name in FEW], named), guard="-")
    assert tests
    assert [name for name, test in tests.items() if test["outcome"] != "passed"] == []
