"""The second wall, with real borg: what the parser would never let through dies there, and a backup is the same."""

import json
import os
import re
import sys
import time

import machines
import prisoner_home
import pytest
from machines import PASSPHRASE, run
from pulling import last_line, over_stdio
from stage import SUPPORT

from borgctl.sandbox import landlock

ROOT = os.geteuid() == 0
# Starts the gate with another argv than it would build: handed to the runner as if the parser had let it through.
BESIDES = """
import json, sys
words = json.loads(sys.argv.pop(1))
from borgctl.borg import command_line
from borgctl.gate import main
command_line.build = lambda launch, borg, version: [borg, *words]
main.main()
"""


@pytest.fixture
def place(client):
    """Where the words of an attack would leave their mark: not in borg's own directories."""
    place = client.directory / "place"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    return place


def gate(client, server, request, *words, before=(), program=("-m", "borgctl.gate")):
    """Run the gate itself, on this machine, with a `borg serve`; `words` stand in borg's argv instead of its own."""
    besides = ["-c", BESIDES, json.dumps([str(word) for word in words])]
    argv = [*before, sys.executable, "-I", *(besides if words else program)]
    argv += ["--policy", str(client.policy_file)]
    env = {"PATH": "/usr/bin:/bin", "SSH_ORIGINAL_COMMAND": request, "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    env_argv = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items()), *argv]
    return over_stdio(env_argv, None, client.borg, server.repository, server.state)


@pytest.fixture
def made(client, server, sshd):
    client.policy(disclose="names")
    assert gate(client, server, "run init").returncode == 0
    assert gate(client, server, "run default").returncode == 0


def holes(client, server, place, mark):
    location = f"ssh://borgctl{server.repository}"
    touch = ("/usr/bin/touch", mark)
    archive = next(r for r in client.records("accept") if r["job"] == "default")["argv"][-2].partition("::")[2]
    return {
        "content-from-command": ("create", "--content-from-command", "--", f"{location}::x", *touch),
        "paths-from-command": ("create", "--paths-from-command", "--", f"{location}::x", *touch),
        "debug-profile": ("create", f"--debug-profile={mark}", "--", f"{location}::x", client.source),
        "debug-profile of list": ("list", f"--debug-profile={mark}.pyprof", "--", location),
        "with-lock": ("with-lock", "--", location, *touch),
        "export-tar": ("export-tar", "--", f"{location}::{archive}", mark),
        "key export": ("key", "export", "--", location, mark),
        "rsh": ("list", f"--rsh=/usr/bin/touch {mark}", "--", location),
        "extract": ("extract", "--", f"{location}::{archive}"),
        "tar filter": ("export-tar", f"--tar-filter=touch {mark}", "--", f"{location}::{archive}", "-"),
        "mount": ("mount", "--", location, place),
        "log-json to a file": ("debug", "dump-manifest", "--", location, mark),
    }


@pytest.mark.parametrize("half", [0, 1])  # of them all, so that a busy machine is done in time
def test_what_no_parser_lets_through_dies_in_the_sandbox(client, server, made, place, half):
    mark = place / "mark"
    outside = prisoner_home.listing(client.source), os.listdir("/")
    for name, words in list(holes(client, server, place, mark).items())[half::2]:
        result = gate(client, server, "run default", *words)
        assert last_line(result)["outcome"] != "ok", (name, result.stderr)
        assert client.records("accept")[-1]["sandbox"]["landlock"] == landlock.abi()
        assert not mark.exists() and os.listdir(place) == [], name
        assert (prisoner_home.listing(client.source), os.listdir("/")) == outside, name
    assert gate(client, server, "run prune").returncode == 0  # and the repository is as usable as before


def test_what_no_parser_lets_through_would_leave_its_mark_without_the_sandbox(client, server, made, place):
    """So that the test above can fail; but with-lock, which writes and loads no key, already ends at the gate."""
    client.policy(sandbox="off", disclose="names")
    mark = place / "mark"
    left = set()
    for name, words in holes(client, server, place, mark).items():
        if name in ("content-from-command", "debug-profile", "with-lock", "export-tar", "key export", "rsh"):
            result = gate(client, server, "run default", *words)
            assert (name == "with-lock") == (last_line(result).get("reason") == "repository-replaced"), name
            if mark.exists():
                left.add(name)
                mark.unlink()
    assert left == {"content-from-command", "debug-profile", "export-tar", "key export", "rsh"}


def test_a_wrapper_of_borg_is_held_without_landlock_where_that_is_preferred(client, server):
    wrapper = client.directory / "borg-with-variables"
    wrapper.write_text(f'#!/bin/bash\nexport BORG_FILES_CACHE_TTL=30\nexec {client.borg} "$@"\n')
    wrapper.chmod(0o755)
    client.policy(borg=wrapper)
    assert last_line(gate(client, server, "run init"))["reason"] == "sandbox-unavailable"
    why = client.records("refuse")[-1]["detail"]
    assert "the files that borg may open cannot be confined" in why and repr(str(wrapper)) in why
    client.policy(borg=wrapper, sandbox="prefer")
    for job in ("init", "default"):
        result = gate(client, server, f"run {job}")
        assert last_line(result)["outcome"] == "ok", result.stderr
    held = client.records("accept")[-1]["sandbox"]
    assert (held["landlock"], held["lacks"][0], held["missing"]) == (0, "files", [why])
    assert bool(held["namespaces"]) == ROOT and (held["user"] != 0)


def test_files_that_the_job_does_not_name_cannot_be_read(client, server, made, place):
    """Not even by a create that somebody got past the parser."""
    elsewhere = place / "elsewhere"
    elsewhere.write_text("content")
    location = f"ssh://borgctl{server.repository}::x"
    result = gate(client, server, "run default", "create", "--", location, client.source, elsewhere)
    assert last_line(result)["outcome"] == "warning", result.stderr
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(client.directory / "admin")}
    env["BORG_RELOCATED_REPO_ACCESS_IS_OK"] = "yes"
    listed = run([client.borg, "list", "--short", f"{server.repository}::x"], env=env)
    assert listed.returncode == 0 and "source/etc" in listed.stdout and "elsewhere" not in listed.stdout


