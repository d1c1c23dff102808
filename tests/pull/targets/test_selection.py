"""Which targets a command line means: names, tags, or all."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.selection import every, select, tags_of_all

TAGS = {"db1": "[db, berlin]", "web1": "[web]", "web2": "[web, berlin]", "x": None}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Folders:
    """Give four targets, the last without tags."""
    root = tmp_path_factory.mktemp("fleet")
    (root / "targets").mkdir()
    folders = Folders(str(root), str(root / "state"))
    for name, tags in TAGS.items():
        own = f"host: {name}\nrepository: /srv/{name}\nquota: 1T\n"
        Path(folders.target(TargetName(name))).write_text(own + (f"tags: {tags}\n" if tags else ""))
    return folders


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["web2", "web1", "web2"], ["web2", "web1"]),
        (["@web"], ["web1", "web2"]),
        (["@web", "@berlin"], ["db1", "web1", "web2"]),
        (["x", "@berlin", "db1"], ["db1", "web2", "x"]),
        (["none", "@db"], ["db1", "none"]),
    ],
)
def test_names_keep_their_order_and_with_a_tag_all_are_sorted_and_each_is_there_once(folders, words, texts) -> None:
    assert list(select(folders, words).texts) == texts
    assert select(folders, words).named == {word for word in words if not word.startswith("@")}


@given(st.lists(st.sampled_from([*TAGS, "@web", "@db", "@berlin"]), min_size=1))
def test_a_selection_is_the_union_of_its_words(folders, words: list[str]) -> None:
    parts = [select(folders, [word]).texts for word in words]
    found = select(folders, words).texts
    assert set(found) == {text for part in parts for text in part} and len(set(found)) == len(found)


def test_all_are_all(folders) -> None:
    assert every(folders).texts == tuple(TAGS) and not every(folders).named


@pytest.mark.parametrize(
    ("tag", "text"), [("@wep", "no target has the tag 'wep': did you mean 'web'?"), ("@q", "no target has the tag 'q'")]
)
def test_a_tag_that_no_target_has_is_an_error_that_says_which_there_are(folders, tag: str, text: str) -> None:
    with pytest.raises(PullError) as raised:
        select(folders, ["web1", tag])
    assert (raised.value.text, raised.value.hint) == (text, "these tags are there: @berlin, @db, @web")


@pytest.mark.parametrize("word", ["@", "@-x", "@a b", "@@web", "@web\n"])
def test_what_is_no_tag_is_refused(folders, word: str) -> None:
    with pytest.raises(BadValue, match="bad tag"):
        select(folders, [word])


def test_where_there_is_no_tag_the_error_says_how_to_give_one(tmp_path) -> None:
    with pytest.raises(PullError) as raised:
        select(Folders(str(tmp_path), str(tmp_path)), ["@web"])
    assert (raised.value.text, raised.value.hint) == (
        "no target has the tag 'web', or any other",
        "write into a target file: tags: [TAG]",
    )


@pytest.fixture
def fleet(tmp_path) -> Folders:
    """Give a good target with a tag, and folders that a test may spoil."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/web1.yaml").write_text("host: web1\nrepository: /srv/x\nquota: 1T\ntags: [web]\n")
    return Folders(str(tmp_path), str(tmp_path / "state"))


@pytest.mark.parametrize("text", ["host: [", "tags: web", "tags: [-x]", "a: 1\na: 2", "", "[web]"])
def test_a_target_whose_tags_cannot_be_read_has_every_tag(fleet, text: str) -> None:
    Path(fleet.config, "targets/broken.yaml").write_text(text)
    assert select(fleet, ["@web"]).texts == ("broken", "web1")


def test_a_target_with_other_mistakes_has_its_own_tags(fleet) -> None:
    Path(fleet.config, "targets/broken.yaml").write_text("tags: [db]\nhost: -oProxyCommand=x\n")
    assert select(fleet, ["@web"]).texts == ("web1",) and select(fleet, ["@db"]).texts == ("broken",)


def test_a_target_named_like_an_option_has_every_tag_so_that_it_is_told(fleet) -> None:
    Path(fleet.config, "targets/--all.yaml").write_text("tags: [db]\n")
    assert select(fleet, ["@web"]).texts == ("--all", "web1")


def test_the_defaults_give_tags_to_those_that_have_none(fleet) -> None:
    Path(fleet.defaults).write_text("tags: [linux]\n")
    Path(fleet.config, "targets/db1.yaml").write_text("host: db1\n")
    assert tags_of_all(fleet) == {"db1": {"linux"}, "web1": {"web"}}


@pytest.mark.parametrize("words", [["web1"], ["@web"], None])
def test_broken_defaults_stop_every_selection(fleet, words) -> None:
    Path(fleet.defaults).write_text("quota: [\n")
    with pytest.raises(PullError, match=r"defaults\.yaml:"):
        every(fleet) if words is None else select(fleet, words)


def test_a_file_that_nobody_can_read_has_every_tag(fleet) -> None:
    os.mkfifo(Path(fleet.config, "targets/pipe.yaml"), 0o600)
    assert select(fleet, ["@web"]).texts == ("pipe", "web1")
