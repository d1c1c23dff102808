"""A directory is removed whatever it holds, and nothing else is."""

import os

import pytest

from borgctl.fs.remove_tree import remove_tree


@pytest.fixture
def above(tmp_path):
    (tmp_path / "dead").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_files_fifos_and_directories_go_and_what_links_lead_to_stays(tmp_path, above):
    (tmp_path / "dead/a/b/c").mkdir(parents=True)
    (tmp_path / "dead/a/b/file").write_text("x")
    os.mkfifo(tmp_path / "dead/a/fifo")
    os.symlink(tmp_path / "precious", tmp_path / "dead/a/b/c/link")
    os.symlink(tmp_path / "precious", tmp_path / "dead/link")
    remove_tree(above, "dead")
    assert os.listdir(tmp_path) == ["precious"]
    assert (tmp_path / "precious/file").read_text() == "x"


def test_directories_deeper_than_any_stack_go(tmp_path, above):
    kept = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path / "dead")
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.fchdir(kept)
    os.close(kept)
    remove_tree(above, "dead")
    assert os.listdir(tmp_path) == ["precious"]


def test_a_symlink_a_file_or_nothing_in_its_place_is_left_alone(tmp_path, above):
    os.symlink("precious", tmp_path / "link")
    for name in ("link", "precious/file", "missing"):
        remove_tree(above, name)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "precious/file").exists()


def test_what_cannot_be_removed_is_given_up(tmp_path, above, monkeypatch):
    (tmp_path / "dead/a").mkdir()

    def refused(*_, **__):
        raise OSError(1, "no")

    monkeypatch.setattr(os, "rmdir", refused)
    remove_tree(above, "dead")
    assert (tmp_path / "dead/a").is_dir()
