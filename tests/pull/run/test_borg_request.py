"""A borg subcommand that a person spells out: what is asked for, what it may do, and that it is no backup."""

import json
import time

import pytest

from borgctl.pull.run.borg_request import read
from borgctl.pull.state import state_file
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName, lock
from borgctl.values import ArchiveName
from borgctl.wire.request import Borg

NAME = TargetName("web1")


@pytest.fixture
def asked(world, borgpull):
    """Give a function that spells something out; it returns status, stdout, stderr and what the client was asked."""
    good = Past(time.time() - 3600, "ok")
    state_file.save(world.folders, NAME, State(last=good, jobs={"default": JobRecord(good, good, "create")}))
    (world.root / "repo/web1").mkdir()
    (world.root / "repo/web1/README").write_text("This is a Borg Backup repository.")

    def ask(steps, *words):
        note = world.root / "asked"
        note.unlink(missing_ok=True)
        world.local({"borg": [["asked", str(note)], *steps]}, expect="26h", borg=world.quiet_serve())
        status, out, err = borgpull("borg", "web1", *words)
        return status, out, err, note.read_text().strip() if note.exists() else None

    return ask


def start(world, command):
    return ["say", "start", {"command": command, "repository": f"{world.root}/repo/web1"}]


def test_a_list_reaches_the_client_as_it_was_spelled_and_its_result_is_shown(world, borgpull, asked) -> None:
    steps = [start(world, "list"), ["out", "etc/fstab"], ["claim", "ok", 0]]
    status, out, err, request = asked(steps, "--", "list", "--short", "::web1-monday")
    assert (status, out) == (0, "web1 borg list: result: etc/fstab\n"), err
    assert request == f"borg --repository={world.root}/repo/web1 --log=json list --short -- ::web1-monday"
    assert borgpull("status")[:2] == (0, "web1 default: ok, last good 1 h 0 min ago\n")
    status, out, _, _ = asked(steps, "--json", "--", "list", "::web1-monday")
    assert (status, json.loads(out)["result"]) == (0, ["etc/fstab"])


def test_a_request_that_is_refused_is_no_failed_backup(world, borgpull, asked) -> None:
    status, _, err, _ = asked([["refuse", "refused", 77, "command-not-offered"]], "--", "info")
    assert status == 2 and "web1 borg info: refused (gate: command-not-offered" in err
    assert borgpull("status")[0] == 0


@pytest.mark.parametrize("command", ["list", "info", "check"])
def test_what_reads_can_change_nothing(world, borgpull, asked, command) -> None:
    words = [command, "::a"] if command == "list" else [command]
    status, _, err, _ = asked([start(world, command), ["backup"], ["claim", "ok", 0]], "--", *words)
    assert status == 2 and f"web1 borg {command}: failed (guard: rpc-refused)" in err
    alerts = json.loads(borgpull("status", "--json")[1])["alerts"]
    assert [alert["text"].split(":")[0] for alert in alerts] == [f"a borg {command}"]


def test_a_create_that_saves_nothing_has_failed(world, asked) -> None:
    words = ("--", "create", "::a", "/etc")
    status, _, err, _ = asked([start(world, "create"), ["claim", "ok", 0]], *words)
    assert status == 2 and "nothing-committed" in err
    assert asked([start(world, "create"), ["backup"], ["claim", "ok", 0]], *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "prune", "--keep-daily=7"), "--deletes says how many objects a prune may delete"),
        (("--deletes", "5", "--", "info"), "--deletes says how many objects a prune may delete"),
        (("--", "init", "--encryption=repokey-blake2"), "target 'web1' has a repository"),
        (("--", "--repository=/srv/other", "list"), "options before the subcommand"),
        (("--", "--log=json", "info"), "options before the subcommand"),
        (("--", "delete", "::a"), "'delete' is not a subcommand"),
        (("--", "list", "--rsh=x"), "is not an option"),
        (("--", "list", "caf\u00e9"), "not printable ASCII"),
        (("--",), "Missing argument"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_starts(asked, words, said) -> None:
    status, _, err, request = asked([], *words)
    assert status == 2 and said in err and request is None


def test_a_target_at_work_is_busy(world, asked) -> None:
    with lock(world.folders, NAME):
        status, _, err, request = asked([], "--", "info")
    assert status == 2 and "is busy" in err and request is None


def test_words_are_read_as_the_gate_reads_them() -> None:
    assert read(["list", "::a"]) == Borg("list", archive=ArchiveName("a"))
    with pytest.raises(PullError, match="subcommand"):
        read([])
