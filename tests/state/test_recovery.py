"""When the recovery page is due."""

import os
import shutil

import pytest
import stage
from machines import seeing_opens

from borgctl.errors import BorgctlError
from borgctl.state import pins, recovery
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

PATH = RepositoryPath("/srv/borg/web1")
ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def base(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "base"))
    yield base
    os.close(base.fd)


def keys(base):
    directory = f"{base.borg}/.config/borg/keys"
    os.makedirs(directory, exist_ok=True)
    return directory


def test_nothing_is_due_before_there_is_a_repository(base):
    assert recovery.due(base, PATH) is None


def test_the_page_is_due_until_it_is_printed_and_again_when_the_key_changes(base):
    pins.set_pin(base, "repository", PATH, ONE)
    pins.set_pin(base, "key", PATH, ONE)
    assert "never printed" in recovery.due(base, PATH)
    recovery.note(base, PATH)
    assert recovery.due(base, PATH) is None
    assert recovery.printed(base, PATH).key == ONE
    pins.set_pin(base, "key", PATH, OTHER)
    assert "has changed since" in recovery.due(base, PATH)
    recovery.note(base, PATH)
    assert recovery.due(base, PATH) is None


def test_a_note_that_cannot_be_read_counts_as_none(base):
    pins.set_pin(base, "repository", PATH, ONE)
    pins.set_pin(base, "recovery", PATH, "yesterday")
    assert "never printed" in recovery.due(base, PATH)


def test_a_keyfile_is_found_by_its_first_line_whatever_its_name_is(base):
    pins.set_pin(base, "repository", PATH, ONE)
    assert recovery.keyfile(base, PATH) is None
    directory = keys(base)
    with open(f"{directory}/odd name", "w") as file:
        file.write(f"BORG_KEY {ONE}\nabc\n")
    with open(f"{directory}/another", "w") as file:
        file.write(f"BORG_KEY {OTHER}\nabc\n")
    os.mkfifo(f"{directory}/fifo")
    assert recovery.keyfile(base, PATH) == f"BORG_KEY {ONE}\nabc\n".encode()
    recovery.note(base, PATH)
    assert recovery.due(base, PATH) is None
    with open(f"{directory}/odd name", "a") as file:
        file.write("changed\n")
    assert "has changed since" in recovery.due(base, PATH)


def test_a_symlink_among_the_keys_is_not_followed(base, tmp_path):
    pins.set_pin(base, "repository", PATH, ONE)
    (tmp_path / "elsewhere").write_text(f"BORG_KEY {ONE}\nabc\n")
    os.symlink(tmp_path / "elsewhere", f"{keys(base)}/link")
    assert recovery.keyfile(base, PATH) is None


def test_what_is_no_file_among_the_keys_is_passed_over_and_left_open_by_nobody(base):
    directory = f"{base.borg}/.config/borg/keys"
    os.makedirs(f"{directory}/directory")
    os.mkfifo(f"{directory}/fifo")
    pins.set_pin(base, "repository", PATH, ONE)
    before = stage.descriptors()
    assert recovery.keyfile(base, PATH) is None
    assert stage.descriptors() == before


@pytest.mark.parametrize("step", [".config", ".config/borg", ".config/borg/keys"])
def test_a_symlink_above_the_keys_leads_nobody_elsewhere(base, tmp_path, step):
    """All of these directories are the user's that borg runs as."""
    pins.set_pin(base, "repository", PATH, ONE)
    with open(f"{keys(base)}/key", "w") as file:
        file.write(f"BORG_KEY {ONE}\nabc\n")
    shutil.move(f"{base.borg}/{step}", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", f"{base.borg}/{step}")
    with pytest.raises(BorgctlError, match=r"/borg/keys': Not a directory$") as caught:
        recovery.due(base, PATH)
    assert caught.value.reason.code == "base-unusable"


def test_what_is_no_file_among_the_keys_is_not_even_opened(base):
    """An open alone arms a watchdog, and rewinds a tape."""
    pins.set_pin(base, "repository", PATH, ONE)
    os.mkfifo(fifo := f"{keys(base)}/fifo")
    with seeing_opens(fifo) as opened:
        assert recovery.keyfile(base, PATH) is None
        assert not opened()
