"""borgpull report: one page, written as a whole or not at all."""

import contextlib
import json
import os
import sqlite3
import stat
import time
from pathlib import Path

import html_page
import machines
import pytest
import report_fleets

from borgctl.pull.state import history
from borgctl.pull.targets.paths import TargetName

NOW = time.time()


@pytest.fixture
def page(world) -> Path:
    """Two targets with past runs, and where their page shall be."""
    for name in ("web1", "web2"):
        world.local([], name=name, expect="26h")
    for day, name in ((9, "web1"), (2, "web2"), (0.1, "web1")):
        history.append(world.folders, report_fleets.backup(name, NOW - day * report_fleets.DAY), NOW)
    return world.root / "page.html"


def rows(path: Path) -> list[str]:
    """Return the first words of the tables' rows: targets, then the times of their runs."""
    found = html_page.read(path.read_bytes())
    return [head.text for head in found.all("th") if head.attributes["scope"] == "row"]


def test_the_page_is_a_file_that_its_group_may_read(world, borgpull, page) -> None:
    with_mask = os.umask(0o077)
    try:
        assert borgpull("report", "--html", str(page)) == (0, "", "")
    finally:
        os.umask(with_mask)
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    found = html_page.read(page.read_bytes())
    assert [head.text.split()[0] for head in found.all("h3")] == ["web1", "web2"] and len(rows(page)) == 5


def test_it_is_replaced_as_a_whole_and_nothing_is_left_beside_it(world, borgpull, page) -> None:
    page.write_text("old")
    with page.open() as reader:
        assert borgpull("report", "--html", str(page))[0] == 0
        assert reader.read() == "old" and page.read_bytes().startswith(b"<!DOCTYPE html>")
    before = page.read_bytes()
    with machines.full_disk():
        status, out, err = borgpull("report", "--html", str(page))
    assert (status, out) == (2, "") and err.splitlines()[0] == f"error: {page}: File too large"
    assert page.read_bytes() == before and not [name for name in os.listdir(page.parent) if name.endswith(".new")]


def test_a_dash_is_stdout_and_its_encoding_changes_nothing(world, borgpull, page) -> None:
    status, out, err = borgpull("report", "--html", "-")
    assert (status, err) == (0, "") and out.startswith("<!DOCTYPE html>\n") and out.endswith("</html>\n")
    assert not os.path.exists("-")
    with world.start("report", "--html", "-", env={"PYTHONIOENCODING": "utf-16"}) as process:
        bytes_out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and bytes_out.isascii() and bytes_out.startswith(b"<!DOCTYPE html>\n")
    full = os.open("/dev/full", os.O_WRONLY)
    with world.start("report", "--html", "-", stdout=full) as process:
        _, told = process.communicate(timeout=60)
    os.close(full)
    assert process.returncode == 2 and told == b"error: borgpull: No space left on device\n"


@pytest.mark.parametrize("kind", ["directory", "link", "fifo", "none", "above", "missing", "closed"])
def test_what_no_page_can_replace_is_refused_and_stays(world, borgpull, page, kind) -> None:
    other = world.root / "other"
    other.write_text("other")
    path = {
        "none": "",
        "above": f"{world.root}/..",
        "missing": f"{world.root}/no/page.html",
        "closed": f"{other}/x",
    }.get(kind, str(page))
    if kind == "directory":
        page.mkdir()
    elif kind == "link":
        page.symlink_to(other)
    elif kind == "fifo":
        os.mkfifo(page)
    before = sorted((one.name, one.lstat().st_mode) for one in world.root.iterdir())
    status, out, err = borgpull("report", "--html", path)
    first, second = err.splitlines()
    said = {"missing": f"{path}: No such file or directory", "closed": f"{path}: Not a directory"}
    assert (status, out, first) == (2, "", f"error: {said.get(kind, f'{path!r} is no regular file')}")
    assert second.startswith("hint: name a file in a directory where you may write, or - for stdout;")
    assert sorted((one.name, one.lstat().st_mode) for one in world.root.iterdir()) == before
    assert other.read_text() == "other"


def test_no_file_of_the_launchers_own_is_replaced(world, borgpull, page) -> None:
    link = world.root / "link"
    link.symlink_to(world.folders.state)
    target = Path(world.folders.target(TargetName("web1")))
    before = target.read_bytes()
    for path in (
        target,
        f"{world.folders.state}/page.html",
        f"{world.root}/x/../state/history.db",
        link / "history.db",
    ):
        status, out, err = borgpull("report", "--html", str(path))
        assert (status, out) == (2, "") and "which is for the launcher's own files\nhint: name a file" in err
    assert target.read_bytes() == before and len(borgpull("history")[1].splitlines()) == 4


