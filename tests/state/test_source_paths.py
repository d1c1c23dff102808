"""Paths that a peer chose: no symlink leads one of them elsewhere."""

import contextlib

import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.policy.judge import judge
from borgctl.policy.load import InvalidPolicy
from borgctl.state import source_paths
from borgctl.values import DevicePath
from borgctl.wire.request_parser import parse


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "real/below/file").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/up").symlink_to("/etc")
    (tmp_path / "real/loop").symlink_to("loop")
    return tmp_path


def checked(*paths):
    source_paths.check([str(path) for path in paths])


def refused(path):
    with pytest.raises(BorgctlError) as caught:
        checked(path)
    assert caught.value.reason.code == "source-refused"
    return caught.value.detail


def test_real_files_and_directories_are_taken(tree):
    checked(tree, tree / "real", tree / "real/below/file", "/", "/etc/passwd")


def test_a_missing_path_cannot_be_led_elsewhere(tree):
    checked(tree / "none", tree / "none/below", tree / "real/none")


@pytest.mark.parametrize("missing", ["none", "none/below", "real/below/file/x"])
def test_a_path_that_is_not_there_is_missing_and_named(tree, missing):
    there = [str(tree / name) for name in ("real", "link", "real/up", "real/loop")]
    source_paths.require_present(there)
    with pytest.raises(BorgctlError) as caught:
        source_paths.require_present([*there, str(tree / missing)])
    assert caught.value.reason.code == "source-missing" and repr(str(tree / missing)) in caught.value.detail


@pytest.mark.parametrize("path", ["link/below", "link/below/file", "real/up/shadow", "real/loop/x", "link/none/x"])
def test_a_symlink_among_the_parents_is_refused(tree, path):
    assert "symlink" in refused(tree / path)


def test_the_last_component_may_be_a_symlink_which_borg_keeps_as_one(tree):
    checked(tree / "link", tree / "real/up", tree / "real/loop")


def test_a_file_among_the_parents_is_refused(tree):
    refused(tree / "real/below/file/x/y")


def test_a_name_that_is_too_long_is_refused(tree):
    refused(tree / ("x" * 300) / "y")


def test_one_bad_path_spoils_all(tree):
    with pytest.raises(BorgctlError):
        checked(tree / "real", tree / "link/below", "/etc")


def test_nothing_stays_open(tree):
    before = len(stage.descriptors())
    for path in ("real/below/file", "link/below", "none/x", "real/below/file/x"):
        with contextlib.suppress(BorgctlError):
            checked(tree / path)
    assert len(stage.descriptors()) == before


# ---- devices

TEXT = """\
version: 1
repositories: {/srv/a: {encryption: required}}
passphrase: {file: /etc/borgctl/passphrase}
jobs: {default: {paths: [PATH], options: {read-special: SAID}}}
"""


def test_a_device_is_for_a_job_that_says_so_and_for_no_request(tmp_path):
    def problem(text):
        return str(stage.outcome(InvalidPolicy, stage.written, tmp_path, text))

    device = TEXT.replace("PATH", "/dev/vg/lv")
    policy = stage.written(tmp_path, device.replace("SAID", "yes"))
    launch = judge(policy, parse(b"run default"), stage.FACTS)
    assert launch.devices == ("/dev/vg/lv",) and launch.paths == (DevicePath("/dev/vg/lv"),)
    assert "with the option 'read-special: yes'" in problem(device.replace("SAID", "no"))
    for path in ("/dev", "/proc/1/mem", "/sys/x"):
        assert "hold no files" in problem(TEXT.replace("PATH", path).replace("SAID", "yes"))
    assert "without '.', '..'" in problem(TEXT.replace("PATH", "/dev/../etc").replace("SAID", "yes"))
    offer = "commands: {create: {options: [], paths: [/dev/vg/lv]}}\n"
    assert "/dev hold no files" in problem(device.replace("SAID", "yes") + offer)
    assert stage.outcome(BorgctlError, parse, b"borg create ::a /dev/vg/lv").reason.code == "bad-value"


def devices(path, **options):
    return stage.outcome(BorgctlError, lambda: source_paths.require_devices([str(path)], **options))


def test_what_is_no_block_device_is_refused_below_dev_and_is_a_file_elsewhere(tree):
    for path in ("/dev/null", "/dev/fd", "/dev/not-there"):
        error = devices(path)
        assert error.reason.code == "device-unusable" and repr(path) in error.detail
    assert devices("/dev/not-there", missing=True) is None
    assert devices(tree / "real/below/file") is devices(tree / "link") is devices(tree / "real/loop") is None


def test_a_link_that_another_user_could_lead_to_a_device_is_refused_wherever_it_leads_now(tree):
    (tree / "disk").symlink_to("real/below/file")
    assert devices(tree / "disk") is None
    tree.chmod(0o777)
    error = devices(tree / "disk")
    assert error.reason.code == "device-unusable" and "other users may replace" in error.detail
    assert devices(tree / "real/below/file") is devices(tree / "real/below") is None
