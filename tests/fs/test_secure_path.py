"""Each way in which another user could choose what is at a path is refused."""

import contextlib
import os
import stat

import pytest
import stage

from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath, directory

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")


@pytest.fixture
def room(tmp_path):
    """A directory of ours with a file of ours."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "dir").mkdir(mode=0o700)
    return tmp_path


def unsafe(path, **options):
    with pytest.raises(InsecurePath) as caught:
        SecurePath.at(str(path), **options).close()
    return str(caught.value)


def content(path, **options):
    with SecurePath.at(str(path), **options) as pinned:
        return pinned.read(100)


def descriptors():
    return len(stage.descriptors())


def test_a_file_of_ours_is_held_and_read(room):
    assert content(room / "file") == b"content"


@pytest.mark.parametrize("path", ["", "file", "./file", "../x", "~/x"])
def test_a_path_is_absolute(path):
    assert "not absolute" in unsafe(path)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_unsafe_at_any_depth(room, mode):
    below = room / "dir" / "below"
    below.mkdir(mode=0o700)
    (below / "file").write_text("x")
    (room / "dir").chmod(mode)
    assert "other users may replace" in unsafe(below / "file")


@only_root
def test_a_sticky_directory_of_root_is_safe_where_the_next_component_is_ours(room):
    (room / "dir").chmod(0o1777)
    (room / "dir" / "file").write_text("x")
    assert content(room / "dir" / "file") == b"x"
    os.chown(room / "dir" / "file", OTHER, OTHER)
    assert f"uid {OTHER}" in unsafe(room / "dir" / "file")


@only_root
def test_a_sticky_directory_of_another_user_is_unsafe(room):
    (room / "dir" / "file").write_text("x")
    os.chown(room / "dir", OTHER, OTHER)
    (room / "dir").chmod(0o1777)
    assert f"uid {OTHER}" in unsafe(room / "dir" / "file", owners={0, OTHER, 1}.difference({OTHER}))
    assert "other users may replace" in unsafe(room / "dir" / "file", owners={0, OTHER})


@pytest.mark.skipif(stage.ROOT, reason="root's sticky directories are safe")
def test_a_sticky_directory_of_ours_is_unsafe_where_we_are_not_root(room):
    (room / "dir" / "file").write_text("x")
    (room / "dir").chmod(0o1777)
    assert "other users may replace" in unsafe(room / "dir" / "file")


@only_root
@pytest.mark.parametrize("which", ["dir", "dir/file", "dir/link"])
def test_what_another_user_owns_is_unsafe(room, which):
    (room / "dir/file").write_text("x")
    (room / "dir/link").symlink_to(room / "file")
    os.chown(room / which, OTHER, OTHER, follow_symlinks=False)
    assert f"uid {OTHER}" in unsafe(room / (which if which != "dir" else "dir/file"))


@only_root
def test_an_owner_may_be_named(room):
    os.chown(room / "file", OTHER, OTHER)
    assert content(room / "file", owners={0, OTHER}) == b"content"


def test_a_symlink_in_safe_hands_is_followed(room):
    (room / "absolute").symlink_to(room / "file")
    (room / "relative").symlink_to("dir/../file")
    (room / "chain").symlink_to("absolute")
    (room / "to-dir").symlink_to("dir")
    (room / "dir/file").write_text("x")
    assert content(room / "absolute") == content(room / "relative") == content(room / "chain") == b"content"
    assert content(room / "to-dir/file") == b"x"


def test_a_symlink_is_not_followed_where_none_may_be(room):
    (room / "link").symlink_to(room / "file")
    (room / "to-dir").symlink_to("dir")
    (room / "dir/file").write_text("x")
    assert "symlink" in unsafe(room / "link", follow=False)
    assert "symlink" in unsafe(room / "to-dir/file", follow=False)


def test_what_a_symlink_leads_to_is_checked_too(room):
    (room / "dir/file").write_text("x")
    (room / "link").symlink_to("dir/file")
    (room / "dir").chmod(0o777)
    assert "other users may replace" in unsafe(room / "link")


def test_symlinks_that_lead_in_a_circle_end(room):
    (room / "a").symlink_to("b")
    (room / "b").symlink_to("a")
    before = descriptors()
    with pytest.raises(OSError, match="symbolic links"):
        SecurePath.at(str(room / "a"))
    assert descriptors() == before


def test_two_dots_are_the_directory_above_and_checked_like_any(room):
    assert content(room / "dir/../file") == b"content"
    (room / "dir").chmod(0o777)
    assert unsafe(room / "dir/../file")


def test_two_dots_behind_a_symlink_lead_where_the_kernel_goes(room):
    (room / "far/below").mkdir(parents=True)
    (room / "far/file").write_text("what a program that is started by its path would get")
    (room / "near").symlink_to("far/below")
    (room / "link").symlink_to("near/../file")
    assert content(room / "link") == (room / "link").read_bytes()
    assert content(f"{room}/near/../file") == (room / "far/file").read_bytes()
    (room / "far").chmod(0o777)
    assert "far" in unsafe(room / "link")


def test_what_is_opened_is_what_was_checked(room):
    with SecurePath.at(str(room / "file")) as pinned:
        os.rename(room / "file", room / "old")
        (room / "file").write_text("another")
        assert pinned.read(100) == b"content"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_what_is_required(room, mode):
    (room / "file").chmod(mode)
    with SecurePath.at(str(room / "file")) as pinned, pytest.raises(InsecurePath, match="others may use it"):
        pinned.require(stat.S_IFREG)


def test_a_secret_may_not_even_be_read_by_others(room):
    (room / "file").chmod(0o644)
    with SecurePath.at(str(room / "file")) as pinned:
        pinned.require(stat.S_IFREG)
        with pytest.raises(InsecurePath):
            pinned.require(stat.S_IFREG, 0o077)


def test_a_fifo_or_a_socket_or_a_device_is_no_file_and_nobody_waits_for_it(room):
    os.mkfifo(room / "fifo", 0o600)
    for path in (str(room / "fifo"), "/dev/zero", str(room / "dir")):
        with SecurePath.at(path, {0, os.geteuid()}) as pinned, pytest.raises(InsecurePath, match="regular file"):
            pinned.require(stat.S_IFREG, 0)
    with SecurePath.at(str(room / "fifo")) as pinned:
        assert pinned.read(10) == b""  # O_NONBLOCK


def test_a_file_longer_than_expected_is_refused(room):
    with SecurePath.at(str(room / "file")) as pinned:
        assert pinned.read(7) == b"content"
        with pytest.raises(InsecurePath, match="longer"):
            pinned.read(6)


def test_nothing_stays_open_whatever_happens(room):
    (room / "link").symlink_to("file")
    (room / "dir").chmod(0o777)
    before = descriptors()
    for path in ("file", "link", "dir/x", "none", "none/x", "file/x"):
        with contextlib.suppress(InsecurePath, OSError):
            SecurePath.at(str(room / path)).close()
    with SecurePath.at(str(room / "file")) as pinned:
        assert not os.get_inheritable(pinned.fd)
    assert descriptors() == before


def test_a_missing_directory_is_made_private_and_only_as_deep_as_it_may_be(room):
    with directory(str(room / "a/b"), missing=2) as pinned:
        assert stat.S_IMODE(pinned.status.st_mode) == 0o700
    assert stat.S_IMODE((room / "a").stat().st_mode) == 0o700
    with pytest.raises(FileNotFoundError):
        directory(str(room / "x/y/z"), missing=2)
    assert not (room / "x").exists()


def test_no_directory_is_made_below_one_that_others_may_write(room):
    (room / "dir").chmod(0o777)
    with pytest.raises(InsecurePath):
        directory(str(room / "dir/a"), missing=2)
    assert not (room / "dir/a").exists()


def test_a_file_is_no_directory(room):
    with pytest.raises((InsecurePath, NotADirectoryError)):
        directory(str(room / "file"), missing=2)


def test_we_trust_root_and_ourselves():
    assert secure_path.ourselves() == {0, os.geteuid()}


def test_a_fifo_that_somebody_holds_open_and_does_not_fill_is_an_error_and_not_waited_for(room):
    os.mkfifo(room / "fifo", 0o600)
    writer = os.open(room / "fifo", os.O_RDWR)
    try:
        with SecurePath.at(str(room / "fifo")) as pinned, pytest.raises(BlockingIOError):
            pinned.read(10)
    finally:
        os.close(writer)


def test_content_is_that_of_a_small_regular_file_of_ours(room):
    assert secure_path.read_file(str(room / "file"), 7) == b"content"
    os.mkfifo(room / "fifo", 0o600)
    os.truncate(room / "file", 1 << 40)
    for path, said in (
        (room / "fifo", "regular"),
        ("/dev/zero", "regular"),
        (room / "file", "longer"),
        (room, "regular"),
    ):
        with pytest.raises(InsecurePath, match=said):
            secure_path.read_file(str(path), 7)
    with pytest.raises((InsecurePath, OSError)):  # a file of the kernel's, which says that it is empty
        secure_path.read_file("/proc/kcore", 1 << 20)


def test_whether_a_directory_could_be_made_is_told_without_making_it(room):
    secure_path.require_directory(str(room / "a/b"), missing=2)
    assert not (room / "a").exists()
    with pytest.raises(FileNotFoundError):
        secure_path.require_directory(str(room / "x/y/z"), missing=2)
    (room / "dir").chmod(0o777)
    with pytest.raises(InsecurePath):
        secure_path.require_directory(str(room / "dir/a"), missing=2)
