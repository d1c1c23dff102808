"""Typed values from a YAML tree, with every mistake collected."""

import pytest

from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.strict_yaml import Problems, parse


def test_every_mistake_is_collected_and_they_come_in_order():
    root, reader = parse("b: [x, {}]\na: y\n"), NodeReader()
    fields = reader.fields(root, ("a", "b", "c"), ("c",))
    reader.items(fields["b"], lambda text: text)
    reader.scalar(fields["a"], rejected, None)
    reader.entries(fields["a"])
    with pytest.raises(Problems) as caught:
        reader.finish()
    assert [str(problem) for problem in caught.value.all] == [
        "1:1: missing key 'c'",
        "1:8: expected a single value",
        "2:4: expected a mapping, like {key: value}",
        "2:4: no",
    ]


def rejected(text):
    raise BadValue("no")


def test_a_mistake_is_reported_once():
    root, reader = parse("a: y\n"), NodeReader()
    for _ in range(2):
        reader.fields(root, ("b",))
    with pytest.raises(Problems) as caught:
        reader.finish()
    assert len(caught.value.all) == 1


def test_a_value_that_is_read_as_nothing_is_no_mistake():
    reader = NodeReader()
    assert reader.items(parse("[a, b]"), lambda text: None) == (None, None)
    reader.finish()
