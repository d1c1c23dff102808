"""What `borgpull units` prints, in the hands of systemd: nothing is wrong, and a run works with what it leaves."""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import booted
import machines
import people
import pytest
from machines import run
from pair import Pair
from scraped import scraped
from stage import TOP

from borgctl.pull.targets.paths import Folders
from borgctl.pull.units.installation import Installation
from borgctl.pull.units.units import files

ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not machines.may(21), reason="only root starts a systemd in namespaces of its own"
)


@dataclass
class OwnedServer(machines.Server):
    """A server that runs as a user of its own."""

    keeper: people.Person
    programs: Path

    def borgpull(self, *words):
        argv = [self.programs / "borgpull", "--config-dir", self.config, "--state-dir", self.state, *words]
        return ["runuser", "-u", self.keeper.name, "--", *map(str, argv)]


@pytest.fixture(scope="module")
def one():
    """A client of root's and a server that runs as another user; all of it is where the README's is, below /srv."""
    borg = SimpleNamespace(path="/usr/bin/borg")  # one that the user can read
    with (
        machines.scratch() as scratch,
        tempfile.TemporaryDirectory(prefix="bt-", dir="/srv") as top,
        people.person(Path(top), "keeper") as keeper,
        machines.Sshd(scratch / "sshd") as sshd,
    ):
        Path(top).chmod(0o755)
        server = OwnedServer(keeper, people.install(Path(top, "programs")))
        machines.Server.__init__(server, Path(top, "server"))
        keeper.own(server.directory)
        os.chown(server.directory, 0, 0)  # as /etc is, in which the README's folders are
        server.directory.chmod(0o755)
        client = machines.Client(scratch / "client", server.repository, borg=borg.path)
        pair = Pair(client, server, sshd, borg, "stdio")
        pair.good("--job", "init")
        pair.good()
        pair.set("jobs", "{default: {every: 1s}}")  # due in each call
        yield SimpleNamespace(pair=pair, server=server, client=client, scratch=scratch, keeper=keeper)


def printed(one, name):
    """Return a file as root gets it printed, to whom the folders say whose they are."""
    argv = one.server.borgpull("units", name)
    done = run(argv[argv.index("--") + 1 :])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def start(one, name="borgpull.service", instance=None, settings="", **others):
    one.client.wait_for_a_new_name()
    units = {name: printed(one, name), **{f"{other}.service": text for other, text in others.items()}}
    return booted.start(one.scratch, units, instance or name, settings)


def lines(journal, *texts):
    return [line for line in journal.splitlines() if line in texts]


@ROOT
def test_the_service_backs_up_with_a_key_that_is_roots_and_nothing_else_of_roots_is_handed_over(one):
    """The user has put a link to a folder of root's where its own keys are, and PID 1 reads as root."""
    folders = Folders(str(one.server.config), str(one.server.state))
    keys, roots, private = one.server.config / "keys", Path(folders.root_keys), one.server.directory / "private"
    for made in (roots, private):
        made.mkdir(mode=0o700)
    (private / "web1").write_text("a secret of root's\n")
    key = one.keeper.run(["cat", keys / "web1"]).stdout
    (roots / "web1").write_text(key)
    (roots / "web1").chmod(0o600)
    link = f"mv {keys} {keys}.own && ln -s {private} {keys}"
    assert one.keeper.run(["sh", "-c", link]).returncode == 0
    try:
        assert one.pair.run().returncode == 2  # by hand the user cannot read it
        shown = "cd $CREDENTIALS_DIRECTORY; ls; grep -rh secret . || :"
        journal = start(one, settings=f"ExecStartPre=/bin/sh -c '{shown}'\n")
    finally:
        assert one.keeper.run(["sh", "-c", f"rm {keys} && mv {keys}.own {keys}"]).returncode == 0
        shutil.rmtree(roots)
    assert lines(journal, "borgpull", "borgpull_web1", "a secret of root's") == ["borgpull", "borgpull_web1"], journal
    assert "web1 default: ok" in journal and journal.endswith("result: success 0\n"), journal
    assert one.pair.borgpull("status").returncode == 0


@ROOT
def test_one_client_is_an_instance_of_the_template(one):
    journal = start(one, "borgpull@.service", "borgpull@web1.service")
    assert "web1 default: ok" in journal and journal.endswith("result: success 0\n"), journal


@ROOT
def test_a_failed_run_is_a_failed_service(one):
    journal = start(one, "borgpull@.service", "borgpull@web2.service")
    assert "no target 'web2'" in journal and journal.endswith("result: exit-code 2\n"), journal