def test_targets_and_a_time_choose(world, borgpull, page) -> None:
    assert borgpull("report", "--html", str(page), "web2")[0] == 0 and rows(page)[0] == "web2" and len(rows(page)) == 2
    assert borgpull("report", "--html", str(page), "--since", "1d")[0] == 0 and len(rows(page)) == 3
    assert "Runs are shown from" in page.read_text()
    assert borgpull("report", "--html", str(page), "--all", "--since", "2999-01-01")[0] == 0
    assert rows(page) == ["web1", "web2"]


@pytest.mark.parametrize("words", [("nosuch",), ("--since", "x"), ("web1", "--all"), ("-x",), ("../web1",), ("@no",)])
def test_what_is_no_target_or_no_time_is_an_error_and_writes_nothing(world, borgpull, page, words) -> None:
    status, out, err = borgpull("report", "--html", str(page), *words)
    assert status == 2 and out == "" and err and "Traceback" not in err and not page.exists()


def test_without_a_target_the_page_says_so(world, borgpull) -> None:
    path = world.root / "page.html"
    status, out, err = borgpull("report", "--html", str(path))
    assert (status, out) == (0, "") and err.startswith("no target in ") and "There is no target." in path.read_text()
    assert not os.path.exists(world.folders.state)


def test_a_broken_target_is_on_the_page_with_its_place(world, borgpull, page) -> None:
    file = Path(world.folders.target(TargetName("web1")))
    file.write_text("<script>: 1\n")
    Path(world.folders.targets, "<b>.yaml").write_text("host: x\n")
    assert borgpull("report", "--html", str(page)) == (0, "", "")
    (listed,) = html_page.read(page.read_bytes()).all("ol")
    texts = [item.text for item in listed.inside]
    assert any(f"web1: invalid, {file}:1:1: " in text for text in texts)
    assert any("bad target name '<b>'" in text for text in texts)


def test_a_state_that_cannot_be_read_is_on_the_page(world, borgpull, page) -> None:
    state = Path(world.folders.memory(TargetName("web1")))
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("garbage")
    assert borgpull("report", "--html", str(page)) == (0, "", "")
    assert "ALERT: state-lost" in page.read_text()


@pytest.mark.parametrize("content", ["garbage", "newer", "directory", "cut"])
def test_a_history_that_cannot_be_read_is_told_on_the_page_and_to_who_called(world, borgpull, page, content) -> None:
    path = Path(world.folders.history)
    if content == "newer":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 7")
    elif content == "cut":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    else:
        path.unlink()
        path.mkdir() if content == "directory" else path.write_text(content)
    status, out, err = borgpull("report", "--html", str(page))
    assert (status, out) == (1, "") and err.startswith(f"warning: {path}") and "Traceback" not in err
    found = html_page.read(page.read_bytes())
    (fault,) = [one for one in found.all("p") if one.attributes.get("class") == "fault"]
    assert str(path) in fault.text and [head.text.split()[0] for head in found.all("h3")] == ["web1", "web2"]


def test_hostile_words_in_files_stay_text(world, borgpull, page) -> None:
    report_fleets.kept(world, NOW)
    assert borgpull("report", "--html", str(page)) == (0, "", "")
    found = html_page.read(page.read_bytes())
    assert not found.all("script", "img") and {one.text for one in found.all("b")} == {"What to do:"}
    assert "<script>alert(1)</script>" in found.all("html")[0].text


def test_the_page_agrees_with_the_status(world, borgpull, page) -> None:
    report_fleets.kept(world, NOW)
    borgpull("report", "--html", str(page))
    found = html_page.read(page.read_bytes())
    worst = {head.text.split()[0]: head.text.split(None, 1)[1] for head in found.all("h3")}
    words, told = ("OK", "Warning", "Critical"), {}
    for line in borgpull("status", "--json")[1].splitlines():
        one = json.loads(line)
        told[one["target"]] = "Possible attack" if one["possible_attack"] else words[one["status"]]
    assert worst == told and set(told.values()) == {*words, "Possible attack"}
    (listed,) = found.all("ol")
    assert {item.inside[1].text for item in listed.inside} == {name for name, word in told.items() if word != "OK"}
