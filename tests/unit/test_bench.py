"""The benchmarks: their arithmetic, their trees and their chart. That they run is for `make bench-smoke` to show."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from stage import TOP

sys.path.insert(0, str(TOP / "bench"))

import chart
import results
import trees
from measure import Step


def step(wall, client=1.0):
    return Step(wall, {"client": client, "server": 2.0}, 3_000_000, {})


@pytest.fixture
def measured():
    """Two contenders, of whom the second is twice as fast in each round; the machine was three times slower in one."""
    made = results.Results("a <machine> & more", "small", 204, 9_000_000)
    for phase in results.PHASES:
        for factor in (1, 3, 1.5):
            made.add("scripts", phase, step(4.0 * factor))
            made.add("stdio", phase, step(2.0 * factor))
    made.add_memory("stdio", "first", Step(1.0, {}, 0, {"client: gate": 20 << 20, "server: guard": 11 << 20}))
    made.add_memory("stdio", "restore", Step(1.0, {}, 0, {"client: gate": 21 << 20}))
    return made


def test_a_ratio_is_taken_round_by_round(measured):
    assert measured.ratio("stdio", "scripts", "first", lambda step: step.wall) == 0.5
    measured.steps["scripts"]["first"][2] = step(60.0)  # the ratio of the medians is 0.25 then
    assert measured.ratio("stdio", "scripts", "first", lambda step: step.wall) == 0.5


def test_contenders_with_another_number_of_rounds_are_not_compared(measured):
    measured.add("stdio", "first", step(2.0))
    with pytest.raises(ValueError, match="shorter"):
        measured.ratio("stdio", "scripts", "first", lambda step: step.wall)


def test_the_tables_have_every_phase_every_contender_and_the_largest_peak(measured):
    lines = list(measured.table())
    for title in results.PHASES.values():
        head = next(at for at, line in enumerate(lines) if line.startswith(title))
        assert [line.split()[0] for line in lines[head + 1 : head + 3]] == ["scripts", "stdio"]
        assert lines[head + 2].split()[1:] == ["3.00", "0.50", "1.00", "2.00", "3.0"]
    assert lines[-1].split(maxsplit=1) == ["stdio", "client: gate 21, server: guard 11"]


def test_what_is_written_as_json_is_read_again(measured):
    again = results.read(measured.json())
    assert list(again.table()) == list(measured.table())


def test_the_chart_names_every_bar_with_its_seconds_and_escapes_what_it_is_told(measured):
    top = ElementTree.fromstring(chart.draw(measured))
    texts = [element.text for element in top.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("published scripts") == texts.count("ours: stdio") == len(results.PHASES)
    assert texts.count("6.00") == texts.count("3.00") == len(results.PHASES)
    assert "a <machine> & more" in next(top.iter("{http://www.w3.org/2000/svg}desc")).text
    bars = [float(element.get("width")) for element in top.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars[1] == pytest.approx(bars[0] / 2, abs=0.2)


def test_a_change_is_one_per_cent_of_the_files_and_of_the_bytes(tmp_path):
    tree = trees.grow(str(tmp_path / "tree"), "small")
    number, size = tree.size()
    before = {entry.path: Path(entry.path).read_bytes() for entry in tree.files()}
    trees.change(tree, "a seed")
    after = {entry.path: Path(entry.path).read_bytes() for entry in tree.files()}
    assert tree.size() == (number, size) == (204, sum(map(len, before.values())))
    changed = [path for path in before if before[path] != after[path]]
    assert len(changed) in (2, 3)  # 1 % of them, and the largest
    differing = sum(one != two for path in changed for one, two in zip(before[path], after[path], strict=True))
    assert 0.009 * size < differing < 0.011 * size + 2 * 9_000
