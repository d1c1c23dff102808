"""Repositories that are shared, or one inside the other."""

import os
from pathlib import Path

import pytest

from borgctl.pull.targets.repositories import overlaps


def test_apart_is_nothing_to_tell() -> None:
    assert overlaps({"a": "/srv/a", "ab": "/srv/ab", "b": "/b", "c": "/s"}) == {}


def test_a_shared_one_is_told_to_each_and_a_list_of_many_is_short() -> None:
    found = overlaps({"a": "/srv/a", "b": "/srv/a", "c": "/srv/c"})
    assert list(found) == ["a", "b"] and found["a"].startswith("its repository is also that of 'b': only one")
    many = overlaps({f"t{n}": "/srv/a" for n in range(9)})
    assert many["t0"].startswith("its repository is also that of 't1', 't2', 't3' and 5 more:")


def test_one_inside_another_is_told_however_deep() -> None:
    found = overlaps({"a": "/srv/a", "b": "/srv/a/x/y", "c": "/srv/a/x/y/z"})
    assert found == {
        "b": "its repository is inside that of 'a', /srv/a",
        "c": "its repository is inside that of 'b', /srv/a/x/y",
    }


@pytest.mark.parametrize(("first", "second"), [("srv/a", "srv/a/b"), ("srv/a/b", "srv/a"), ("srv/a", "link/b")])
def test_add_refuses_one_inside_another_and_leaves_nothing(world, borgpull, first: str, second: str) -> None:
    os.symlink("srv/a", world.root / "link")
    assert borgpull("add", "web1", "root@h", "--repository", f"{world.root}/{first}")[0] == 0
    before = sorted(map(str, world.root.rglob("*")))
    status, _, err = borgpull("add", "web2", "root@h", "--repository", f"{world.root}/{second}")
    assert status == 2 and "would be one inside the other" in err and "--repository" in err
    assert sorted(map(str, world.root.rglob("*"))) == before
    Path(world.root / "link").unlink()