@pytest.mark.parametrize("mode", ["require", "off"])
def test_a_borg_that_was_taken_over_can_read_what_is_offered_and_nothing_else(client, server, scratch, mode):
    facts = prisoner_home.furnish(client, scratch, chain=ROOT and mode == "require")
    jobs, limits = {"default": {"paths": [client.source]}}, {"memory": "300M"} if mode == "require" else {}
    client.policy(borg=facts["program"], disclose="names", sandbox=mode, jobs=jobs, limits=limits)
    with prisoner_home.listening(facts) as done, prisoner_home.key(facts), prisoner_home.without_objects():
        result = gate(client, server, "run default")
        left = prisoner_home.objects()
    told = prisoner_home.told(result)
    works = {"read", "temporary", "base", "python"}
    if mode == "off":  # the tries are real ones: root could do them
        assert works <= set(told["succeeded"])
        roots = {"chmod", "root's socket", "shell", "mount", "kill", "key", "see processes", "watch elsewhere"}
        assert not ROOT or roots <= set(told["succeeded"])
        everybodys = {"tcp", "udp", "netlink", "new key", "shared memory", "semaphore", "messages", "memory file"}
        assert everybodys | {"much memory"} <= set(told["succeeded"])
        assert {kind for kind, _ in left} == {"shm", "sem", "msg"}
        return
    assert left == []
    if ROOT:
        written = (client.base / "borg/chain").read_bytes()
        time.sleep(0.2)
        assert written and (client.base / "borg/chain").read_bytes() == written  # who outlived the run would write on
    lacking = {
        "truncate": {"truncate"},
        "TCP": {"tcp", "tcp listen"},
        "signals and abstract sockets": {"abstract socket", "kill"},
    }
    missing = set().union(*(lacking.get(name, set()) for name in landlock.lacking(landlock.abi())))
    # without root borg runs on the owner's own files, and nothing forbids the owner these
    owner = set() if ROOT else {"root's socket", "see processes"}
    assert set(told["succeeded"]) - missing <= works | owner, told
    assert works <= set(told["succeeded"])
    assert told["uid"] == (int(machines.BORG_USER) if ROOT else os.geteuid())
    assert not ROOT or told["groups"] == []
    assert done["dialled"] == 0 or not ROOT
    assert (client.source / "etc/offered").read_text() == "offered"


