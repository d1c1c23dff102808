"""Whom a target's file asks to tell: what is read, and that no secret of a URL is ever repeated."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import CORPORA

from borgctl.errors import BadValue
from borgctl.pull.targets import origins, targets, telling, telling_places, telling_warnings
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.strict_yaml import Problems, parse

HERE = CORPORA / "targets"
NAME = TargetName("web1")
OWN = "host: web1\nrepository: /srv/borg/web1\nquota: 500G\n"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Give folders with a directory of targets, which nobody else can read."""
    (tmp_path / "targets").mkdir(parents=True)
    return Folders(str(tmp_path), str(tmp_path / "state"))


def write(folders: Folders, own: str, below: str | None = None) -> None:
    Path(folders.target(NAME)).write_text(own)
    if below is not None:
        Path(folders.defaults).write_text(below)


def read(own: str, below: str = "{}") -> telling.Telling:
    return targets.read(f"{OWN}{own}", NAME, Folders("/c", "/s"), parse(below, "d")).telling


def test_urls_are_numbered_and_told_all_but_the_digest_unless_the_file_says_more() -> None:
    services = read('notify: ["ntfys://a/b", {url: "json://c/d", on: [digest, failed]}]').notify
    assert [one.name for one in services] == ["notify 1 (ntfys://…)", "notify 2 (json://…)"]
    assert [one.kinds for one in services] == [("failed", "recovered", "overdue", "suspect"), ("failed", "digest")]
    assert services[0].address.reveal() == "ntfys://a/b"


def test_without_the_keys_nobody_is_told() -> None:
    assert (read("").names, read("notify: []\non_failure: []").names) == ((), ())


def test_a_target_takes_the_defaults_and_its_own_word_wins() -> None:
    below = 'notify: ["json://a"]\nping: "https://hc/k/{target}"\non_failure: [/bin/a, b]'
    told = read("", below)
    assert told.names == ("notify 1 (json://…)", "ping (https://hc/…)", "on_failure")
    assert told.ping.reveal() == "https://hc/k/web1" and told.on_failure == ("/bin/a", "b")
    own = read("notify: []\nping: https://other/1", below)
    assert own.notify == () and own.ping.reveal() == "https://other/1" and own.on_failure == ("/bin/a", "b")


def test_a_file_with_mistakes_tells_whom_the_defaults_name_and_one_that_is_gone_nobody(folders) -> None:
    write(folders, f"{OWN}expect: never\n", 'notify: ["json://a"]\nping: "https://hc/k/{target}"\n')
    told = targets.telling_of(folders, NAME)
    assert told.names == ("notify 1 (json://…)", "ping (https://hc/…)") and told.ping.reveal() == "https://hc/k/web1"
    os.unlink(folders.target(NAME))
    assert targets.telling_of(folders, NAME).names == ()


def test_no_mistake_repeats_a_url(folders) -> None:
    with pytest.raises(Problems) as raised:
        targets.read((HERE / "invalid/telling.yaml").read_text(), NAME, folders)
    assert "19:14" in str(raised.value) and "SECRET" not in str(raised.value)
    with pytest.raises(Problems) as raised:  # nor what may be one, and looks like none
        read("notify: [{'tgram:SECRET': [failed]}]")
    assert "unknown key (expected one of: url, on)" in str(raised.value) and "SECRET" not in str(raised.value)
    write(folders, OWN, (HERE / "defaults/invalid/one-ping-for-all.yaml").read_text())
    with pytest.raises(PullError) as refused:
        targets.load(folders, NAME)
    assert "3:7" in str(refused.value) and "SECRET" not in str(refused.value)


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30))
def test_no_word_that_is_refused_or_taken_is_repeated(tail: str) -> None:
    secret = "s3cret-t0ken"
    urls = (f"https://h/{secret}{tail}", f"https://u:{secret}{tail}@h/", f"x://{secret}{tail}")
    for reader, texts in ((telling.service, (*urls, f"{tail}{secret}")), (telling.ping, urls)):
        for text in texts:
            try:
                shown = str(reader(text))
            except BadValue as error:
                shown = str(error)
            assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://h/x", "HTTPS://h/x", "https:///x", "https://h:123456/x", "https://u@h/x", "https://u:p/x@h"),
        *(
            "https://h/{target}",
            "https://h/#x",
            "https://h/ x",
            "https://-h/x",
            "file:///etc/passwd",
            f"https://h/{'a' * 2000}",
        ),
    ],
)
def test_what_is_pinged_has_a_host_and_nothing_before_it(text) -> None:
    with pytest.raises(BadValue):
        telling.ping(text)


