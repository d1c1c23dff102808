"""Fixtures for tests with real programs: they fail, and never skip, where sshd or borg is missing."""

import os
import re
from dataclasses import dataclass

import machines
import pytest
import real_borgs
from kept import Kept


@dataclass(frozen=True, slots=True)
class Borg:
    """A real borg: its path and its version as (1, 4, 5)."""

    path: str
    version: tuple[int, ...]


def _find_borg(kind: str) -> Borg:
    if kind == "borg-1.4":
        path = os.environ.get("BORGCTL_BORG_14") or real_borgs.newest_14()
        missing = "no borg 1.4.5 here: run 'make setup', or name one in BORGCTL_BORG_14"
    else:
        path = os.environ.get("BORGCTL_BORG_12") or "/usr/bin/borg"
        missing = "no borg of the distribution here: 'apt-get install borgbackup', or name one in BORGCTL_BORG_12"
    if not path or not os.access(path, os.X_OK):
        pytest.fail(missing, pytrace=False)
    said = machines.run([path, "--version"]).stdout
    version = re.fullmatch(r"borg (1)\.([24])\.([0-9]+)\S*\n", said)
    if not version:
        pytest.fail(f"{path} says {said!r}: a borg 1.2 or 1.4 is needed; {missing}", pytrace=False)
    return Borg(path, tuple(int(number) for number in version.groups()))


@pytest.fixture(scope="session", params=["borg-1.4", "borg-debian"])
def borg(request):
    """Each of the two real borgs: 1.4.5, and what the distribution has (Debian 12: 1.2.4)."""
    return _find_borg(request.param)


@pytest.fixture(scope="session")
def find_borg():
    """What returns one of the two by its name in the parameters of `borg`."""
    return _find_borg


@pytest.fixture(params=[("borg-1.4", "stdio"), ("borg-debian", "socket")], ids="-".join)
def way(request):
    """Each borg, over one of the transports each: (name, transport). A test of both together asks for all four."""
    return request.param


@pytest.fixture(scope="session")
def one_borg():
    """One real borg, for what does not depend on its version."""
    return _find_borg("borg-1.4")


@pytest.fixture(autouse=True)
def watch():
    """Every end-to-end test fails when a process below it is still there after its fixtures are gone."""
    watch = machines.Watch()
    yield watch
    watch.assert_no_process()


@pytest.fixture
def scratch():
    with machines.scratch() as directory:
        yield directory


@pytest.fixture(scope="session")
def one_sshd():
    """The sshd that tests have in turn; it has to be there before a test begins, or it is told as left running."""
    with machines.scratch() as directory, machines.Sshd(directory / "sshd") as sshd:
        yield sshd


@pytest.fixture
def sshd(one_sshd):
    """A running sshd like a new one; a test fails that leaves a session's process behind for 10 seconds."""
    one_sshd.renew()
    yield one_sshd
    try:
        machines.wait_for(lambda: not one_sshd.sessions(), what=f"the sessions to end; left: {one_sshd.sessions()}")
    finally:
        one_sshd.end_sessions()


@pytest.fixture(scope="session")
def all_kept(one_sshd):
    with machines.scratch() as directory:
        yield Kept(directory, one_sshd)


@pytest.fixture
def kept(all_kept, sshd):
    """What gives machines that were set up for an earlier test, as they were then: kept(make, *words)."""
    return all_kept


@pytest.fixture
def server(scratch):
    return machines.Server(scratch / "server")


@pytest.fixture
def client(scratch, server, borg):
    """A client whose policy names one repository of `server` and the borg under test."""
    return machines.Client(scratch / "client", server.repository, borg=borg.path)


@pytest.fixture
def key(scratch):
    return machines.keypair(scratch)
