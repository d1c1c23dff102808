"""borg's directory changes its owner: all of it, and nothing else."""

import os
import stat

import pytest

from borgctl.fs.chown_tree import chown_tree, foreign_symlink, give_back
from borgctl.fs.remove_tree import remove_tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
A, B, C = 64101, 64102, 64103


@pytest.fixture
def parent(tmp_path):
    for name in ("borg/a/b", "outside"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("borg/file", "borg/a/b/file", "outside/file", "outside/other"):
        (tmp_path / name).write_text("x")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def owners(tmp_path, *names):
    return [os.lstat(tmp_path / name).st_uid for name in names]


def test_all_of_it_changes_hands(tmp_path, parent):
    chown_tree(parent, "borg", A, A)
    assert owners(tmp_path, "borg", "borg/file", "borg/a", "borg/a/b", "borg/a/b/file") == [A] * 5
    assert owners(tmp_path, "outside", "outside/file", ".") == [0, 0, 0]
    chown_tree(parent, "borg", 0, 0)
    assert owners(tmp_path, "borg", "borg/file", "borg/a/b/file") == [0] * 3


def test_what_another_user_has_put_there_is_left_alone(tmp_path, parent):
    """The former owner may have been an attacker: none of their links gives a file outside away."""
    chown_tree(parent, "borg", A, A)
    os.link(tmp_path / "outside/file", tmp_path / "borg/hard")
    os.symlink(tmp_path / "outside/other", tmp_path / "borg/soft")
    os.symlink(tmp_path / "outside", tmp_path / "borg/a/folder")
    os.chown(tmp_path / "borg/a/b/file", C, C)
    os.link(tmp_path / "borg/file", tmp_path / "outside/hard")
    chown_tree(parent, "borg", B, B)
    assert owners(tmp_path, "outside", "outside/file", "outside/other") == [0, 0, 0]
    assert owners(tmp_path, "borg", "borg/a", "borg/a/b") == [B] * 3
    assert owners(tmp_path, "borg/a/b/file", "borg/file", "borg/hard") == [C, A, 0]


def test_one_that_was_interrupted_is_done_again(tmp_path, parent, monkeypatch):
    done = []

    def chown(*arguments, **options):
        done.append(arguments)
        if len(done) > 2:
            raise OSError(5, "no")
        real(*arguments, **options)

    real = os.chown
    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(OSError, match="no"):
        chown_tree(parent, "borg", A, A)
    monkeypatch.undo()
    chown_tree(parent, "borg", A, A)
    assert owners(tmp_path, "borg", "borg/file", "borg/a/b/file") == [A] * 3


def test_a_link_in_its_place_is_refused(tmp_path, parent):
    os.rename(tmp_path / "borg", tmp_path / "moved")
    os.symlink("outside", tmp_path / "borg")
    with pytest.raises(OSError, match=r"directory|symbolic"):
        chown_tree(parent, "borg", A, A)
    assert owners(tmp_path, "outside", "outside/file") == [0, 0]


def test_what_roots_borg_has_made_goes_back_to_the_directorys_owner_and_nothing_else_does(tmp_path, parent):
    chown_tree(parent, "borg", A, A)
    (tmp_path / "borg/new").mkdir()
    for name in ("borg/new/file", "borg/a/made", "borg/a/linked"):
        (tmp_path / name).write_text("x")
    os.link(tmp_path / "borg/a/linked", tmp_path / "outside/hard")
    os.link(tmp_path / "outside/file", tmp_path / "borg/hard")
    os.symlink(tmp_path / "outside/other", tmp_path / "borg/soft")
    os.symlink(tmp_path / "outside", tmp_path / "borg/a/folder")
    os.mkfifo(tmp_path / "borg/fifo")
    os.chown(tmp_path / "borg/file", C, C)
    give_back(parent, "borg")
    assert owners(tmp_path, "borg/new", "borg/new/file", "borg/a/made") == [A] * 3
    assert owners(tmp_path, "borg/a/linked", "borg/hard", "borg/fifo", "borg/soft", "borg/file") == [0, 0, 0, 0, C]
    assert owners(tmp_path, "outside", "outside/file", "outside/other", ".") == [0] * 4
    chown_tree(parent, "borg", 0, 0)
    give_back(parent, "borg")
    assert owners(tmp_path, "borg", "borg/a") == [0, 0]


def test_a_symlink_in_the_directory_of_another_user_is_found(tmp_path, parent):
    os.symlink("/etc", tmp_path / "borg/a/b/trap")
    assert foreign_symlink(parent, "borg") is None  # ours: we may have made it
    chown_tree(parent, "borg", A, A)
    assert foreign_symlink(parent, "borg") == "borg/a/b/trap"
    os.unlink(tmp_path / "borg/a/b/trap")
    assert foreign_symlink(parent, "borg") is None


def deep(directory, levels):
    """Make directories nested deeper than a path could name them."""
    kept = os.open(".", os.O_RDONLY)
    os.chdir(directory)
    try:
        for _ in range(levels):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.fchdir(kept)
        os.close(kept)


@pytest.mark.parametrize("act", [lambda fd: chown_tree(fd, "borg", B, B), lambda fd: give_back(fd, "borg")])
def test_directories_without_end_are_told_as_that(tmp_path, parent, act):
    chown_tree(parent, "borg", A, A)
    deep(tmp_path / "borg", 1500)
    with pytest.raises(OSError, match="levels deep"):
        act(parent)
    with pytest.raises(OSError, match="levels deep"):
        foreign_symlink(parent, "borg")
    remove_tree(parent, "borg")


def test_names_that_come_and_go_meanwhile_and_turn_into_fifos_disturb_nothing(tmp_path, parent, monkeypatch):
    """Another run of the same policy works in it, and may be hostile."""
    chown_tree(parent, "borg", A, A)
    real = os.listdir

    def raced(fd):
        names = real(fd)
        if "file" in names and "a" in names:
            os.unlink("file", dir_fd=fd)
            os.rename("a", "away", src_dir_fd=fd, dst_dir_fd=fd)
            os.mkfifo("a", dir_fd=fd)
        return names

    monkeypatch.setattr(os, "listdir", raced)
    give_back(parent, "borg")
    monkeypatch.setattr(os, "listdir", lambda fd: [*real(fd), "gone"])
    assert foreign_symlink(parent, "borg") is None
    chown_tree(parent, "borg", B, B)


def test_directories_that_another_run_of_the_user_has_shut_are_opened_again(tmp_path, parent):
    chown_tree(parent, "borg", A, A)
    os.chmod(tmp_path / "borg/a", 0o500)
    os.chmod(tmp_path / "borg", 0)
    give_back(parent, "borg")
    assert [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("borg", "borg/a")] == [0o700] * 2
