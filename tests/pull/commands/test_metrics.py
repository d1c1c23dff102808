"""borgpull metrics: to stdout, or into the directory of node_exporter's textfile collector."""

import os
import stat
from pathlib import Path

import pytest
from fleets import good, recorded, remember
from machines import full_disk
from scraped import scraped


@pytest.fixture
def directory(world) -> Path:
    """Give a directory for the file, and the world a target."""
    remember(world, "web1", good(2))
    path = world.root / "textfile"
    path.mkdir()
    return path


def test_a_textfile_has_what_stdout_would_have_and_everybody_may_read_it(world, borgpull, directory) -> None:
    umask = os.umask(0o077)
    try:
        assert borgpull("metrics", "--textfile", str(directory)) == (0, "", "")
    finally:
        os.umask(umask)
    (file,) = directory.iterdir()
    assert file.name == "borgpull.prom" and stat.S_IMODE(file.stat().st_mode) == 0o644
    written, printed = scraped(file.read_text()), scraped(borgpull("metrics")[1])
    assert written.samples.keys() == printed.samples.keys()
    assert written("borgpull_last_success_timestamp_seconds", target="web1", backup_job="default") > 0


def test_a_reader_has_the_old_file_whole_or_the_new_one(world, borgpull, directory) -> None:
    borgpull("metrics", "--textfile", str(directory))
    before = (directory / "borgpull.prom").open()
    text = (directory / "borgpull.prom").read_text()
    world.local([], name="web2")
    borgpull("metrics", "--textfile", str(directory))
    assert before.read() == text != (directory / "borgpull.prom").read_text()
    before.close()


def test_the_old_file_stays_where_the_new_one_has_no_room_and_that_is_an_error(world, borgpull, directory) -> None:
    borgpull("metrics", "--textfile", str(directory))
    text = (directory / "borgpull.prom").read_text()
    with full_disk():
        status, out, err = borgpull("metrics", "--textfile", str(directory))
    assert (status, out, err) == (2, "", f"error: {directory}/borgpull.prom: File too large\n")
    assert [file.name for file in directory.iterdir()] == ["borgpull.prom"]
    assert (directory / "borgpull.prom").read_text() == text


def test_somebody_elses_symlink_is_replaced_and_not_followed(world, borgpull, directory) -> None:
    victim = world.root / "victim"
    victim.write_text("kept")
    (directory / "borgpull.prom").symlink_to(victim)
    assert borgpull("metrics", "--textfile", str(directory))[0] == 0
    assert victim.read_text() == "kept" and not (directory / "borgpull.prom").is_symlink()


INSTALL = f"make it, for the user that runs this: install -d -o {os.geteuid()} -m 0755"


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("nosuch", "no directory '{}'", f"{INSTALL} {{}}"),
        ("no such", "no directory '{}'", f"{INSTALL} '{{}}'"),
        ("file", "'{}' is no directory", "--textfile takes the directory in which node_exporter finds borgpull.prom"),
    ],
)
def test_a_directory_that_is_none_is_an_error_with_a_hint(world, borgpull, directory, name, error, hint) -> None:
    (world.root / "file").touch()
    place = f"{world.root}/{name}"
    status, out, err = borgpull("metrics", "--textfile", place)
    assert (status, out, err) == (2, "", f"error: {error.format(place)}\nhint: {hint.format(place)}\n")


def test_a_directory_in_which_nobody_may_write_is_an_error_that_says_what_to_do(world, borgpull, directory) -> None:
    """Not even root may make a file in /sys."""
    status, out, err = borgpull("metrics", "--textfile", "/sys")
    assert (status, out) == (2, "")
    assert err == (
        "error: cannot write '/sys/borgpull.prom': Permission denied\n"
        f"hint: as root let this user's group write there: chgrp {os.getegid()} /sys && chmod g+w /sys\n"
    )


def test_a_directory_of_no_name_is_an_error(world, borgpull, directory) -> None:
    status, _, err = borgpull("metrics", "--textfile", "")
    assert status == 2 and err.startswith("error: --textfile needs a directory\nhint: ")


def test_without_a_target_the_number_of_them_is_told(world, borgpull) -> None:
    status, out, err = borgpull("metrics")
    assert status == 0 and scraped(out)("borgpull_targets") == 0 and err.startswith("no target in ")


def test_root_reads_what_another_user_has_and_leaves_nothing_there(world, borgpull, directory) -> None:
    recorded(world, "web1", 1000)
    other, top = 12345, [Path(world.folders.config), Path(world.folders.state)]
    world.root.chmod(0o755)  # that user can reach what is theirs
    paths = [path for one in top for path in (one, *one.rglob("*"))]
    for path in paths:
        os.chown(path, other, other)
    assert borgpull("metrics", "--textfile", str(directory)) == (0, "", "")
    assert {path.stat().st_uid for one in top for path in (one, *one.rglob("*"))} == {other}
    assert (directory / "borgpull.prom").stat().st_uid == 0
