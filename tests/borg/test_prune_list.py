"""The archives that a prune keeps and marks are counted from borg's own lines (of 1.2.4 and 1.4.5)."""

import json

import pytest

from borgctl.borg.prune_list import ArchiveCount, Pruning

MADE = f"Sun, 2026-01-04 00:00:00 [{'d0' * 32}]"
KEPT = [
    f"Keeping archive (rule: daily #1):        w-4                          {MADE}",
    f"Keeping archive (rule: daily[oldest] #2):            w-3                {MADE}",
    f"Keeping checkpoint archive:              w-2.checkpoint                          {MADE}",
]
MARKED = [f"Pruning archive (1/12):                   w 1                          {MADE}"]
WOULD = [f"Would prune:                             w-0                          {MADE}"]


def line(message, name="borg.output.list"):
    return json.dumps({"type": "log_message", "message": message, "levelname": "INFO", "name": name})


def taken(pruning, messages):
    return [pruning.take(line(message), None) for message in messages]


@pytest.mark.parametrize("shown", [True, False])
def test_archives_are_counted_and_named_and_passed_on_only_where_they_are_shown(shown):
    pruning = Pruning(shown, dry=False)
    assert taken(pruning, KEPT + MARKED) == [line(text) if shown else None for text in KEPT + MARKED]
    assert str(pruning) == "kept 3, marked 1" and pruning.counts == {"kept": 3, "marked": 1} and not pruning.empty
    assert pruning.record == {"said": "kept 3, marked 1", "kept": ["w-4", "w-3", "w-2.checkpoint"], "marked": ["w 1"]}


def test_a_dry_run_marks_nothing_and_says_so():
    pruning = Pruning(shown=False, dry=True)
    taken(pruning, KEPT[:1] + WOULD)
    assert pruning.counts == {} and str(pruning) == "dry run: it would keep 1 archives and mark 1; none is marked"
    assert (pruning.record["kept"], pruning.record["marked"]) == (["w-4"], ["w-0"])


@pytest.mark.parametrize(
    "text",
    [
        line(KEPT[0], "borg.output.stats"),
        line("Something else: w-4"),
        '{"name": "borg.output.list"}',
        '["borg.output.list"]',
        '"borg.output.list"',
        '{"borg.output.list": ' + "[" * 100_000,
        "",
    ],
)
def test_another_line_is_what_is_made_of_it(text):
    pruning = Pruning(shown=True, dry=False)
    assert pruning.take(text, None) == text
    assert pruning.take(text, lambda _: None) is None
    assert pruning.empty


def test_a_record_has_room_for_so_many_names_and_says_how_many_more_there_were():
    names = ArchiveCount()
    for number in range(10_000):
        names.add(f"web1-default-{number:05}")
    assert names.count == 10_000 and len(json.dumps(names.named)) < 3200
    assert names.named[0] == "web1-default-00000" and names.named[-1] == f"and {10_000 - len(names.first)} more"
