"""Read typed values from a YAML tree, and collect every mistake instead of stopping at the first.

It knows scalars, lists and mappings. Which keys a file has, and which types, its caller says.

    >>> from borgctl.strict_yaml import parse
    >>> reader = NodeReader()
    >>> fields = reader.fields(parse("version: 1"), ("version",))
    >>> reader.scalar(fields["version"], int, 0)
    1
    >>> reader.finish()
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from borgctl.errors import BadValue
from borgctl.secret_urls import without
from borgctl.spelling import suggestion
from borgctl.strict_yaml import Node, Problem, Problems

T = TypeVar("T")


class NodeReader:
    """Read typed values from nodes and collect every mistake; the values are good only after `finish` has returned."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, node: Node, text: str) -> None:
        """Add one mistake at this node. A URL that stands there is not repeated: it may hold secrets."""
        text = without(text, node.value) if isinstance(node.value, str) else text
        self.problems.append(Problem(node.line, node.column, text, node.file))

    def finish(self) -> None:
        """Raise `Problems` if there is any mistake."""
        if self.problems:
            raise Problems(self.problems)

    def scalar(self, node: Node, convert: Callable[[str], T], default: T) -> T:
        """Return a scalar as its type; where `convert` raises BadValue, `default` takes its place until `finish`."""
        if not isinstance(node.value, str):
            self.add(node, "expected a single value")
            return default
        try:
            return convert(node.value)
        except BadValue as error:
            self.add(node, str(error))
            return default

    def nodes(self, node: Node) -> tuple[Node, ...]:
        """Return a list's nodes."""
        if node.pairs is not None or isinstance(node.value, str):
            self.add(node, "expected a list, like [a, b]")
            return ()
        return node.value

    def items(self, node: Node, convert: Callable[[str], T]) -> tuple[T, ...]:
        """Return a list's scalars as their type, without the bad ones."""
        values = (self.scalar(item, lambda text: (convert(text),), None) for item in self.nodes(node))
        return tuple(value[0] for value in values if value is not None)

    def entries(self, node: Node) -> tuple[tuple[Node, Node], ...]:
        """Return a mapping's pairs; keys are scalars and unique, as `parse` refuses others."""
        if node.pairs is None:
            self.add(node, "expected a mapping, like {key: value}")
            return ()
        return node.pairs

    def fields(
        self,
        node: Node,
        allowed: Iterable[str],
        required: Iterable[str] = (),
        elsewhere: Callable[[str], str] = lambda _: "",
    ) -> dict[str, Node]:
        """Return a mapping's values by key; unknown and missing keys are mistakes.

        `elsewhere` returns where an unknown word belongs instead, as ': …', or an empty string.
        """
        allowed, values = tuple(allowed), {}
        for key, value in self.entries(node):
            if key.value in allowed:
                values[str(key.value)] = value
            else:
                word = str(key.value)
                hint = elsewhere(word) or suggestion(word, allowed)
                self.add(key, f"unknown key {word!r}{hint} (expected one of: {', '.join(allowed)})")
        for name in required:
            if name not in values and node.pairs is not None:
                self.add(node, f"missing key {name!r}")
        return values
