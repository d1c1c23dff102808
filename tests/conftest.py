"""What every test shares: where `machines` is found, the marker of tests with real programs, hypothesis's manners."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
REAL = {"borg", "one_borg", "borg_14", "borg_12", "sshd", "repository", "browser"}  # fixtures: real programs

SLOW = (HERE / "proofs", HERE / "unit/test_help.py")  # without other programs, but long or very often the command line

LONGEST = 600  # seconds for one test on a busy machine; what hangs must fail with its name and place, not stall CI

# Tests say `from stage import …`, `from machines import …`.
sys.path.insert(0, str(HERE / "support"))

import real_borgs  # noqa: E402 - lies there

# No example database: a clone stays as it was. A failure prints the line that reproduces it. How long examples take
# says how busy this machine is, and nothing of what they prove.
settings.register_profile(
    "borgctl", database=None, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "borgctl"))


# What is collected stays until the end: to look through it for garbage took nearly half of the time of a collection.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_configure(config):
    # whoever started us with nohup, or in a shell's background: what we start must not inherit what is ignored there
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "e2e: needs a real sshd or a real borg ('make test', not 'make check')")
    config.addinivalue_line("markers", "slow: takes long without either ('make test', not 'make check')")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE / "e2e" in item.path.parents or REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker("e2e")
        if any(item.path.is_relative_to(path) for path in SLOW):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    finally:
        signal.alarm(60)  # for the fixtures to tidy up


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    try:
        return (yield)
    finally:
        signal.alarm(0)


def _too_long(*_):
    pytest.fail(f"not finished after {LONGEST} s")


@pytest.fixture(scope="session")
def borg_14():
    """borg 1.4.5."""
    return real_borgs.find("1.4", "BORGCTL_BORG_14", real_borgs.newest_14())


@pytest.fixture(scope="session")
def borg_12():
    """The borg of Debian 12."""
    return real_borgs.find("1.2", "BORGCTL_BORG_12", "/usr/bin/borg")