@pytest.mark.skipif(not ROOT, reason="an ordinary user's borg cannot leave access times of other users' files")
def test_a_backup_leaves_access_times_as_they_are(client, server):
    """As root's own borg does: whoever looks for files that nobody reads finds the same ones."""
    files = [client.source / "etc/owned", client.source / "etc/foreign"]
    for file, owner in zip(files, (0, 1234), strict=True):
        file.write_text("x")
        os.chown(file, owner, owner)
        os.utime(file, (1, 2))
    assert gate(client, server, "run init").returncode == gate(client, server, "run default").returncode == 0
    assert [file.stat().st_atime for file in files] == [1, 1]


# The least that a policy can say is more than a small backup takes
LITTLE = """
from borgctl.sandbox import privileges
from borgctl.gate import main
limit = privileges.limit_memory
privileges.limit_memory = lambda size: limit(40_000 << 10)
main.main()
"""


def test_a_borg_that_needs_more_memory_than_the_policy_gives_says_so_and_has_failed(client, server, made):
    result = gate(client, server, "run default", program=("-c", LITTLE))
    told = last_line(result)
    assert (told["outcome"], told["reason"], result.returncode) == ("limit", "memory-limit", 124), result.stderr
    assert gate(client, server, "run default").returncode == 0


@pytest.fixture
def tree(client):
    """What is hard to save: attributes, access lists, holes, hard links, many names, files that others cannot read."""
    top = client.source / "hard"
    top.mkdir()
    (top / "attributes").write_text("x")
    os.setxattr(top / "attributes", "user.colour", b"blue\0green")
    acl = bytes.fromhex("0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000400ffffffff")
    (top / "acl").write_text("x")
    os.setxattr(top / "acl", "system.posix_acl_access", acl)
    with (top / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"data")
    (top / "one").write_text("linked")
    os.link(top / "one", top / "two")
    (top / "nobody-reads").write_text("secret")
    (top / "nobody-reads").chmod(0)
    (top / "closed").mkdir()
    (top / "closed/file").write_text("x")
    (top / "closed").chmod(0)
    os.mkfifo(top / "pipe")
    (top / "dangling").symlink_to("nowhere")
    for number in range(100):
        folder = top / f"many/{number:02}"
        folder.mkdir(parents=True)
        for name in range(100):
            (folder / f"{name:02}").write_text(f"{number} {name}")
    if ROOT:
        os.chown(top / "one", 1234, 4321)
        os.mknod(top / "device", 0o600 | 0o20000, os.makedev(1, 3))
    yield top
    (top / "closed").chmod(0o700)


def test_a_hard_tree_gives_the_same_archive_as_without_the_sandbox(client, server, made, tree, scratch):
    for mode in ("require", "off"):
        archive = {"paths": [client.source], "archive": f"tree-{mode}"}
        client.policy(sandbox=mode, disclose="names", jobs={"default": archive})
        outcome = last_line(gate(client, server, "run default"))["outcome"]
        assert outcome == ("ok" if ROOT else "warning")
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(client.directory / "admin")}
    env["BORG_RELOCATED_REPO_ACCESS_IS_OK"] = "yes"
    found, extracted = [], []
    for mode in ("require", "off"):
        location = f"{server.repository}::tree-{mode}"
        keys = "{type}{mode}{uid}{gid}{user}{group}{path}{source}{size}{mtime}{sha256}{health}{flags}{linktarget}"
        listed = run([client.borg, "list", "--json-lines", "--format", keys, location], env=env, timeout=120)
        assert listed.returncode == 0, listed.stderr
        found.append([json.loads(line) for line in listed.stdout.splitlines()])
        place = scratch / f"extracted-{mode}"
        place.mkdir()
        out = run([client.borg, "extract", "--sparse", location], env=env, cwd=place, timeout=120)
        assert out.returncode == 0, out.stderr
        extracted.append(place)
        if ROOT:
            hard = place / str(tree).lstrip("/")
            assert os.getxattr(hard / "attributes", "user.colour") == b"blue\0green"
            assert os.listxattr(hard / "acl") == ["system.posix_acl_access"]
            assert (hard / "one").stat().st_ino == (hard / "two").stat().st_ino
            assert (hard / "sparse").stat().st_blocks < 64 << 11
    assert found[0] == found[1] and len(found[0]) > 10_100
    unreadable = ["--", *map(str, extracted)]
    differing = run(["diff", "-r", "--no-dereference", "-x", "pipe", "-x", "device", *unreadable], timeout=120)
    assert not ROOT or (differing.returncode, differing.stdout) == (0, "")