@ROOT
def test_a_service_that_is_stopped_ends_its_run_in_order(one):
    hook = one.client.directory / "hook"
    hook.write_text("#!/bin/sh\nsleep 300\n")
    hook.chmod(0o700)
    one.client.policy(jobs={"default": {"paths": [one.client.source], "before": [[hook]]}})
    try:
        journal = start(one, settings="TimeoutStartSec=8s\n")  # then systemd stops it, as for 'systemctl stop'
    finally:
        one.client.policy()
    assert "web1 default: failed (" in journal and "stopped" in journal, journal
    assert journal.endswith("result: timeout 2\n"), journal  # its own exit status: nobody had to kill it
    assert list((one.server.state / "run").iterdir()) == []


PROBE = """
import os, socket, sys
def tried(name, act):
    try:
        print(name, "can", act() or "")
    except OSError as error:
        print(name, error.strerror)
state, config, repositories = sys.argv[1:]
for path in (state, repositories, config, "/srv", "/tmp", "/etc"):
    tried(f"write {path}:", lambda: os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY)))
tried("list /home:", lambda: os.listdir("/home"))
tried("netlink:", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close())
def called(name, *numbers):
    import ctypes
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*numbers):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
tried("namespace:", lambda: called("unshare", 0x10000000))
tried("chown:", lambda: os.chown(state, os.geteuid(), os.getegid()))
print(*(line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))), sep="", end="")
"""


@ROOT
def test_the_service_writes_into_state_and_repositories_and_has_no_rights_besides(one):
    probe = one.server.programs.parent / "probe.py"
    probe.write_text(PROBE)
    places = (one.server.state, one.server.config, one.server.repositories)
    journal = start(one, settings=f"ExecStartPre=/usr/bin/python3 {probe} {' '.join(map(str, places))}\n")
    expected = [
        f"write {one.server.state}: can ",
        f"write {one.server.repositories}: can ",
        f"write {one.server.config}: Read-only file system",
        "write /srv: Read-only file system",
        "write /tmp: can ",
        "write /etc: Read-only file system",
        "list /home: Permission denied",
        "netlink: Address family not supported by protocol",
        "namespace: Operation not permitted",
        "chown: Operation not permitted",
        "NoNewPrivs:\t1",
    ]
    assert lines(journal, *expected) == expected, journal
    assert "CapEff:\t0000000000000000" in journal and "web1 default: ok" in journal


LOOK = """
import contextlib, os, sys
from borgctl.pull.process import workdirs
from borgctl.pull.repository.lock_holders import this_host
from borgctl.pull.targets.paths import Folders
folders = Folders(*sys.argv[1:3])
for name in filter(str.isdigit, os.listdir("/proc")):
    with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:  # it may have ended by now
        if file.read() == b"/usr/bin/sleep\\0004242\\0":
            print("lives:", workdirs.lives(folders, int(name)))
print("host:", this_host())
"""


def looked(one, unit, user, settings=""):
    """Return the lines of a service that looks for a process of its user outside of it, and this host's name."""
    look, python = one.server.programs.parent / "look.py", one.server.programs / "python3"
    look.write_text(LOOK)
    host_id = (one.server.state / "host-id").read_text()
    other = (
        f"[Unit]\nDefaultDependencies=no\n[Service]\nType=exec\nUser={user}\n"
        f"Environment=TMPDIR={one.server.state}/run/x BORG_HOST_ID={host_id}\nExecStart=/usr/bin/sleep 4242\n"
    )
    command = " ".join(map(str, [python, look, one.server.config, one.server.state]))
    settings += f"ExecStart=\nExecStart={command}\n[Unit]\nWants=other.service\nAfter=other.service\n"
    units = {"borgpull.service": unit, "other.service": other}
    seen = booted.start(one.scratch, units, "borgpull.service", settings).splitlines()
    return seen, run(command.split()).stdout.splitlines()[-1]


@ROOT
def test_a_service_sees_that_a_borg_of_its_user_lives_that_was_started_by_hand(one):
    """Else it would take a lock away that somebody holds."""
    unit = printed(one, "borgpull.service")
    seen, host = looked(one, unit, one.keeper.name)
    assert seen == ["lives: True", host, "result: success 0"]
    seen, _ = looked(one, unit, one.keeper.name, "PrivateUsers=yes\n")
    assert "lives: True" not in seen, "then the page may not say why it is left out"


METRICS = "borgpull-metrics.service"


def metrics_unit(**places):
    """Return the service that writes metrics, with other places than those of the README's server."""
    text = (TOP / "contrib/prometheus" / METRICS).read_text()
    olds = {"program": "/opt/borgctl/bin/borgpull", "directory": "/var/lib/prometheus/node-exporter"}
    olds |= {"state": "=/var/lib/borgpull ", "user": "User=borgpull"}
    for name, new in places.items():
        assert olds[name] in text
        text = text.replace(olds[name], str(new))
    return text


