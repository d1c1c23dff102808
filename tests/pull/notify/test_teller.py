"""Runs that tell: the launcher, its notifier and a real server, with a stand-in gate."""

import contextlib
import json
import os
import subprocess
import time
from functools import partial
from pathlib import Path

import machines
import pytest

from borgctl.data_class import replace
from borgctl.pull.state import state_file, told
from borgctl.pull.state.state import JobRecord, Past
from borgctl.pull.targets.paths import Busy, TargetName, lock

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of a library of Apprise's
WEB1, WEB2 = TargetName("web1"), TargetName("web2")
GOOD = [["start"], ["exit", "ok", 0]]
BAD = [["start"], ["exit", "failed", 2]]
PATIENCE = 30.0  # seconds for what must come


def titles(receiver) -> list[str]:
    """Return the titles of messages that came."""
    return [json.loads(one.body)["title"] for one in receiver.requests if one.method == "POST"]


def files(directory: Path) -> bytes:
    """Return all that stands in files of a directory."""
    return b"\n".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def be_at(world, name: TargetName, **good: float) -> None:
    """Make a job's last good run so many seconds old."""
    state = state_file.load(world.folders, name)
    for job, seconds in good.items():
        past = Past(time.time() - seconds, "ok")
        state.jobs[job] = JobRecord(past, past, "create")
    state_file.save(world.folders, name, state)


def test_a_failure_is_told_once_and_then_that_it_is_over(world, borgpull, receiver) -> None:
    keys = {"borg": world.quiet_serve(), "notify": f'["{receiver.service("/ok")}"]'}
    for _ in range(2):
        world.local(BAD, **keys)
        assert borgpull("run", "web1")[0] == 2
    assert titles(receiver) == ["web1 default: failed"]
    body = json.loads(receiver.requests[0].body)
    assert "web1 default: failed (borg: status 2)" in body["message"] and body["type"] == "failure"
    for _ in range(2):
        world.local(GOOD, **keys)
        assert borgpull("run", "web1")[0] == 0
    assert titles(receiver)[1:] == ["web1 default: well again"]
    world.local(BAD, **keys)
    borgpull("run", "web1")
    assert titles(receiver)[2:] == ["web1 default: failed"]


def test_each_run_pings_its_check_and_a_good_job_does_not_hide_one_that_failed(world, borgpull, receiver) -> None:
    steps = {"run": BAD}
    keys = {"borg": world.quiet_serve(), "ping": receiver.url("/ok/K")}
    world.local(steps, **keys)
    borgpull("run", "web1")
    world.local({"run": GOOD}, **keys)
    borgpull("run", "web1", "--job", "other")
    borgpull("run", "web1", "--job", "default")
    assert [one.path for one in receiver.requests] == [
        *("/ok/K/start", "/ok/K/fail"),
        *("/ok/K/start", "/ok/K/fail"),  # default still fails
        *("/ok/K/start", "/ok/K"),
    ]
    assert receiver.requests[1].body.startswith("web1 default: failed (borg: status 2)")
    assert "last run failed" in receiver.requests[3].body
    assert receiver.requests[5].body.startswith("web1 default: ok")


def test_the_hook_gets_what_happened_and_what_it_says_is_shown(world, borgpull, receiver) -> None:
    hook = world.root / "hook"
    hook.write_text('#!/bin/sh\nenv | grep ^BORGPULL_ | sort >>"$1"\nprintf "no\\033[2J number\\n"\nexit 4\n')
    hook.chmod(0o755)
    keys = {"borg": world.quiet_serve(), "on_failure": f"[{hook}, {world.root}/seen]"}
    world.local(GOOD, **keys)
    borgpull("run", "web1")
    assert not (world.root / "seen").exists()
    world.local(BAD, **keys)
    _, _, err = borgpull("run", "web1")
    assert (world.root / "seen").read_text().splitlines() == [
        *("BORGPULL_JOB=default", "BORGPULL_OUTCOME=failed", "BORGPULL_REASON="),
        *("BORGPULL_RUN=", "BORGPULL_TARGET=web1"),
    ]
    assert "web1: on_failure: no\\x1b[2J number\n" in err
    assert "web1: not told: on_failure: ended with status 4\n" in err
    assert "web1: not told: on_failure: ended with status 4 (first" in borgpull("status", "web1")[1]


