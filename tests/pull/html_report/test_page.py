"""The page: whatever a client chose stays text, and a reader finds their way without seeing it."""

import functools
import hashlib
import re
from base64 import b64encode
from itertools import pairwise

import html_page
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fleets import HOSTILE, LONG, hostile, well

from borgctl.pull.html_report.fleet import survey
from borgctl.pull.html_report.page import Heading, page
from borgctl.text import printable

NOW = 1.8e9
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "nav", "section", "h1", "h2", "h3", "p"),
    *("a", "b", "bdi", "span", "strong", "code", "ol", "ul", "li", "dl", "div", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "path", "circle"),
}


def read(standings, runs, *, server="backup", since=None, faults=()):
    return html_page.read(page(survey(standings, runs, NOW), Heading(server, NOW, since, faults)))


def with_text(text):
    return read(*hostile(text, NOW), server=text, faults=(text,))


@functools.cache
def harmless():
    return with_text("x").skeleton


@pytest.fixture(scope="module")
def whole():
    """A page with one of each part."""
    standings, runs = well(NOW)
    worse, others = hostile("x", NOW)
    return read([*standings, *worse], [*runs, *others], since=NOW - 86400, faults=("x",))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_stay_text_wherever_they_are(text):
    found = with_text(text)
    assert found.skeleton == harmless()
    shown = printable(text[:200])
    places = [
        element for element in found.elements if element.tag in ("bdi", "span", "title", "dd") and shown in element.text
    ]
    assert len(places) > 15, "the page has them in many places"


@settings(max_examples=30)
@given(st.text(st.characters(), min_size=1))
def test_no_words_at_all_change_the_page_around_them(text):
    assert with_text(text).skeleton == harmless()


def test_nothing_of_a_clients_can_reorder_a_line_or_steer_a_terminal():
    for text in HOSTILE:
        everything = with_text(text).all("html")[0].text
        assert all(one.isprintable() or one == "\n" for one in everything)


def test_a_long_word_is_cut_and_what_is_left_out_is_counted():
    data = page(survey(*hostile(LONG, NOW), NOW), Heading("backup", NOW, None, ()))
    assert len(data) < 150_000 and b"more characters)" in data and b"A" * 4001 not in data


def test_the_page_is_ascii_so_no_server_can_have_its_charset_mistaken():
    data = page(survey(*hostile("é\U0001f4a3", NOW), NOW), Heading("é", NOW, None, ()))
    assert data.isascii() and b"&#233;&#128163;" in data


def test_it_loads_nothing_and_runs_nothing(whole):
    assert {element.tag for element in whole.elements} <= TAGS
    (style,) = whole.all("style")
    (policy,) = [one.attributes["content"] for one in whole.all("meta") if one.attributes.get("http-equiv")]
    digest = b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not re.search(r"url\(|@import|[<>&]/|//", style.text)
    for element in whole.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("style", "src", "srcset", "action")
            assert name != "href" or value.startswith("#")


def test_headings_are_in_order_and_links_lead_to_them(whole):
    levels = [int(element.tag[1]) for element in whole.all("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [element.attributes["id"] for element in whole.elements if "id" in element.attributes]
    assert len(names) == len(set(names))
    wanted = {one.attributes["href"][1:] for one in whole.all("a")}
    wanted |= {one.attributes["aria-labelledby"] for one in whole.all("section")}
    assert wanted == set(names)


def test_each_table_has_a_caption_and_each_head_says_what_it_heads(whole):
    tables = whole.all("table")
    assert len(tables) == 3
    for table in tables:
        assert [element.tag for element in table.inside] == ["caption", "thead", "tbody"]
        assert table.inside[0].text.strip()
    for head in whole.all("th"):
        expected = "col" if any(element.tag == "thead" for element in head.above) else "row"
        assert head.attributes["scope"] == expected and head.text.strip()
    for row in whole.all("tbody"):
        assert {line.inside[0].tag for line in row.inside} == {"th"}


def test_on_a_phone_each_cell_has_the_name_of_its_column(whole):
    for table in whole.all("table"):
        columns = [head.text for head in table.inside[1].inside[0].inside]
        for row in table.inside[2].inside:
            assert [cell.attributes["data-label"] for cell in row.inside[1:]] == columns[1:]


def test_each_chart_says_in_words_what_it_shows_and_no_colour_stands_alone(whole):
    charts = whole.all("svg")
    assert len(charts) == 6
    for chart in charts:
        assert chart.attributes["role"] == "img" and chart.inside[0].tag == "title" and chart.inside[0].text.strip()
    for badge in whole.all("span"):
        assert "badge" not in badge.attributes.get("class", "") or badge.text.strip()


def test_where_all_is_well_the_page_says_so_and_where_nothing_is_known_too():
    text = read(*well(NOW)).all("html")[0].text
    assert "0 to look at: backups on backup" in text
    assert "Nothing: no run failed, no job is overdue, and no alert stands." in text
    assert "There is no target." in read([], []).all("html")[0].text
    standings, _ = well(NOW)
    assert "No run is shown." in read(standings, []).all("html")[0].text


def test_what_could_not_be_read_is_said_above_everything():
    found = read(*well(NOW), faults=("/x/history.db: damaged",))
    (fault,) = [element for element in found.all("p") if element.attributes.get("class") == "fault"]
    assert fault.text.startswith("Not all could be read: /x/history.db: damaged.")
    assert found.elements.index(fault) < found.elements.index(found.all("h2")[0])


def test_the_time_of_making_is_there_and_since_when_runs_are_shown():
    assert "Made on 2027-01-15 08:00 UTC by borgpull" in read([], []).all("header")[0].text
    assert "Runs are shown from 2027-01-14 08:00 UTC on." in read([], [], since=NOW - 86400).all("header")[0].text


def test_what_is_worse_comes_first():
    standings, runs = well(NOW)
    worse, _ = hostile("x", NOW)
    (listed,) = read([*standings, *worse], runs).all("ol")
    assert [item.attributes["class"] for item in listed.inside] == ["attack", "critical", "critical", "warning"]
