"""What the units say of an installation; what systemd says of them is in e2e/test_units."""

import os
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from borgctl.pull.client.client_command import Call
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, choose
from borgctl.pull.targets.targets import load
from borgctl.pull.units import installation as installations
from borgctl.pull.units.installation import Installation
from borgctl.pull.units.units import CRON, NAMES, files

BORGPULL = str(Path(sys.executable).with_name("borgpull"))
DEFAULT = {name: getattr(Installation.default(), name) for name in Installation.__match_args__}


def settings(text):
    """Return a unit's settings by their names; the last of several counts."""
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))


def service(**changes):
    return settings(files(Installation(**{**DEFAULT, **changes}))["borgpull.service"])


@pytest.fixture
def read(world, monkeypatch):
    """Give what reads this world's installation."""
    monkeypatch.setattr(sys, "argv", [BORGPULL, "units"])
    return lambda: installations.read(world.folders, {})


def test_the_instance_runs_one_target_and_has_the_same_restrictions():
    texts = files(Installation.default())
    assert tuple(texts) == NAMES
    one, all_ = settings(texts["borgpull@.service"]), settings(texts["borgpull.service"])
    assert one["ExecStart"].endswith(" run %i") and all_["ExecStart"].endswith(" run --all --due")
    assert {key for key in all_ if one[key] != all_[key]} == {"Description", "ExecStart"}


def test_a_stop_has_the_time_that_a_run_takes_to_end_in_order():
    assert settings(files(Installation.default())["borgpull.service"])["TimeoutStopSec"] == "3min"
    patience = Timeouts()
    local = 45  # of Call: the longest from TERM to KILL
    assert "patience" in Call.__match_args__
    assert local + sum(getattr(patience, field.name) for field in fields(patience) if field.name != "orphaned") < 180


def test_roots_keys_are_handed_over_by_a_folder_that_is_in_no_folder_of_the_users():
    assert service()["LoadCredential"] == service(local=True)["LoadCredential"] == "borgpull:/etc/borgpull-keys"
    folders = DEFAULT["folders"]
    assert os.path.dirname(folders.root_keys) == os.path.dirname(folders.config) == "/etc"
    assert service()["SetCredential"] == "borgpull:none", "without that folder the service would not start"
    for changes in ({"user": "root"}, {"keys": False}, {"own": True}):
        assert not {"LoadCredential", "SetCredential"} & set(service(**changes)), changes


def test_root_acts_on_no_path_of_the_users_but_by_the_credential():
    """PID 1 opens, makes or gives away what these name; what is read and bound for the service is the user's anyway."""
    acting = r"LoadCred|Import|\w+Directory=|EnvironmentFile|Bind|Root|Exec\w+=[-@:]*[+!]|Standard|PIDFile|Permissions"
    for name in ("borgpull.service", "borgpull@.service"):
        found = [line for line in files(Installation.default())[name].splitlines() if re.match(acting, line)]
        assert found == ["LoadCredential=borgpull:/etc/borgpull-keys"]


def test_what_a_run_needs_is_not_hidden():
    assert (service()["ProtectHome"], service()["PrivateTmp"]) == ("yes", "yes")
    assert service(needed=("/home/x/borg",))["ProtectHome"] == service(program="/root/x")["ProtectHome"] == "read-only"
    assert "PrivateTmp" not in service(writable=("/var/tmp/borg",))
    assert service(needed=("/homes", "/tmpfs"))["ProtectHome"] == "yes"
    assert (service(user="root")["ProtectHome"], service(user="root").get("PrivateTmp")) == ("read-only", None)


def test_the_gate_of_this_machine_itself_is_left_all_that_it_needs():
    for changes in ({}, {"user": "root"}, {"own": True}):
        assert not {"ProtectSystem", "NoNewPrivileges", "SystemCallFilter"} & set(service(local=True, **changes))


def test_an_ordinary_users_own_units_do_without_namespaces_and_without_a_user():
    unit = service(user="alice", own=True)
    assert unit["NoNewPrivileges"] == "yes" and unit["SystemCallFilter"] == "@system-service"
    assert not {"User", "ProtectSystem", "PrivateDevices", "LoadCredential", "After", "ReadWritePaths"} & set(unit)
    assert "MAILTO" not in files(Installation(**{**DEFAULT, "own": True}))[CRON]


def test_a_line_of_cron_names_the_user_in_cron_d():
    *_, mail, line = files(Installation.default())[CRON].splitlines()
    assert mail == "MAILTO=root" and line.startswith("30 * * * * borgpull /opt/borgctl/bin/borgpull --config-dir ")


# ---- what is read of this machine


def test_repositories_are_written_in_the_folder_that_is_ours_else_alone(world, read):
    world.target("web1", host="h")
    world.target("web2", host="h", repository="/usr/web2")
    world.target("web3", host="h", repository="/usr/share/web3")
    world.target("web4", host="h", repository="/var/lib/web4")
    world.target("web5", host="h", repository="/nonexistent/disk/web5")
    expected = {str(world.root / "repo"), "/usr/web2", "/var/lib/web4", "/nonexistent/disk/web5"}
    expected |= {"/usr/share" if os.geteuid() == 0 else "/usr/share/web3"}
    assert expected < set(read().writable)
    assert not {"/usr", "/var/lib", "/nonexistent/disk"} & set(read().writable)


def test_without_a_target_there_is_a_place_for_the_first(world, read):
    installation = read()
    assert len(installation.writable) == 1 and installation.keys and not installation.local