def test_show_prints_no_secret_for_people_or_programs() -> None:
    root = parse((HERE / "valid/telling.yaml").read_text(), "/t")
    target = targets.from_tree(root, NAME, Folders("/c", "/s"))
    lines, plain = "\n".join(origins.lines(root, target)), json.dumps(origins.plain(root, target))
    hooked = parse(f'{OWN}on_failure: [/usr/bin/curl, "https://h/SECRET"]', "/t")
    lines_of_hook = origins.lines(hooked, targets.from_tree(hooked, NAME, Folders("/c", "/s")))
    assert "on_failure: [/usr/bin/curl, 'https://…']" in "\n".join(lines_of_hook)
    assert "SECRET" not in lines + plain + repr(target) + str(target)
    assert "notify: ['ntfys://…', {url: 'mailtos://…', on: [digest, suspect]}]" in lines
    assert "ping: 'https://hc-ping.com:443/…'" in lines and "on_failure: [/usr/local/bin/page, '--urgent']" in lines
    listed = next(one for one in origins.plain(root, target) if one["key"] == ["notify"])
    assert listed["value"][1] == {"url": "mailtos://…", "on": ["digest", "suspect"]}


@pytest.mark.parametrize(
    ("own", "below", "mentioned"),
    [
        (OWN, "quota: 1T", False),
        (f"{OWN}notify: []", "quota: 1T", True),
        (f'{OWN}"notif\\x79": []', "quota: 1T", True),
        (OWN, "ping: 'https://h/{target}'", True),
        (OWN, "on_failure: [/bin/true]", True),
    ],
)
def test_files_without_the_keys_are_told_apart_without_reading_yaml(folders, own, below, mentioned) -> None:
    write(folders, own, below)
    assert telling_places.mentioned(folders, ["nobody", "../web1", "web1"]) == mentioned
    assert bool(targets.telling_of(folders, NAME).names) <= mentioned


@pytest.fixture
def passable() -> Iterator[Path]:
    """Give a directory that every user may pass, and its parents too."""
    root = Path(tempfile.mkdtemp(prefix="bp"))
    (root / "targets").mkdir()
    for path in (root, root / "targets"):
        path.chmod(0o755)
    yield root
    shutil.rmtree(root)


def test_targets_warns_of_a_file_with_secrets_that_others_can_read(passable: Path) -> None:
    folders = Folders(str(passable), str(passable / "state"))
    write(folders, OWN, 'notify: ["json://a"]')
    target, path = targets.load(folders, NAME), Path(folders.defaults)
    Path(folders.target(NAME)).chmod(0o644)
    path.chmod(0o644)
    assert list(telling_warnings.warnings(folders, target)) == [
        f"every user of this machine may read the secrets in {path}: chmod o-rwx {path}"
    ]
    passable.chmod(0o700)
    assert list(telling_warnings.warnings(folders, target)) == []
    passable.chmod(0o755)
    path.chmod(0o640)
    assert list(telling_warnings.warnings(folders, target)) == []


def test_a_file_that_never_ends_holds_nobody_up(folders) -> None:
    os.mkfifo(folders.target(NAME))
    assert not telling_places.mentioned(folders, ["web1"])
