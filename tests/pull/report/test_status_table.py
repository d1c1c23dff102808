"""The table on a terminal: all that is known in a row for each job, at any width, and every word stays text."""

import os
import pty
import re
import time
from pathlib import Path

import pytest
from fleets import STANDINGS, good, made, recorded, remember
from terminals import shown_on

from borgctl.pull.report.fleet_status import FleetStatus, survey
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.status_table import drawn
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state import state_file
from borgctl.pull.state.state import Alert, Past, State
from borgctl.pull.targets.paths import TargetName

XTERM = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"}


def on_a_terminal(world, *words: str, before: str = "", **env: str) -> str:
    """Run borgpull with stdout on a terminal; return what it shows there."""
    ours, theirs = pty.openpty()
    with world.start(*words, stdout=theirs, env=XTERM | env, before=before) as process:
        os.close(theirs)
        shown = shown_on(ours).decode().replace("\r\n", "\n")
        assert process.stderr.read() == b""
    return shown


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def at(monkeypatch, fleet: FleetStatus, columns: int) -> list[str]:
    """Return the rows of a table at this width, without the blanks at their ends."""
    monkeypatch.setenv("COLUMNS", str(columns))
    return [line.rstrip() for line in plain(drawn(fleet)).splitlines()]


def cells(text: str) -> int:
    return sum(1 if character.isascii() or character in "─" else 2 for character in text)


def test_a_terminal_gets_a_table_and_everybody_else_the_lines(world, borgpull) -> None:
    remember(world, "web1", good(2))
    recorded(world, "web1", *[1000] * 3, 1500)
    shown = on_a_terminal(world, "status", COLUMNS="80")
    assert plain(shown).split() == [
        *["target", "job", "state", "last", "good", "size", "growth", "took"],
        *re.findall("─+", plain(shown)),
        *["web1", "default", "ok", "2", "h", "0", "min", "1.5", "kB", "+50", "%", "30", "s"],
        *["1", "target:", "1", "all", "well"],
    ]
    assert "\x1b[32mok" in shown
    assert borgpull("status")[:2] == (0, "web1 default: ok, last good 2 h 0 min ago\n")


@pytest.mark.parametrize(
    ("before", "env"),
    [
        ("import sys; sys.modules['rich.console'] = None", {}),
        ("", {"TERM": "dumb"}),
    ],
    ids=["no rich", "dumb"],
)
def test_a_terminal_that_can_show_no_table_gets_the_lines(world, before, env) -> None:
    remember(world, "web1", good(2))
    shown = on_a_terminal(world, "status", before=before, **env)
    assert shown == "web1 default: ok, last good 2 h 0 min ago\n"


def test_json_and_nagios_are_the_same_on_a_terminal(world, borgpull) -> None:
    remember(world, "web1", good(2))
    for words in (("status", "--json"), ("status", "--nagios")):
        shown, out = on_a_terminal(world, *words), borgpull(*words)[1]
        assert re.sub(r"\d+", "", shown) == re.sub(r"\d+", "", out)


def test_colours_are_left_out_where_they_are_not_wanted_and_every_word_is_there(world) -> None:
    made(world)
    shown = on_a_terminal(world, "status", COLUMNS="200", NO_COLOR="1")
    assert not re.search(r"\x1b\[(?:\d+;)*3\d", shown)
    assert all(expected.state in shown for expected in STANDINGS.values()) and "POSSIBLE ATTACK" in shown


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_table_fits_and_says_what_is_not_well_below_it(world, monkeypatch, columns) -> None:
    made(world)
    shown = at(monkeypatch, survey(world.folders, STANDINGS, time.time()), columns)
    assert max(map(cells, shown)) <= columns
    assert ("expected" in shown[0] and "stored" in shown[0]) is (columns >= 120)
    below = shown[shown.index("") + 1 :]
    told = {line.partition(":")[0] for line in below[: below.index("")]}
    calm = {"web-good"}
    assert {title.removesuffix(" default") for title in told} == set(STANDINGS) - calm
    assert " ".join(below[below.index("") + 1 :]).startswith("10 targets: 2 all well")
    if columns >= 120:
        (row,) = [line for line in shown if line.startswith("web-good ")]
        numbers = ["2 h 0 min", "26 h 0 min", "4", "4.0 MB", "+100 %", "400.0 kB", "500.0 kB", "30 s"]
        assert re.split(r" {2,}", row) == ["web-good", "default", "ok", *numbers]


HOSTILE = "[red]x[/red] :warning: \x1b[2J\u202e\n[link=file:///]web2 default: ok"


def test_words_of_a_clients_stay_text_and_no_row_is_without_the_name_of_its_target(world, monkeypatch) -> None:
    remember(world, "web1", good(2), Past(time.time(), HOSTILE, HOSTILE, HOSTILE, run=HOSTILE))
    state = state_file.load(world.folders, TargetName("web1"))
    state.alerts = {HOSTILE: Alert(HOSTILE, HOSTILE * 30, 1.0)}
    state_file.save(world.folders, TargetName("web1"), state)
    for columns in (60, 80, 200):
        shown = at(monkeypatch, survey(world.folders, ["web1"], time.time()), columns)
        below = [line for line in shown[shown.index("") + 1 :] if line]
        assert len(below) > 5 and all(line.startswith(("web1: ", "web1 default: ")) for line in below[:-1])
        assert r"[red]x[/red] :warning: \x1b[2J\u202e\n[link=file:///]web2" in "".join(
            re.sub(r"^web1(?: default)?: ", " ", line) for line in below
        ).replace("  ", " ")
        assert all(character.isprintable() for line in shown for character in line)
        assert max(map(cells, shown)) <= columns


def test_long_names_are_folded_and_no_letter_of_them_is_lost(monkeypatch) -> None:
    name, job = "t" * 32 + "u" * 32, "j" * 32 + "k" * 32
    row = Row(name, job, "overdue", 40 * 86400.0, 93600)
    for columns in (60, 80, 200):
        shown = at(monkeypatch, FleetStatus((Standing(name, (row,), State()),), 0.0), columns)
        table = shown[: shown.index("")]
        letters = "".join(table[2:])
        assert {letter: letters.count(letter) for letter in "tujk"} == {"t": 32, "u": 33, "j": 32, "k": 32}
        assert "overdue" in letters and "40 d" in letters and max(map(cells, table)) <= columns


def test_a_file_name_that_is_none_of_a_targets_stays_text(world, monkeypatch) -> None:
    remember(world, "web1", good(2))
    Path(world.folders.targets, "[b]\udcff\x1b[2J.yaml").touch()
    shown = on_a_terminal(world, "status", COLUMNS="120")
    assert r"[b]\udcff\x1b[2J: invalid, bad target name" in plain(shown) and "\x1b[2J" not in shown
