"""targets: what holds for each, what is wrong, what they share."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from borgctl.pull.targets.paths import TargetName


def write(world, name: str, text: str) -> None:
    os.makedirs(world.folders.targets, exist_ok=True)
    Path(world.folders.targets, f"{name}.yaml").write_text(text)


def test_one_target_is_shown_as_it_is_in_all(world, borgpull) -> None:
    write(world, "web1", "host: web1\ntags: [web]\n")
    Path(world.folders.defaults).write_text("repository: /srv/borg/{target}\nquota: 1T\n")
    status, out, err = borgpull("targets", "--show", "web1")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (status, err, lines[0]) == (0, "", "# web1")
    assert f"repository: /srv/borg/web1 # {world.folders.defaults}:1" in lines
    assert f"tags: [web] # {world.folders.target(TargetName('web1'))}:2" in lines
    (one,) = map(json.loads, borgpull("targets", "--show", "--json", "@web")[1].splitlines())
    quota = {"key": ["quota"], "value": "1T", "file": world.folders.defaults, "line": 2}
    assert one["target"] == "web1" and quota in one["values"]


def test_a_target_with_a_mistake_is_told_and_the_others_are_shown(world, borgpull) -> None:
    write(world, "web1", "host: web1\nrepository: /srv/x\nquota: 1T\n")
    write(world, "-a", "host: web1\n")
    write(world, "web2", "host: -oProxyCommand=x\n")
    status, out, err = borgpull("targets", "--show")
    assert status == 2 and "# web1" in out and "web2.yaml:1:7: bad host" in err
    assert "error: bad target name '-a': expected up to 64 of letters" in err and "Traceback" not in err


def test_targets_with_one_repository_and_one_inside_another_are_warnings(world, borgpull) -> None:
    for name, place in (("a", "/srv/x"), ("b", "/srv/x"), ("c", "/srv/x/c"), ("d", "/srv/xd")):
        write(world, name, f"host: {name}\nrepository: {place}\nquota: 1T\n")
    status, out, _ = borgpull("targets")
    assert status == 1
    assert "a: warning: its repository is also that of 'b': only one of them can use it at a time" in out
    assert "c: warning: its repository is inside that of 'a', 'b', /srv/x" in out and "d: warning" not in out
    assert borgpull("targets", "d")[0] == 0 and borgpull("targets", "c")[0] == 1
    told = {one["target"]: one["warnings"] for one in map(json.loads, borgpull("targets", "--json")[1].splitlines())}
    assert [len(told[name]) for name in "abcd"] == [1, 1, 1, 0]


def test_tags_and_a_pause_are_listed(world, borgpull) -> None:
    pause = "{until: 2999-01-01, reason: moves}"
    write(world, "a", f"host: a\nrepository: /srv/x\nquota: 1T\ntags: [web, db]\npaused: {pause}\n")
    _, out, _ = borgpull("targets")
    assert ", tags: web, db\n" in out and "\na: paused until 2999-01-01 00:00: moves\n" in out
    (one,) = map(json.loads, borgpull("targets", "--json")[1].splitlines())
    assert one["tags"] == ["web", "db"] and one["paused"]["reason"] == "moves"


def test_a_candidate_is_read_as_the_targets_file_over_the_defaults_and_nothing_is_written(world, borgpull) -> None:
    write(world, "web1", "host: web1\nrepository: /srv/x\n")
    Path(world.folders.defaults).write_text("quota: 1T\n")
    candidate, before = world.root / "candidate", sorted(world.root.rglob("*"))
    candidate.write_text("host: web2\nrepository: /srv/x\n")
    candidate.chmod(0o666)
    for name in ("web1", "new"):
        path = world.folders.target(TargetName(name))
        assert borgpull("targets", name, "--candidate", str(candidate)) == (0, f"differs: {path}\n", "")
    assert borgpull("targets", "web1", "--candidate", world.folders.target(TargetName("web1"))) == (0, "", "")
    candidate.write_text("host: -oProxyCommand=x\nrepository: /srv/x\nquota: 1\n")
    status, out, err = borgpull("targets", "web1", "--candidate", str(candidate))
    assert (status, out) == (2, "") and "1:7: bad host" in err and "3:8: bad quota" in err
    candidate.unlink()
    assert sorted(world.root.rglob("*")) == before


def test_a_candidate_without_a_target_is_read_as_the_defaults(world, borgpull) -> None:
    candidate = world.root / "candidate"
    candidate.write_text("repository: /srv/{target}\n")
    assert borgpull("targets", "--candidate", str(candidate)) == (0, f"differs: {world.folders.defaults}\n", "")
    candidate.write_text("repository: /srv/all\nhost: web1\n")
    status, _, err = borgpull("targets", "--candidate", str(candidate))
    assert status == 2 and "expected '{target}' in it" in err and "it is a target's own" in err
    candidate.write_bytes(b"\xff")
    assert "not UTF-8" in borgpull("targets", "--candidate", str(candidate))[2]
    assert "No such file" in borgpull("targets", "--candidate", str(world.root / "none"))[2]


def test_a_candidate_is_for_one_target(world, borgpull) -> None:
    for words in (("--all",), ("--show", "a"), ("--json",), ("a", "b")):
        status, _, err = borgpull("targets", *words, "--candidate", "/dev/null")
        assert status == 2 and "--candidate takes one target" in err
    assert "bad target name '@web'" in borgpull("targets", "@web", "--candidate", "/dev/null")[2]


@contextlib.contextmanager
def stdin(text: str) -> Iterator[None]:
    """Give this process a stdin with a text."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_a_candidate_is_put_in_its_place_once_and_whole(world, borgpull) -> None:
    write(world, "web1", "host: web1\nrepository: /srv/x\nquota: 1T\n")
    path, text = world.folders.target(TargetName("web1")), "host: web2\nrepository: /srv/x\nquota: 2T\n"
    put = ("targets", "web1", "--candidate", "-", "--put")
    for told in (f"written: {path}\n", ""):
        with stdin(text):
            assert borgpull(*put) == (0, told, "")
        assert Path(path).read_text() == text and os.stat(path).st_mode & 0o777 == 0o600
    with stdin("quota: 1T\nrepository: /srv/{target}\n"):
        assert borgpull("targets", "--candidate", "-", "--put") == (0, f"written: {world.folders.defaults}\n", "")
    assert "/srv/{target}" in Path(world.folders.defaults).read_text()
    assert sorted(os.listdir(world.folders.targets)) == ["web1.yaml"]


