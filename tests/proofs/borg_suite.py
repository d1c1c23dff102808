"""borg's own tests of remote repositories, each `borg serve` of theirs behind the guard in the widest kind of session.

    BORG-PYTHON borg_suite.py SITE-PACKAGES GUARD-PYTHON REPORT [pytest's words]

Runs in borg's own interpreter, which has no pytest: that of SITE-PACKAGES comes last in its path. GUARD-PYTHON runs the
guard ("-" for none). REPORT gets a JSON object: each test's outcome and what the guard refused in it, as "method rule".

Where a test begins a repository at a vacant path its session is `init`, else `window-delete`. Two things are changed in
the tests, because no borg command does so: they open without a lock_wait, and they go on in the session that began the
repository; they get a lock_wait, and a second session. A borg that a test starts as a process has its serve without
the guard.
"""

import json
import os
import subprocess
import sys
import tempfile

SITE, GUARD, REPORT, *WORDS = sys.argv[1:]
PLENTY = ("--quota", str(1 << 40), "--puts", "1000000", "--commits", "1000", "--deletes", "any")
SERVE = [sys.executable, "-m", "borg.archiver", "serve"]
real = subprocess.Popen
running = []  # the guards of this test and where each writes its events


def vacant(path):
    """Tell whether a repository may begin here."""
    return not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path))


def refused(events):
    """Return what a guard refused, if it did."""
    events.seek(0)
    said = [json.loads(line) for line in events]
    assert said and said[-1]["event"] == "end", said
    return [f"{event['method']} {event['rule']}" for event in said if event["event"] == "refused"]


class Popen(real):
    """What starts serve starts the guard before it; all else as ever."""

    def __init__(self, args, *more, **options):
        if GUARD == "-" or list(args[:4]) != SERVE:
            super().__init__(args, *more, **options)
            return
        opening = sys._getframe(1).f_locals  # of RemoteRepository.__init__
        path = opening["location"].path
        session = "init" if opening["create"] and vacant(path) else "window-delete"
        words = ["-I", "-m", "borgctl.pull.repository.rpc_guard", "--repository", path, "--session", session, *PLENTY]
        source, client = os.pipe()
        passed, sink = os.pipe()
        os.set_inheritable(client, False)
        events = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the test is over
        guard = real([GUARD, *words], stdin=source, stdout=sink, stderr=events)
        running.append((guard, events))
        super().__init__(args, *more, **options | {"stdin": passed})
        for fd in (source, passed, sink):
            os.close(fd)
        self.stdin = open(client, "wb", 0)  # noqa: SIM115 - borg closes it


class Report:
    """A plugin of pytest's: what became of each test."""

    def __init__(self):
        self.tests = {}

    def pytest_collection_modifyitems(self):
        from borg.remote import RemoteRepository
        from borg.testsuite import repository

        init = RemoteRepository.__init__
        init.__defaults__ = (
            tuple(1 if value is None else value for value in init.__defaults__[:3]) + init.__defaults__[3:]
        )
        for case in (
            repository.RemoteRepositoryTestCase,
            repository.RemoteRepositoryCheckTestCase,
            repository.RemoteLegacyFree,
        ):
            case.open = in_two_sessions(case.open)

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("::")[2]
        test = self.tests.setdefault(name, {"outcome": "passed", "refused": []})
        if report.outcome != "passed":
            test["outcome"] = report.outcome
        if report.when == "teardown":
            while running:
                guard, events = running.pop()
                guard.wait(60)
                with events:
                    test["refused"] += refused(events)
            with open(REPORT, "w") as file:
                json.dump(self.tests, file)


def in_two_sessions(opening):
    """Return an opening that ends the session in which the repository was begun."""

    def opened(case, create=False):
        if create:
            opening(case, create=True).close()
        return opening(case)

    return opened


def main():
    sys.path.append(SITE)
    import pytest

    subprocess.Popen = Popen  # before borg takes it from there
    status = pytest.main(["-p", "no:cacheprovider", "-p", "no:randomly", "-q", *WORDS], [Report()])
    return 0 if status in (0, 1) else status


sys.exit(main())
