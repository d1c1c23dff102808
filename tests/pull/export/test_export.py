"""An export has what another server needs, whole or not at all, and nobody else can read it."""

import contextlib
import os
import pwd
import re
import signal
import socket
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest
from machines import run, wait_for

from borgctl.pull.export import export as exporting
from borgctl.pull.process.signals import Stop
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.state import history, running, state_file
from borgctl.pull.state.history import Run
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets import config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, host_id, lock
from borgctl.values import Head

WEB1 = TargetName("web1")
BY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do that")
SECRET = "what nobody else may read"


def row(number: int) -> Run:
    return Run("web1", "run", "default", "create", None, time.time() - number, None, 1.0, "ok", files=number)


@pytest.fixture
def server(world, borgpull):
    """A server with two targets, of which one has run, and all that lies about while it is at work."""
    for name in ("web1", "web2"):
        assert borgpull("add", name, f"root@{name}", "--repository", f"{world.root}/srv/{name}")[0] == 0
        os.utime(world.folders.target(TargetName(name)), (1e9, 1e9))  # or its age would be in seconds
    defaults = Path(world.folders.defaults)
    defaults.write_text("timeout: 6h\n")
    defaults.chmod(0o600)
    good = Past(time.time() - 3600, "ok")
    state = State(head=Head(7, "a" * 64), last=good, jobs={"default": JobRecord(good, good, "create")}, since=1.0)
    state.alert("audit-broken", "it does not go on", time.time())
    state_file.save(world.folders, WEB1, state)
    copies = Path(world.folders.copies(WEB1))
    copies.mkdir()
    for name in ("1-config-1764464123", "2-nonce-1764464123", "notes"):
        (copies / name).write_text(name)
        (copies / name).chmod(0o600)
    for number in range(3):
        history.append(world.folders, row(number), time.time())
    Path(world.folders.borg(WEB1)).mkdir()
    Path(world.folders.borg(WEB1), "cache").write_text("large")
    host_id(world.folders)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{world.folders.state}/s")
    return world


@pytest.fixture
def place(server) -> Path:
    """A place that is not there yet."""
    above = server.root / "safe"
    above.mkdir(mode=0o755)
    return above / "monday"