WITHOUT_LANDLOCK = SUPPORT / "programs.py"


@pytest.mark.parametrize("mode", ["require", "prefer"])
def test_a_kernel_that_refuses_landlock(client, server, mode):
    """seccomp(2) answers in the kernel's place, as many containers' filters do."""
    text = re.search(r'WITHOUT_LANDLOCK = """\n(.*?)"""', WITHOUT_LANDLOCK.read_text(), re.DOTALL)[1]
    starter = f"import os, sys\n{text}\nrefuse(38)\nos.execv(sys.argv[1], sys.argv[1:])"
    client.policy(sandbox=mode)
    result = gate(client, server, "run init", before=[sys.executable, "-I", "-c", starter])
    if mode == "require":
        assert last_line(result)["reason"] == "sandbox-unavailable" and result.returncode == 78
        assert "no Landlock" in client.records("refuse")[-1]["detail"]
        assert not list(server.repository.glob("*"))
        return
    assert result.returncode == 0, result.stderr
    user = int(machines.BORG_USER) if ROOT else os.geteuid()
    own = ["pid", "ipc", "net"] if ROOT else []
    why = "this kernel has no Landlock, or refuses it to us"
    record = {"landlock": 0, "user": user, "namespaces": own, "lacks": ["files"], "missing": [why]}
    assert client.records("accept")[-1]["sandbox"] == record


@pytest.mark.skipif(not ROOT, reason="only root can start the gate as another user")
def test_the_gate_of_an_ordinary_user_is_held_too(client, server, scratch):
    facts = prisoner_home.furnish(client, scratch)
    jobs, limits = {"default": {"paths": [client.source]}}, {"memory": "300M"}
    client.policy(borg=facts["program"], user=None, disclose="names", jobs=jobs, limits=limits)
    python = prisoner_home.interpreter(scratch / "python")
    for path in (client.directory, *client.directory.rglob("*")):
        os.chown(path, 64200, 64200, follow_symlinks=False)
    scratch.chmod(0o711)
    argv = ["/usr/bin/setpriv", "--reuid=64200", "--regid=64200", "--clear-groups", python, "-I", "-m", "borgctl.gate"]
    env = [
        "/usr/bin/env",
        "-i",
        "PATH=/usr/bin:/bin",
        "SSH_ORIGINAL_COMMAND=run default",
        "SSH_CONNECTION=192.0.2.1 1 1 1",
    ]
    with prisoner_home.listening(facts):
        result = over_stdio(
            [*env, *argv, "--policy", client.policy_file], None, "/usr/bin/borg", server.repository, server.state
        )
    told = prisoner_home.told(result)
    assert told["uid"] == 64200
    owner = {"read", "temporary", "base", "python", "chmod", "setxattr", "utime", "chown", "see processes"}
    assert set(told["succeeded"]) <= owner, told
    record = client.records("accept")[-1]["sandbox"]
    lacks = list(landlock.lacking(landlock.abi()))
    assert record == {"landlock": landlock.abi(), "user": 64200, "namespaces": [], "lacks": lacks}