def test_the_folder_of_the_defaults_is_there_before_the_first_target(world, read):
    (world.root / "disk").mkdir()
    usual = set(read().writable)
    os.makedirs(world.folders.config, exist_ok=True)
    for repository, expected in {
        f"{world.root}/disk/{{target}}": {str(world.root / "disk")},
        f"{world.root}/disk/of-{{target}}/borg": {str(world.root / "disk")},
        f"{world.root}/none/{{target}}": set(),
        "/usr/{target}": set(),
        "/{target}": set(),
    }.items():
        Path(world.folders.defaults).write_text(f"repository: {repository}\n")
        assert set(read().writable) == usual | expected, repository
    Path(world.folders.defaults).write_text("quota: 1T\n")
    assert set(read().writable) == usual


def test_targets_say_whether_one_is_this_machine(world, read):
    world.target("web1", host="h")
    assert not read().local
    world.local([], name="self")
    assert read().local


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what is another user's")
def test_keys_are_handed_over_only_where_root_alone_can_change_their_folder_and_all_above(world, read):
    """Another user could put a link there, and root would read for that user what it leads to."""
    os.makedirs(world.folders.config)
    keys = Path(world.folders.root_keys)
    assert read().keys, "what is missing can be made by root alone"
    keys.mkdir(mode=0o700)
    assert read().keys
    for path in (keys, keys.parent):
        os.chown(path, 65534, -1)
        assert not read().keys
        os.chown(path, 0, -1)
        path.chmod(0o770)
        assert not read().keys
        path.chmod(0o700)
    keys.rmdir()
    os.chown(keys.parent, 65534, -1)
    assert not read().keys, "its owner could make it"
    os.chown(keys.parent, 0, -1)
    keys.symlink_to("/usr/share")
    os.chown(keys, 65534, -1, follow_symlinks=False)
    assert not read().keys


def test_a_target_file_that_is_wrong_is_said_and_nothing_is_printed(world, borgpull, monkeypatch):
    world.target("web1", host="h")
    Path(world.folders.target(TargetName("web1"))).write_text("bogus: 1\n")
    status, out, err = borgpull("units", "borgpull.service")
    assert (status, out) == (2, "") and "web1.yaml:1:1: unknown key 'bogus'" in err


def test_the_program_is_the_one_that_was_started_also_through_a_link(world, monkeypatch):
    link = world.root / "borgpull"
    link.symlink_to(BORGPULL)
    monkeypatch.setattr(sys, "argv", [str(link)])
    installation = installations.read(world.folders, {})
    assert installation.program == str(link) and os.path.realpath(BORGPULL) in installation.needed
    monkeypatch.setattr(sys, "argv", ["something-else"])
    assert installations.read(world.folders, {}).program == BORGPULL


def test_a_program_that_is_nowhere_is_an_error(world, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    with pytest.raises(PullError, match="where borgpull is installed"):
        installations.read(world.folders, {})


def test_all_files_are_printed_each_behind_its_place_and_one_alone_as_it_is(world, borgpull):
    status, out, err = borgpull("units")
    assert (status, err) == (0, "")
    places = re.findall(r"(?m)^# ---- (\S+)", out)
    assert len(places) == len(NAMES) + 1 and out.endswith("enable --now borgpull.timer\n")
    for name in NAMES:
        status, one, err = borgpull("units", name)
        assert (status, err) == (0, "") and one in out
    assert borgpull("units", "borgpull.socket")[0] == 2


def test_root_is_told_to_call_the_program_itself_whose_output_it_puts_in_place(world, borgpull):
    """The README's alias would start a process of user borgpull, and what that prints would be root's unit."""
    (step,) = re.findall(r"(?m)^# +for unit in .*$", borgpull("units")[1])
    words = (
        f"/borgpull --config-dir {world.folders.config} --state-dir {world.folders.state} units $unit >/etc/systemd/"
    )
    assert re.search(rf"; do /[^ ]+{re.escape(words)}", step) or os.geteuid() >= 1000, step


def test_units_writes_nothing(world, borgpull):
    before = sorted(map(str, world.root.rglob("*")))
    assert borgpull("units")[0] == 0
    assert sorted(map(str, world.root.rglob("*"))) == before


# ---- keys that systemd hands over


def test_a_key_that_systemd_hands_over_is_taken_before_the_one_in_the_folder(world):
    credentials = world.root / "credentials"
    credentials.mkdir()
    (credentials / "borgpull_web1").touch()
    for name in ("web1", "web2"):
        world.target(name, host="h")
    world.target("web3", host="h", identity="/etc/other/key")
    (credentials / "borgpull_web3").touch()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    folders = choose(world.folders.config, world.folders.state, environment)
    keys = [load(folders, TargetName(name)).identity for name in ("web1", "web2", "web3")]
    assert keys == [f"{credentials}/borgpull_web1", f"{world.folders.keys}/web2", "/etc/other/key"]
    assert folders.key(TargetName("web1")) == f"{world.folders.keys}/web1"  # what `add` writes and `remove` removes
    shutil.rmtree(credentials)
    assert load(folders, TargetName("web1")).identity == f"{world.folders.keys}/web1"


@pytest.mark.parametrize("path", ["relative", "/run/%h", "/run/a b", "/run/../etc"])
def test_a_directory_of_keys_that_ssh_would_read_otherwise_is_refused(path):
    with pytest.raises(PullError, match="bad directory"):
        Folders("/etc/borgpull", "/var/lib/borgpull", path)