def test_a_candidate_with_a_mistake_or_of_no_target_is_not_put_anywhere(world, borgpull) -> None:
    write(world, "web1", "host: web1\nrepository: /srv/x\nquota: 1T\n")
    before = {path: path.read_text() for path in world.root.rglob("*.yaml")}
    with stdin("host: web1\nrepository: /srv/x\nquota: 1\n"):
        assert "3:8: bad quota" in borgpull("targets", "web1", "--candidate", "-", "--put")[2]
    with stdin("host: web1\nrepository: /srv/x\nquota: 1T\n"):
        assert "no target 'web2'" in borgpull("targets", "web2", "--candidate", "-", "--put")[2]
    assert borgpull("targets", "web1", "--put")[0] == 2
    assert {path: path.read_text() for path in world.root.rglob("*.yaml")} == before


def test_a_candidate_takes_the_place_of_a_link_and_not_of_what_it_leads_to(world, borgpull) -> None:
    kept = world.root / "kept.yaml"
    kept.write_text("host: web1\nrepository: /srv/x\nquota: 1T\n")
    os.makedirs(world.folders.targets, exist_ok=True)
    path = Path(world.folders.target(TargetName("web1")))
    path.symlink_to(kept)
    with stdin("host: web1\nrepository: /srv/x\nquota: 2T\n"):
        assert borgpull("targets", "web1", "--candidate", "-", "--put")[0] == 0
    assert "1T" in kept.read_text() and "2T" in path.read_text() and not path.is_symlink()