@pytest.mark.parametrize("reason", ["target-busy", "target-paused", "dry-run"])
def test_no_word_of_a_clients_keeps_a_failure_from_being_told(world, borgpull, receiver, reason) -> None:
    """These reasons mean that nothing failed, where the launcher itself gives them."""
    keys = {"borg": world.quiet_serve(), "on_failure": f"[/bin/touch, {world.root}/seen]", "ping": receiver.url("/ok")}
    world.local([["start"], ["refuse", "failed", 2, reason]], **keys)
    borgpull("run", "web1")
    assert (world.root / "seen").exists()
    assert [one.path for one in receiver.requests] == ["/ok/start", "/ok/fail"]


def test_no_run_waits_for_who_does_not_answer_and_no_secret_is_anywhere(world, receiver) -> None:
    secret = os.urandom(8).hex()
    service = receiver.service(f"/hang/{secret}/digest")
    told_of = f'[{{url: "{service}", on: [digest]}}]'
    world.local(GOOD, borg=world.quiet_serve(), ping=receiver.url(f"/hang/{secret}"), notify=told_of)
    with world.start("run", "web1", "--json") as process:
        assert json.loads(process.stdout.readline())["outcome"] == "ok", "the run has ended, and is reported"
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(Busy), lock(world.folders, WEB1):
                break
            assert time.monotonic() < end
        assert sorted(one.path.rpartition("/")[2] for one in receiver.wait(2)) == ["digest", "start"]
        assert not receiver.released.is_set() and process.poll() is None
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                assert secret.encode() not in (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        receiver.released.set()
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert secret.encode() not in out + err + files(Path(world.folders.state))


def test_who_cannot_be_told_is_in_status_and_on_stderr_and_is_told_by_a_later_call(world, borgpull, receiver) -> None:
    keys = {"borg": world.quiet_serve(), "ping": receiver.url("/refuse/SECRET")}
    world.local(BAD, notify=f'["{receiver.service("/refuse/SECRET")}"]', **keys)
    status, out, err = borgpull("run", "web1")
    notify, ping = "notify 1 (json://…)", f"ping ({receiver.url('/…')})"
    lines = [f"web1: not told: {who}: answered with status 403" for who in (notify, ping)]
    assert status == 2 and set(lines) <= set(err.splitlines())
    shown = borgpull("status", "web1")
    assert all(line in shown[1] for line in lines)
    plain = json.loads(borgpull("status", "web1", "--json")[1])
    assert [(one["who"], one["count"]) for one in plain["untold"]] == [(notify, 1), (ping, 2)] and not plain["alerts"]
    assert f"not told: {notify}" in borgpull("status", "web1", "--nagios")[1]
    everything = out + err + "".join(map(str, shown)) + "".join(map(str, borgpull("targets", "--show", "web1")))
    assert "SECRET" not in everything and b"SECRET" not in files(Path(world.folders.state))

    with told.change(world.folders.told(WEB1)) as memory:  # an hour later
        entries = memory.entries[notify]
        memory.entries[notify] = {key: replace(one, tried=one.tried - 3600) for key, one in entries.items()}
    world.local(BAD, notify=f'["{receiver.service("/ok")}"]', borg=world.quiet_serve())
    receiver.requests.clear()
    borgpull("run", "web1")
    assert titles(receiver) == ["web1 default: failed"]
    assert "not told" not in borgpull("status", "web1")[1]


def test_a_call_in_which_nothing_of_it_ran_tells_what_is_overdue_and_the_day_once(world, borgpull, receiver) -> None:
    services = f'["{receiver.service("/ok/e")}", {{url: "{receiver.service("/ok/d")}", on: [digest]}}]'
    jobs = "{default: {expect: 2h}, weekly: {run: no, expect: 1h}}"
    for name in ("web1", "web2"):
        world.local(GOOD, name=name, jobs=jobs, borg=world.quiet_serve(), notify=services)
    be_at(world, WEB1, weekly=7200)
    be_at(world, WEB2, weekly=60)
    for _ in range(2):
        assert borgpull("run", "--all")[0] == 0
    told_of = {one.path: json.loads(one.body) for one in receiver.requests}
    assert len(receiver.requests) == 2, "one event, and one message about both"
    assert told_of["/ok/e"]["title"] == "web1 weekly: overdue"
    assert told_of["/ok/d"]["title"] == "borgpull: 2 targets, 1 critical, 1 well"
    assert [line.split(":")[0] for line in told_of["/ok/d"]["message"].split("\n")] == [
        *("web1 weekly", "web1 default"),
        *("web2 default", "web2 weekly"),
    ]


def test_a_message_of_the_day_that_could_not_be_sent_is_sent_by_a_later_call(world, borgpull, receiver) -> None:
    def call(path: str) -> str:
        service = receiver.service(path)
        for name in ("web1", "web2"):
            world.local(GOOD, name=name, borg=world.quiet_serve(), notify=f'[{{url: "{service}", on: [digest]}}]')
        return borgpull("run", "--all")[2]

    assert call("/refuse").count("not told: notify 1 (json://…): answered with status 403") == 1
    assert "not told" not in call("/refuse"), "which is soon after"
    with told.change(world.folders.digests) as memory:  # an hour later
        for entries in memory.entries.values():
            entries.update({who: replace(entry, tried=entry.tried - 3600) for who, entry in entries.items()})
    assert "not told" not in call("/ok") + borgpull("status")[1]
    call("/ok")
    assert [one.path for one in receiver.requests] == ["/refuse", "/ok"]


def test_a_target_whose_file_is_broken_is_told_of_to_those_whom_the_defaults_name(world, borgpull, receiver) -> None:
    world.local(GOOD)
    Path(world.folders.defaults).write_text(f'notify: ["{receiver.service("/ok")}"]\n')
    Path(world.folders.target(WEB1)).write_text("repository: [\n")
    assert borgpull("run", "--all")[0] == 2
    assert titles(receiver) == ["web1: cannot run (invalid)"]
    assert borgpull("run", "nobody", "../x")[0] == 2
    assert len(receiver.requests) == 1


def test_a_paused_target_tells_nothing(world, borgpull, receiver) -> None:
    world.local(GOOD, paused="{until: 2999-01-01, reason: moved}", ping=receiver.url("/ok"))
    assert borgpull("run", "--all")[0] == 0
    assert receiver.requests == []


def test_what_cannot_be_remembered_is_told_all_the_same(world, borgpull, receiver) -> None:
    world.local(BAD, borg=world.quiet_serve(), notify=f'["{receiver.service("/ok")}"]')
    path = Path(world.folders.told(WEB1))
    path.mkdir(parents=True)  # nothing can be put in its place
    _, _, err = borgpull("run", "web1")
    assert titles(receiver) == ["web1 default: failed"]
    assert f"{path}: what was told cannot be kept, and may be told again: Is a directory" in err


def test_a_launcher_that_is_killed_leaves_a_notifier_that_ends(world, borgpull, receiver) -> None:
    keys = {"borg": world.quiet_serve(), "ping": receiver.url("/ok")}
    world.local([["start"], ["sleep", 60]], **keys)
    with world.start("run", "web1") as process:
        receiver.wait(1)
        process.kill()
        process.communicate()  # the fixture `watch` fails if a process is left
    world.local(GOOD, **keys)
    assert borgpull("run", "web1")[0] == 0
    assert [one.path for one in receiver.requests] == ["/ok/start", "/ok/start", "/ok"]


def test_where_no_file_asks_for_it_nothing_of_it_is_imported(world) -> None:
    world.local(GOOD, borg=world.quiet_serve())
    said = "import atexit, sys; atexit.register(lambda: print([n for n in sys.modules if 'notify' in n], flush=True))"
    with world.start("run", "web1", before=said) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == b"[]"


def test_the_launcher_goes_on_where_the_notifier_cannot_start_or_ends_early(world, borgpull, monkeypatch) -> None:
    world.local(GOOD, borg=world.quiet_serve(), ping="http://127.0.0.1:1/x")
    from borgctl.pull.notify import teller

    monkeypatch.setattr(teller, "_PROGRAM", ("/nonexistent/python",))
    status, _, err = borgpull("run", "web1")
    assert status == 0 and err.endswith("borgpull: nobody is told of these runs: the notifier cannot be started\n")
    monkeypatch.setattr(teller, "_PROGRAM", ("/bin/sh", "-c", "exit 7"))
    status, _, err = borgpull("run", "web1")
    assert status == 0 and err.endswith("borgpull: the notifier ended with status 7: not everybody was told\n")


def test_a_notifier_that_reads_nothing_holds_no_run_up_and_is_left_at_the_end(world) -> None:
    world.local(GOOD, borg=world.quiet_serve(), jobs="[a, b]", ping="http://127.0.0.1:1/x")
    before = """if True:
        from borgctl.pull.notify import teller
        teller.PATIENCE, teller._LONGEST, teller._PROGRAM = 0.2, 1 << 22, ("/bin/sleep", "2")
        teller.summary = lambda report: "x" * (1 << 21)
    """
    with world.start("run", "web1", before=before) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and b"web1 b: ok" in err
    assert err.endswith(b"'borgpull status' says if that fails\n")


def test_a_test_message_goes_to_each_service_and_clears_what_status_says(world, borgpull, receiver) -> None:
    world.local([], notify=f'["{receiver.service("/ok/SECRET")}", "{receiver.service("/refuse/SECRET")}"]')
    with told.change(world.folders.told(WEB1)) as memory:
        memory.end("notify 1 (json://…)", "answered with status 500", 1.0)
    assert "notify 1" in borgpull("status", "web1")[1]
    status, out, err = borgpull("test", "web1", "--notify")
    assert (status, err) == (2, "")
    assert out == "web1: notify 1 (json://…): sent\nweb1: notify 2 (json://…): answered with status 403\n"
    assert titles(receiver) == ["web1: a test"] * 2
    shown = borgpull("status", "web1")[1]
    assert "notify 1" not in shown and "not told: notify 2 (json://…): answered with status 403" in shown
    rows = [json.loads(line) for line in borgpull("test", "web1", "--notify", "--json")[1].splitlines()]
    assert [(row["service"], row["sent"]) for row in rows] == [
        ("notify 1 (json://…)", True),
        ("notify 2 (json://…)", False),
    ]
    world.local([])
    status, _, err = borgpull("test", "web1", "--notify")
    assert status == 2 and "target 'web1' has no 'notify'" in err


@pytest.mark.parametrize("number", [15])
def test_a_second_signal_shortens_the_wait(world, receiver, number) -> None:
    world.local(GOOD, borg=world.quiet_serve(), ping=receiver.url("/hang"))
    with world.start("run", "web1", stderr=subprocess.PIPE) as process:
        receiver.wait(1)
        while b"web1 default: ok" not in process.stderr.readline():
            pass
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        assert b"messages are still being sent" in err and process.returncode == 2
        receiver.released.set()
    below = partial(machines.descendants, os.getpid())  # it writes what became of it
    machines.wait_for(lambda: not any("borgctl.pull.notify" in process.command for process in below()), 30)
