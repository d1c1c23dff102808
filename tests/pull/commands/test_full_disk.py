"""A disk on which nothing can be written: each command names the file and the reason, and changes nothing."""

import contextlib
import json
import os
import re
import time
from pathlib import Path

import pytest
from machines import full_disk, run

from borgctl.openssh_key import HostKey
from borgctl.pull.repository import copies
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets import setup
from borgctl.pull.targets.paths import TargetName, host_id

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC1xFkK3JrBEAWJ8qfusMvXIUw+xkDzE2wIlhxeSGkiB"
NAME = TargetName("web1")
FULL = "File too large"  # EFBIG: with this limit on a file's size, where a disk that is full says ENOSPC


@pytest.fixture
def server(world, borgpull):
    """A server with a target that has run, has an alert, and whose repository was changed since."""
    repository = world.root / "repo" / "web1"
    (repository / "data").mkdir(parents=True)
    (repository / "config").write_text(f"[repository]\nid = {'a' * 64}\n")
    assert borgpull("add", "web1", "root@web1", "--repository", str(repository))[0] == 0
    setup.trust(world.folders, NAME, HostKey.read(KEY), replace=False)
    good = Past(time.time() - 60, "ok")
    state = State(last=good, jobs={"default": JobRecord(good, good, "create")}, repository="a" * 64, since=1.0)
    state.alert("audit-broken", "it does not go on", time.time())
    state_file.save(world.folders, NAME, state)
    copies.keep(world.folders, NAME, str(repository), 1_764_464_123.0)
    (repository / "config").write_text(f"[repository]\nid = {'a' * 64}\nkey = another\n")
    host_id(world.folders)
    return world


def files(server) -> dict[str, bytes]:
    """The files of the server, but for those that a reader of the history leaves, locks, and marks that are empty."""
    found = [path for path in server.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path): data for path in found if (data := path.read_bytes())}


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("trust", "web1", OTHER, "--replace"), "config/targets/web1.yaml"),
        (("run", "web1"), "state/run/[0-9a-f]+/known_hosts"),
        (("run", "--all"), "state/run/[0-9a-f]+/known_hosts"),
        (("test", "web1"), "state/run/[0-9a-f]+/known_hosts"),
        (("window", "web1", "--for", "30s"), "state/run/[0-9a-f]+/known_hosts"),
        (("accept", "web1", "--reason", "looked"), "state/web1/state.json"),
        (("forget", "web1", "--job", "default"), "state/web1/state.json"),
        (("copies", "web1", "--put-back", "1"), "state/web1/copies/2-config-[0-9]+"),
        (("export", "--to", "monday"), "monday"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_command_names_the_file_and_changes_nothing(server, borgpull, monkeypatch, words, file) -> None:
    monkeypatch.chdir(server.root)
    before = files(server)
    with full_disk():
        status, out, err = borgpull(*words)
    assert status == 2 and "Traceback" not in err + out and "Errno" not in err
    assert re.search(rf"error: .*{server.root}/{file}.*{FULL}", err), err
    assert files(server) == before
    assert not [path for path in server.root.rglob("*") if path.name.endswith((".new", ".tmp", ".partial"))]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_compact_after_which_the_state_cannot_be_kept_is_a_warning(world, borg, repository, borgpull) -> None:
    world.target(transport="local", policy="/none/policy.yaml", borg=borg)
    os.makedirs(world.folders.state)
    assert run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", world.folders.state]).returncode == 0
    try:
        host_id(world.folders)
        with contextlib.suppress(OSError), open(f"{world.folders.state}/ballast", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        status, _, err = borgpull("compact", "web1")
        assert status == 1 and "web1 compact: ok\n" in err
        assert f"ALERT: state-unwritable: {world.folders.memory(NAME)}: No space left on device" in err
    finally:
        assert run(["umount", world.folders.state]).returncode == 0


def test_a_run_that_cannot_start_for_that_is_a_report_like_any_other(server, borgpull) -> None:
    with full_disk():
        status, out, _ = borgpull("run", "--all", "--json")
    (report,) = map(json.loads, out.splitlines())
    assert (status, report["outcome"], report["reason"]) == (2, "failed", "not-started")
    texts = [message["text"] for message in report["messages"]]
    assert texts[0].endswith(f"/known_hosts: {FULL}") and Path(texts[0].partition(": ")[0]).parent.parent.is_dir()
