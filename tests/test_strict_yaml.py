"""Strict YAML: strings with positions, and nothing that a reader could misjudge."""

import contextlib

import pytest
import stage
import yaml
from hypothesis import given
from hypothesis import strategies as st
from work import calls

from borgctl.strict_yaml import LARGEST, Node, Problems, parse


def plain(node):
    """Return a node as lists, dictionaries and strings."""
    if node.pairs is not None:
        return {key.value: plain(value) for key, value in node.pairs}
    return node.value if isinstance(node.value, str) else [plain(item) for item in node.value]


def problems(text):
    with pytest.raises(Problems) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.all]


@pytest.mark.parametrize(
    "word", ["no", "on", "1", "0o17", "22:30", "1e3", "null", "~", "2026-11-23", ".inf", "0x1f", ""]
)
def test_every_scalar_is_a_string(word):
    assert plain(parse(f"key: {word}\n")) == {"key": word}


def test_a_node_knows_where_it_stands():
    root = parse("a:\n  - b\n  - {c: d}\n")
    ((key, value),) = root.pairs
    assert (key.line, key.column) == (1, 1)
    assert [(node.line, node.column) for node in value.value] == [(2, 5), (3, 5)]


def test_the_longest_file_is_taken_and_one_byte_more_is_not():
    head = "a: b\n#"
    assert plain(parse(head + "x" * (LARGEST - len(head)))) == {"a": "b"}
    assert problems(head + "x" * (LARGEST - len(head) + 1)) == [f"1:1: longer than {LARGEST} bytes"]
    assert problems("é" * (LARGEST // 2 + 1)) == [f"1:1: longer than {LARGEST} bytes"]


def test_eight_levels_are_taken_and_nine_are_not():
    assert plain(parse("[" * 8 + "x" + "]" * 8))
    assert problems("[" * 9 + "x" + "]" * 9) == ["1:9: nested deeper than 8 levels"]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[" * 20000,
            "{" * 20000,
            "- " * 20000,
            "? " * 20000,
            "a: " * 20000,
            "&a " * 20000,
            "!a " * 20000,
            "*a" * 20000,
        ),
        *("'" * 60000, '"' + "\\x41" * 15000 + '"', "|\n" + " x\n" * 20000, "%TAG ! x\n" * 7000, "---\n" * 15000),
        *("a" * 65000, "{" + "a," * 30000 + "}", "[" + "[]," * 20000 + "]", "\n".join(f"k{n}: v" for n in range(6000))),
    ],
    ids=lambda text: text[:8],
)
def test_no_file_is_more_work_than_its_length(text):
    def read():
        with contextlib.suppress(Problems):
            parse(text)

    assert calls(read) <= 20 * len(text)


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? "])
def test_below_the_deepest_level_nothing_is_read(piece):
    def work(number):
        with pytest.raises(Problems):
            parse(piece * number)

    assert calls(lambda: work(1000)) == calls(lambda: work(10))


@given(st.text(max_size=200) | st.text("ab:-[]{}&*!|>'\"%@`#,? \n\t\0\u2028", max_size=60))
def test_any_text_gives_a_tree_or_problems(text):
    found = stage.outcome(Problems, parse, text)
    assert isinstance(found, Node) or found.all


TREES = st.recursive(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S"), include_characters=" "), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_what_yaml_writes_of_strings_is_read_back_as_it_was(tree):
    """PyYAML as oracle: its dump, quoted so that each scalar is a string, is read as the same tree."""
    text = yaml.safe_dump(tree, default_style='"', allow_unicode=True, default_flow_style=True, width=10**9)
    found = stage.outcome(Problems, parse, text)
    if isinstance(found, Problems):
        assert "deeper" in str(found) or "control" in str(found)
    else:
        assert plain(found) == tree


@pytest.mark.parametrize(
    "text", ["a: &x b", "a: *x", "a: !!str b", "a: !x b", "!x {a: b}", "&x [a]", "a: ! b", "a: &x"]
)
def test_anchors_aliases_and_tags_are_refused(text):
    assert any("anchors, aliases and tags" in problem or "not YAML" in problem for problem in problems(text))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{a: 1, 'a': 2}", '{x: {b: 1, "\\x62": 2}}', "? a\n: 1\n? a\n: 2"])
def test_a_key_stands_once(text):
    assert "duplicate key" in problems(text)[0]


@pytest.mark.parametrize("name", ["\\x00", "\\x1b", "\\n", "\\N", "\\P", "\\u202e", "\\ud800", "\\uFEFF", "\\_"])
def test_what_cannot_be_seen_is_refused(name):
    assert problems(f'a: "x{name}y"')


def test_lines_may_be_folded_in_quotes_but_not_kept():
    assert plain(parse("a: 'one\n  two'\nb: \"one\n  two\"\n")) == {"a": "one two", "b": "one two"}
    assert "line breaks" in problems("a: |\n  one\n  two\n")[0]
    assert "line breaks" in problems("a: 'one\n\n  two'\n")[0]


@pytest.mark.parametrize("text", ["a: one\n  two\n", "a: one\n  - two\n", "[one\n two]", "a: >-\n  one\n  two\n"])
def test_text_without_quotes_ends_with_its_line(text):
    """Where the line `exclude-if-present:` is lost, its list would be read as the rest of the comment above it."""
    assert "is a line missing below it?" in problems(text)[0]


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    with contextlib.suppress(Problems):
        assert plain(parse("\ufeffa: b\n")) == {"a": "b"}


def test_nodes_and_problems_carry_the_name_of_their_file():
    node = parse("a: [b]", "x.yaml").pairs[0][1].value[0]
    assert (node.file, node.line, node.value) == ("x.yaml", 1, "b")
    with pytest.raises(Problems, match=r"^x\.yaml:2:1: not YAML"):
        parse("a: [b", "x.yaml")
