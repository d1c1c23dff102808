"""Real runs over ssh that tell: a check that is pinged, a service that is told, and a command that is started."""

import json

import pytest
from pair import with_a_repository
from receiver import Receiver


@pytest.fixture
def pair(one_borg, kept):
    """A client and a server with a repository."""
    return kept(with_a_repository, one_borg, "stdio")


def test_a_run_that_fails_and_one_that_goes_well_again_are_told_with_all_that_was_promised(pair):
    hook = pair.server.directory / "hook"
    hook.write_text('#!/bin/sh\necho "$BORGPULL_TARGET $BORGPULL_JOB $BORGPULL_OUTCOME $BORGPULL_REASON"\n')
    hook.chmod(0o755)
    with Receiver() as receiver:
        pair.set("jobs", "[default]")
        pair.set("notify", f'["{receiver.service("/ok/SECRET")}"]')
        pair.set("ping", receiver.url("/ok/SECRET"))
        pair.set("on_failure", f"[{hook}]")
        pair.good()
        port = pair.sshd.port
        pair.set("port", 1)
        failed = pair.run()
        again = pair.run()
        pair.set("port", port)
        well = pair.run()
        requests = receiver.wait(10)
    assert (failed.returncode, again.returncode, well.returncode) == (2, 2, 0), failed.stderr + well.stderr
    assert "web1: on_failure: web1 default failed ssh-failed\n" in failed.stderr
    assert [one.path for one in requests if "{" not in one.body] == [
        *("/ok/SECRET/start", "/ok/SECRET"),
        *("/ok/SECRET/start", "/ok/SECRET/fail") * 2,
        *("/ok/SECRET/start", "/ok/SECRET"),
    ]
    fail = next(one.body for one in requests if one.path.endswith("/fail"))
    assert fail.startswith("web1 default: failed (ssh: ssh-failed, status 255)") and "hint: can the client" in fail
    messages = [json.loads(one.body) for one in requests if "{" in one.body]
    assert [one["title"] for one in messages] == ["web1 default: failed (ssh-failed)", "web1 default: well again"]
    assert "hint: can the client be reached" in messages[0]["message"] and "web1 default: ok" in messages[1]["message"]
    shown = "".join(done.stdout + done.stderr for done in (failed, again, well, pair.borgpull("status", "--json")))
    assert "SECRET" not in shown and "not told" not in shown