def tree(directory: str | Path) -> dict[str, bytes]:
    files = [path for path in Path(directory).rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def listed(place: Path) -> set[str]:
    """The files that the manifest names, which are all that are there, each with its sum."""
    checked = run(["sha256sum", "--check", "--strict", "manifest"], cwd=place)
    assert checked.returncode == 0, checked
    names = {line.rpartition(": ")[0] for line in checked.stdout.splitlines()}
    assert {*tree(place)} == names | {"manifest"}
    return names


CONFIG = {f"config/{name}" for name in ("defaults.yaml", "targets/web1.yaml", "targets/web2.yaml")}
KEYS = {f"config/keys/{name}" for name in ("web1", "web1.pub", "web2", "web2.pub")}
COPIES = {"state/web1/copies/1-config-1764464123", "state/web1/copies/2-nonce-1764464123"}
STATE = {"state/web1/state.json", "state/history.db", *COPIES}


def rows(database: Path) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute("SELECT files FROM runs ORDER BY id").fetchall()


# ---- what is in it


def test_it_has_all_that_is_needed_with_its_rights_and_nothing_of_this_machines_own(server, borgpull, place) -> None:
    os.chmod(f"{server.folders.targets}/web1.yaml", 0o640)
    with workdir(server.folders) as path:
        Path(path, "known_hosts").touch()
        status, out, err = borgpull("export", "--to", str(place))
    assert (status, err) == (0, "")
    assert out.startswith(f"{place}: 2 targets, 11 files; how to put it back: {place}/manifest\nit has private keys: ")
    assert listed(place) == CONFIG | KEYS | STATE
    before, after = (tree(path) for path in (server.root, place))
    assert {name for name, data in after.items() if before.get(name) != data} == {"manifest", "state/history.db"}
    assert rows(place / "state/history.db") == [(0,), (1,), (2,)]
    modes = {str(path.relative_to(place)): stat.S_IMODE(path.lstat().st_mode) for path in place.rglob("*")}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700 and modes.pop("config/targets/web1.yaml") == 0o640
    assert {mode for name, mode in modes.items() if (place / name).is_dir()} == {0o700}
    public = {name for name in modes if name.endswith(".pub")}
    assert {mode for name, mode in modes.items() if (place / name).is_file() and name not in public} == {0o600}
    text = (place / "manifest").read_text()
    assert re.match(r"# borgpull export, version 1, made 2[0-9]{3}-[0-9T:-]+\+00:00\n# It has private keys", text)
    assert not list(place.parent.glob("*.partial"))


def put_back(place: Path, old: Folders, new: Folders) -> None:
    """Do what the manifest says, into other directories."""
    (head,) = re.findall(r"here and as root.*\n((?:# {5}.*\n)+)", (place / "manifest").read_text())
    commands = head.replace("#", "").replace(old.config, new.config).replace(old.state, new.state)
    done = run(["sh", "-e", "-c", commands], cwd=place)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_server_on_which_nothing_has_run_can_be_put_back_too(world, borgpull) -> None:
    assert borgpull("add", "web1", "root@web1", "--repository", f"{world.root}/srv/web1")[0] == 0
    assert borgpull("export", "--to", f"{world.root}/monday")[0] == 0
    put_back(world.root / "monday", world.folders, Folders(f"{world.root}/new/config", f"{world.root}/new/state"))
    assert (world.root / "new/config/keys/web1").exists() and (world.root / "new/state").is_dir()


def test_it_is_put_back_through_no_link_that_was_there_before(world, borgpull) -> None:
    assert borgpull("add", "web1", "root@web1", "--repository", f"{world.root}/srv/web1")[0] == 0
    assert borgpull("export", "--to", f"{world.root}/monday")[0] == 0
    new, victim = Folders(f"{world.root}/new/config", f"{world.root}/new/state"), world.root / "victim"
    victim.write_text("root's")
    os.makedirs(new.targets)
    os.symlink(victim, f"{new.targets}/web1.yaml")
    put_back(world.root / "monday", world.folders, new)
    assert victim.read_text() == "root's" and not os.path.islink(f"{new.targets}/web1.yaml")


def test_the_manifests_own_commands_put_it_back_and_all_is_told_as_before(server, borgpull, place) -> None:
    questions = [("targets",), ("targets", "--show", "web1", "web2"), ("status",), ("history", "--json")]
    before = [borgpull(*words) for words in questions]
    assert borgpull("export", "--to", str(place))[0] == 0
    old, new = server.folders, Folders(f"{server.root}/new/config", f"{server.root}/new/state")
    put_back(place, old, new)
    server.folders = new
    for words, (status, out, err) in zip(questions, before, strict=True):
        again = borgpull(*words)
        assert (again[0], again[2]) == (status, err)
        assert again[1].split() == out.replace(old.config, new.config).split()  # paths of another length, so columns
    assert stat.S_IMODE(os.stat(new.config).st_mode) == stat.S_IMODE(os.stat(new.state).st_mode) == 0o700
    assert borgpull("export", "--to", f"{place}-2")[0] == 0 and listed(Path(f"{place}-2")) == listed(place)


def test_a_run_at_work_neither_keeps_it_back_nor_is_disturbed(server, borgpull, place) -> None:
    """The run holds its target, and is in the middle of a row; one that is whole is only in the log beside the file."""
    with (
        lock(server.folders, WEB1),
        running.mark(server.folders, WEB1, running.Begun("run", "default", time.time())),
        contextlib.closing(sqlite3.connect(server.folders.history, isolation_level=None)) as writer,
    ):
        writer.execute("UPDATE runs SET files = 9 WHERE files = 2")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET files = 8 WHERE files = 1")
        before = Path(server.folders.running(WEB1)).read_bytes()
        assert borgpull("export", "--to", str(place))[0] == 0
        writer.execute("COMMIT")
        assert Path(server.folders.running(WEB1)).read_bytes() == before
    assert listed(place) == CONFIG | KEYS | STATE
    assert rows(place / "state/history.db") == [(0,), (1,), (9,)]
    assert [run.files for run in history.runs(server.folders, (), None)] == [0, 8, 9]


def test_it_waits_for_whoever_changes_the_targets(server, place) -> None:
    with config_lock.alone(server.folders):
        os.rename(f"{server.folders.targets}/web2.yaml", f"{server.folders.targets}/www.yaml")
        asked = server.start("export", "--to", str(place))
        there = os.stat(server.folders.config).st_ino
        wait_for(lambda: re.search(rf"-> FLOCK .*:{there} ", Path("/proc/locks").read_text()), 30, "it to wait")
        for end in ("", ".pub"):
            os.rename(f"{server.folders.keys}/web2{end}", f"{server.folders.keys}/www{end}")
    assert asked.communicate(timeout=60)[1] == b"" and asked.returncode == 0
    assert listed(place) == {name.replace("web2", "www") for name in CONFIG | KEYS | STATE}


# ---- what is missing is told


def test_a_key_elsewhere_is_told_and_so_is_a_target_of_which_nobody_knows(server, borgpull, place) -> None:
    for name, line in (("web1", "identity: /srv/keys/web1"), ("web2", "quota: nothing")):
        with open(f"{server.folders.targets}/{name}.yaml", "a") as file:
            file.write(f"{line}\n")
    Path(server.folders.targets, "-x.yaml").write_text("")
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 1 and listed(place) == CONFIG | KEYS | STATE
    lines = [line.removeprefix("warning: not in the export: ") for line in err.splitlines()]
    targets = server.folders.targets
    assert lines == [
        f"{targets}/-x.yaml: files with such a name are not exported",
        "web1: its key, /srv/keys/web1",
        f"{targets}/web2.yaml cannot be used, and so nobody knows whether it names a key elsewhere",
    ]
    assert [f"# missing: {line}" in (place / "manifest").read_text() for line in lines] == [True] * 3


def test_no_symlink_is_followed_and_nobody_waits_for_a_fifo(server, borgpull, place) -> None:
    secret = server.root / "secret"
    secret.write_text(SECRET)
    folders = server.folders
    for path in (folders.defaults, folders.key(WEB1), folders.memory(WEB1), folders.history):
        os.unlink(path)
        os.symlink(secret, path)
    os.unlink(folders.target(TargetName("web2")))
    os.mkfifo(folders.target(TargetName("web2")))
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 1 and SECRET.encode() not in b"".join(tree(place).values())
    for path in (folders.defaults, folders.key(WEB1), folders.memory(WEB1)):
        assert f"warning: not in the export: '{path}' is a symlink\n" in err
    assert "web2.yaml' is not a regular file" in err and "history.db is no file" in err
    gone = {"config/defaults.yaml", "config/keys/web1", "state/web1/state.json", "state/history.db"}
    assert listed(place) == (CONFIG | KEYS | STATE) - gone - {"config/targets/web2.yaml"}


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""])
def test_a_broken_history_is_left_out_and_told_and_stays_where_it_is(server, borgpull, place, content) -> None:
    Path(server.folders.history).write_bytes(content)
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 1 and err.startswith(f"warning: not in the export: {server.folders.history}: damaged (")
    assert listed(place) == (CONFIG | KEYS | STATE) - {"state/history.db"}
    assert Path(server.folders.history).read_bytes() == content


