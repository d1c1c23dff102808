"""Free space on our own disk: a full disk is told from other errors, and noticed before a run."""

import errno
import os

import pytest

from borgctl.errors import BorgctlError
from borgctl.fs import free_space


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no-space"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "no-space"),
        (PermissionError(errno.EACCES, "Permission denied"), "base-unusable"),
        (ValueError("damaged"), "base-unusable"),
    ],
)
def test_what_could_not_be_written_is_named_with_why(error, code):
    told = free_space.write_error("base-unusable", "/var/lib/x", error)
    assert told.reason.code == code and told.detail.startswith("'/var/lib/x': ")


def test_a_full_file_system_is_named_and_what_is_not_there_is_not_full(tmp_path, monkeypatch):
    free_space.require([str(tmp_path), str(tmp_path / "none")])
    monkeypatch.setattr(free_space, "LEAST", 1 << 62)
    with pytest.raises(BorgctlError) as caught:
        free_space.require([str(tmp_path / "none"), str(tmp_path)])
    assert caught.value.reason.code == "no-space" and repr(str(tmp_path)) in caught.value.detail