@ROOT
def test_the_metrics_service_writes_its_file_with_what_it_is_left(one):
    directory, argv = one.server.directory / "textfile", one.server.borgpull()
    directory.mkdir()
    one.keeper.own(directory)
    program = " ".join(argv[argv.index("--") + 1 :])
    places = {"state": f"={one.server.state} ", "directory": directory, "user": f"User={one.keeper.name}"}
    journal = booted.start(one.scratch, {METRICS: metrics_unit(program=program, **places)}, METRICS)
    assert journal.endswith("result: success 0\n"), journal
    assert scraped((directory / "borgpull.prom").read_text())("borgpull_targets") == 1


@ROOT
def test_so_does_roots(one):
    folders = Folders(str(one.server.config), str(one.server.state))
    unit = files(replace(Installation.default(), user="root", folders=folders))["borgpull.service"]
    seen, host = looked(one, unit, "root")
    assert seen == ["lives: True", host, "result: success 0"]
    assert "lives: False" in looked(one, unit.replace(" CAP_SYS_PTRACE", ""), "root")[0]


# ---- what systemd's own judge says


def analyzed(*words):
    return run(["systemd-analyze", *words], env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"})


def installation(place, program="borgpull", **changes):
    """Return an installation whose program is there, as `verify` wants it."""
    path = place / program
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return replace(Installation.default(), program=str(path), **changes)


KINDS = {
    "borgpull's": {},
    "root's": {"user": "root"},
    "another's at home": {"user": "alice", "needed": ("/home/alice",), "writable": ("/tmp/x", "/home/alice/borg")},
    "this machine's": {"local": True},
    "a person's own": {"user": "alice", "own": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_verify_is_silent(tmp_path, kind):
    for name, text in files(installation(tmp_path, **KINDS[kind])).items():
        (tmp_path / name).write_text(text)
    units = [tmp_path / name for name in ("borgpull.service", "borgpull.timer", "borgpull@.service")]
    manager = "--user" if KINDS[kind].get("own") else "--system"
    done = run(
        ["systemd-analyze", manager, "--recursive-errors=no", "verify", *units],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_say_what_is_wrong(tmp_path):
    text = files(installation(tmp_path))["borgpull.service"].replace(
        "ProtectClock=yes", "ProtectClock=mostly\nProtekt=x"
    )
    (tmp_path / "borgpull.service").write_text(text)
    said = analyzed("--recursive-errors=no", "verify", tmp_path / "borgpull.service").stderr
    assert "Failed to parse boolean value" in said and "Unknown key 'Protekt'" in said


def test_the_units_for_metrics_are_sound_and_their_exposure_is_low(tmp_path):
    program = installation(tmp_path).program
    (tmp_path / METRICS).write_text(metrics_unit(program=program))
    timer = tmp_path / "borgpull-metrics.timer"
    timer.write_text((TOP / "contrib/prometheus" / timer.name).read_text())
    done = analyzed("--recursive-errors=no", "verify", tmp_path / METRICS, timer)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert analyzed("security", "--offline=true", "--threshold=25", tmp_path / METRICS).returncode == 0


@pytest.mark.parametrize("odd", ["a b", "50%", "%i", "$HOME", "${HOME}", "é", "a; #"])
def test_systemd_finds_the_program_whatever_its_path(tmp_path, odd):
    (tmp_path / "borgpull.service").write_text(files(installation(tmp_path, f"{odd}/borgpull"))["borgpull.service"])
    done = analyzed("--recursive-errors=no", "verify", tmp_path / "borgpull.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shutil.rmtree(tmp_path / odd)
    done = analyzed("--recursive-errors=no", "verify", tmp_path / "borgpull.service")
    assert done.returncode != 0 and "is not executable" in done.stderr


@pytest.mark.parametrize(
    ("kind", "most"), [("borgpull's", 2.5), ("another's at home", 2.5), ("root's", 5.0), ("a person's own", 10.0)]
)
def test_the_exposure_is_low(tmp_path, kind, most):
    for name in ("borgpull.service", "borgpull@.service"):
        (tmp_path / name).write_text(files(installation(tmp_path, **KINDS[kind]))[name])
        done = analyzed("security", "--offline=true", f"--threshold={most * 10:.0f}", tmp_path / name)
        level = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)[1])
        assert done.returncode == 0 and level < most, done.stdout


def test_the_timer_is_due_each_hour(tmp_path):
    timer = dict(re.findall(r"(?m)^(\w+)=(.*)$", files(Installation.default())["borgpull.timer"]))
    done = analyzed("calendar", "--iterations=2", "--base-time=2026-11-30 12:00:00 UTC", timer["OnCalendar"])
    assert "Mon 2026-11-30 13:00:00" in done.stdout and "Mon 2026-11-30 14:00:00" in done.stdout
    assert run(["systemd-analyze", "timespan", timer["RandomizedDelaySec"]]).returncode == 0
    assert timer["Persistent"] == "true"