def test_a_page_of_the_history_that_is_overwritten_is_noticed(server, borgpull, place) -> None:
    data = bytearray(Path(server.folders.history).read_bytes())
    data[4096:8192] = b"\xff" * 4096
    Path(server.folders.history).write_bytes(data)
    assert borgpull("export", "--to", str(place))[0] == 1
    assert listed(place) == (CONFIG | KEYS | STATE) - {"state/history.db"}


# ---- whole or not at all


def nothing_left(place: Path) -> bool:
    return os.listdir(place.parent) == []


@BY_ROOT
@pytest.mark.parametrize("limit", ["size", "nr_inodes"])
def test_a_disk_that_is_full_at_any_write_ends_it_and_leaves_nothing(server, borgpull, place, limit) -> None:
    """The disk has room for one block, or file, more each time, until all of it has been written."""
    mounted = ["mount", "-t", "tmpfs", "-o", f"mode=755,{limit}={'4k' if limit == 'size' else 2}", "none", place.parent]
    assert run(mounted).returncode == 0
    try:
        for count in range(2, 60):
            more = f"{limit}={4 * count}k" if limit == "size" else f"{limit}={count}"
            assert run(["mount", "-o", f"remount,{more}", place.parent]).returncode == 0
            status, out, err = borgpull("export", "--to", str(place))
            if status == 0:
                break
            assert (status, out) == (2, "") and nothing_left(place)
            full = "No space left on device|database or disk is full|disk I/O error|unable to open database file"
            assert re.match(rf"error: cannot write {place}.*: (?:{full})\nhint: make room there", err), err
        assert count > 10 and listed(place) == CONFIG | KEYS | STATE
    finally:
        assert run(["umount", place.parent]).returncode == 0


def test_one_that_is_told_to_end_leaves_nothing(server, place) -> None:
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: stop.name, 10, "the signal")
        with pytest.raises(PullError, match="stopped by SIGTERM, and nothing was left"):
            exporting.export(server.folders, str(place), stop, time.time())
    assert nothing_left(place)


def test_what_a_killed_one_has_left_is_told_and_not_touched(server, borgpull, place) -> None:
    partial = Path(f"{place}.partial")
    partial.mkdir()
    (partial / "key").write_text(SECRET)
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 2 and f"error: {partial} is there: another export has not ended" in err
    assert err.endswith(f"hint: if no export is at work there: rm -r {partial}\n")
    assert (partial / "key").read_text() == SECRET and not place.exists()


