"""Older parts of a log are found by name, and ignored where another user could have put them there."""

import os

import pytest

from borgctl.audit import rotation
from borgctl.audit.log import Log
from borgctl.values import Head

NAME = "audit.jsonl"


@pytest.fixture
def parts(tmp_path):
    """Make parts of a log as logrotate(8) leaves them, the newest last."""
    for age, name in enumerate((f"{NAME}.1", f"{NAME}-20261123", "audit-20261124.jsonl.gz")):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o640)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    return tmp_path


def test_older_parts_are_those_of_this_log_the_newest_first(parts):
    for other in (f"{NAME}.head", f"{NAME}x.1", f"x{NAME}.1", f"{NAME}.old", "audit.jsonl"):
        (parts / other).touch()
    assert rotation.older(str(parts), NAME) == ["audit-20261124.jsonl.gz", f"{NAME}-20261123", f"{NAME}.1"]


@pytest.mark.parametrize("how", ["others may write it", "a symlink", "a FIFO", "a directory", "another user's"])
def test_what_another_user_could_have_put_there_is_left_out(parts, how):
    part = parts / f"{NAME}.1"
    if how == "others may write it":
        part.chmod(0o646)
    elif how == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(part, 64123, 64123)
    else:
        part.unlink()
        make = {"a symlink": lambda: part.symlink_to(f"{NAME}-20261123"), "a FIFO": lambda: os.mkfifo(part)}
        make.get(how, part.mkdir)()
    assert rotation.older(str(parts), NAME) == ["audit-20261124.jsonl.gz", f"{NAME}-20261123"]


def test_a_part_that_is_left_out_keeps_no_run_from_its_record(parts):
    (parts / f"{NAME}.1").chmod(0o666)
    parts.chmod(0o700)
    log = Log.open(str(parts / NAME), syslog=False)
    head = log.append({"type": "accept"})
    assert head is not None and log.for_server(head, head)["continues"] is True
    assert log.for_server(head, Head(7, "0" * 64))["continues"] is False
    log.close()
