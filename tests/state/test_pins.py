"""What is known of repositories: whole, or an error; and noticed where two paths share it."""

import os
from pathlib import Path

import pytest

from borgctl.errors import BorgctlError
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

US = (os.geteuid(), os.getegid())
A, B = RepositoryPath("/srv/a"), RepositoryPath("/srv/b")


@pytest.fixture
def base(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "base"))
    yield base
    os.close(base.fd)


def code_of(caught):
    return caught.value.reason.code


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "\0" * 64])
@pytest.mark.parametrize("kind", ["repository", "key"])
def test_what_is_kept_and_is_no_hash_is_refused_and_not_taken_for_nothing(base, kind, text):
    """Else the next id or key would be the first one, and whatever it is agreed to."""
    pins.set_pin(base, kind, A, "a" * 64)
    (file,) = Path(base.path).glob(f"{kind}-*")
    file.write_text(text)
    with pytest.raises(BorgctlError) as caught:
        pins.pin(base, kind, A)
    assert code_of(caught) == "base-unusable" and str(file) in caught.value.detail
    assert file.read_text() == text and pins.pin(base, kind, B) is None


def test_one_id_that_is_kept_for_two_paths_is_noticed(base):
    pins.set_pin(base, "repository", A, "a" * 64)
    assert not pins.is_pinned_elsewhere(base, "repository", A) and not pins.is_pinned_elsewhere(base, "repository", B)
    pins.set_pin(base, "repository", B, "b" * 64)
    pins.set_pin(base, "key", B, "a" * 64)
    assert not pins.is_pinned_elsewhere(base, "repository", A)
    pins.set_pin(base, "repository", B, "a" * 64)
    assert pins.is_pinned_elsewhere(base, "repository", A) and pins.is_pinned_elsewhere(base, "repository", B)