def known(directory: Path) -> dict[str, tuple[int, ...]]:
    found = [(path, path.lstat()) for path in directory.rglob("*")]
    return {str(path): (status.st_ino, status.st_mode, status.st_mtime_ns) for path, status in found}


def a_file(place: Path) -> None:
    place.write_text("x")


def a_directory_with_a_file(place: Path) -> None:
    place.mkdir()
    (place / ".hidden").touch()


def a_symlink_to_an_empty_directory(place: Path) -> None:
    (place.parent / "empty").mkdir()
    place.symlink_to("empty")


def a_dangling_symlink(place: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.parametrize("make", [a_file, a_directory_with_a_file, a_symlink_to_an_empty_directory, a_dangling_symlink])
def test_what_is_there_is_never_touched(server, borgpull, place, make) -> None:
    make(place)
    before = known(place.parent)
    status, out, err = borgpull("export", "--to", str(place))
    assert (status, out) == (2, "") and err.startswith(f"error: {place} is ")
    assert err.endswith("hint: name a directory that is not there yet\n")
    assert known(place.parent) == before


def test_an_empty_directory_is_taken_and_becomes_private(server, borgpull, place, monkeypatch) -> None:
    place.mkdir(mode=0o755)
    monkeypatch.chdir(place.parent)
    assert borgpull("export", "--to", "monday")[0] == 0
    assert listed(place) == CONFIG | KEYS | STATE and stat.S_IMODE(place.stat().st_mode) == 0o700


@BY_ROOT
def test_where_a_disk_is_mounted_a_directory_in_it_is_advised(server, borgpull, place) -> None:
    place.mkdir()
    assert run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", place]).returncode == 0
    try:
        status, _, err = borgpull("export", "--to", str(place))
        assert status == 2 and err.endswith(f"hint: name a directory in it: {place}/borgpull\n")
        assert borgpull("export", "--to", f"{place}/borgpull")[0] == 0
    finally:
        assert run(["umount", place]).returncode == 0


def test_without_a_target_nothing_is_made(world, borgpull) -> None:
    status, _, err = borgpull("export", "--to", f"{world.root}/monday")
    assert status == 2 and err.startswith(f"error: no target in {world.folders.targets}")
    assert not os.path.exists(f"{world.root}/monday")


# ---- nobody else can read it


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_no_directory_is_taken_in_which_others_could_put_another_one(server, borgpull, place, mode) -> None:
    place.parent.chmod(mode)
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 2 and nothing_left(place)
    assert err.startswith(f"error: unsafe place for private keys: in '{place.parent}' other users may put another one")


@BY_ROOT
def test_in_a_sticky_directory_of_roots_nobody_can(server, borgpull, place) -> None:
    place.parent.chmod(0o1777)
    assert borgpull("export", "--to", str(place))[0] == 0 and listed(place) == CONFIG | KEYS | STATE


def test_a_file_system_that_keeps_no_rights_gets_no_key(server, borgpull, place, monkeypatch) -> None:
    mkdir = os.mkdir
    monkeypatch.setattr(os, "mkdir", lambda path, mode=0o777, **more: mkdir(path, mode | 0o055, **more))
    status, _, err = borgpull("export", "--to", str(place))
    assert status == 2 and "its file system keeps no rights, so that others could read the private keys" in err
    assert nothing_left(place)


@BY_ROOT
def test_root_exports_another_users_and_leaves_nothing_of_its_own_there(server, borgpull, place) -> None:
    other = pwd.getpwnam("daemon")
    server.root.chmod(0o755)  # they can reach what is theirs
    for above in (server.folders.config, server.folders.state):
        for path in (Path(above), *Path(above).rglob("*")):
            os.lchown(path, other.pw_uid, other.pw_gid)
    roots = Path(server.folders.root_keys)  # what systemd hands over
    roots.mkdir(mode=0o700)
    (roots / "web1").write_text("root's key")
    assert borgpull("export", "--to", str(place))[0] == 0
    of_root = {path.name for path in place.rglob("*") if path.is_file() and path.stat().st_uid == 0}
    assert of_root == {"manifest", "web1"} and (place / "config/keys/web1").read_text() == "root's key"
    assert f"chown -R daemon: {server.folders.config} {server.folders.state}" in (place / "manifest").read_text()
    owners = {path.stat().st_uid for path in (*server.root.glob("config/**/*"), *server.root.glob("state/**/*"))}
    assert owners == {other.pw_uid}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700 and place.stat().st_uid == 0


def test_nothing_that_starts_a_run_has_imported_it() -> None:
    code = "import sys, borgctl.pull.app, borgctl.pull.run.run; print(any('export' in name for name in sys.modules))"
    assert run([sys.executable, "-c", code]).stdout == "False\n"
