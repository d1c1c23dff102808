"""Strict YAML: a small tree of strings with positions, and nothing that a reader could misjudge.

Every scalar is a string until somebody gives it a type (so `no` is not False and `22:30` not 1350). Anchors, aliases,
tags, duplicate keys, control characters, text over several lines without quotes (where a line is lost, YAML joins what
stood around it), a second document, more than 64 KiB and more than 8 levels are errors. This module does not know what
a policy is; whoever does reads the tree through `NodeReader`, which collects every mistake instead of stopping at the
first.

    >>> root, notes = parse("version: 1"), NodeReader()
    >>> notes.scalar(notes.fields(root, ("version",))["version"], str, "")
    '1'
    >>> notes.finish()
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import yaml

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.spelling import meant

LARGEST = 64 * 1024
DEEPEST = 8

_FROM_ITS_BEGINNING = ("while scanning a simple key", "while scanning an alias", "while scanning a quoted scalar")
_QUOTE = ": a value that begins with one of *&!@%` has to be in quotes"
_QUOTED = ("'", '"')
_JOINED = "goes on over several lines: is a line missing below it? Text of several lines has to be in quotes"

T = TypeVar("T")
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file; line and column count from 1."""

    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.text}"

    def __lt__(self, other: "Problem") -> bool:
        return (self.line, self.column, self.text) < (other.line, other.column, other.text)


class Problems(Exception):  # noqa: N818 - a collection, raised as one
    """All the mistakes of one file, in order."""

    def __init__(self, found: Iterable[Problem]) -> None:
        self.found = tuple(sorted(set(found)))
        super().__init__("; ".join(map(str, self.found)))


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar (`value` is a str), a list (a tuple of nodes) or a mapping (`pairs` set), and where it stands."""

    line: int
    column: int
    value: "str | tuple[Node, ...]" = ()
    pairs: "tuple[tuple[Node, Node], ...] | None" = None


class NodeReader:
    """Read typed values from nodes, keeping every mistake; the values are good only after `finish` has returned."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, node: Node, text: str) -> None:
        """Keep one mistake at this node."""
        self.found.append(Problem(node.line, node.column, text))

    def finish(self) -> None:
        """Raise `Problems` if there is any mistake."""
        if self.found:
            raise Problems(self.found)

    def scalar(self, node: Node, reader: Callable[[str], T], default: T) -> T:
        """Give a scalar its type; `reader` raises BadValue, then `default` stands in until `finish`."""
        if not isinstance(node.value, str):
            self.add(node, "expected a single value")
            return default
        try:
            return reader(node.value)
        except BadValue as problem:
            self.add(node, str(problem))
            return default

    def nodes(self, node: Node) -> tuple[Node, ...]:
        """Return a list's nodes."""
        if node.pairs is not None or isinstance(node.value, str):
            self.add(node, "expected a list, like [a, b]")
            return ()
        return node.value

    def items(self, node: Node, reader: Callable[[str], T]) -> tuple[T, ...]:
        """Return a list's scalars, typed; the bad ones are left out."""
        values = (self.scalar(item, lambda text: (reader(text),), None) for item in self.nodes(node))
        return tuple(value[0] for value in values if value is not None)

    def entries(self, node: Node) -> tuple[tuple[Node, Node], ...]:
        """Return a mapping's pairs; keys are scalars and unique (`parse` saw to that)."""
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

        `elsewhere` says of a word where it belongs instead, as ': …', or nothing.
        """
        allowed, found = tuple(allowed), {}
        for key, value in self.entries(node):
            if key.value in allowed:
                found[str(key.value)] = value
            else:
                word = str(key.value)
                hint = elsewhere(word) or meant(word, allowed)
                self.add(key, f"unknown key {word!r}{hint} (expected one of: {', '.join(allowed)})")
        for name in required:
            if name not in found and node.pairs is not None:
                self.add(node, f"missing key {name!r}")
        return found


def parse(text: str) -> Node:
    """Parse one document; raise `Problems` with its first mistake of form."""
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise Problems([Problem(1, 1, f"longer than {LARGEST} bytes")])
    try:
        return _tree(text)
    except yaml.MarkedYAMLError as error:
        raise Problems([_misspelt(text, error)]) from None
    except (yaml.YAMLError, UnicodeError):
        raise Problems([Problem(1, 1, "not YAML: a character that YAML does not admit")]) from None


def _misspelt(text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Say what is no YAML where it begins, which is not always where the parser gave up, and what to do if we know."""
    begun, ended = error.context_mark, error.problem_mark
    mark = begun if error.context in _FROM_ITS_BEGINNING or ended is None else ended
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    told = f"not YAML: {error.problem or error.context}"
    if error.context == "while scanning an alias":
        told += _QUOTE
    elif "cannot start any token" in told:
        told += ": a tab: indent with spaces" if mark and text[mark.index : mark.index + 1] == "\t" else _QUOTE
    elif begun and error.context and error.context.startswith("while parsing a flow"):
        told += f" of what begins at {begun.line + 1}:{begun.column + 1}"
    return Problem(*place, told)


def _tree(text: str) -> Node:
    """Build the tree from the stream of events, so that what it must not hold never gets in."""
    open_nodes: list[tuple[yaml.Event, list[Node]]] = []
    root: Node | None = None
    for event in yaml.parse(text, Loader=_Loader):
        if not isinstance(event, (yaml.NodeEvent, yaml.CollectionEndEvent)):
            continue  # the stream's and the document's own beginning and end
        line, column = _place(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise Problems([Problem(line, column, f"anchors, aliases and tags are not allowed{_QUOTE}")])
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event, []))
            if len(open_nodes) > DEEPEST:
                raise Problems([Problem(line, column, f"nested deeper than {DEEPEST} levels")])
            continue
        if isinstance(event, yaml.ScalarEvent):
            node = Node(line, column, _one_line(event, line, column))
        else:
            start, children = open_nodes.pop()
            node = _collection(start, children)
        if open_nodes:
            open_nodes[-1][1].append(node)
        elif root is None:
            root = node
        else:
            raise Problems([Problem(line, column, "a second document")])
    if root is None:
        raise Problems([Problem(1, 1, "empty")])
    return root


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _one_line(event: yaml.ScalarEvent, line: int, column: int) -> str:
    if not event.value.isprintable():
        raise Problems([Problem(line, column, "control characters and line breaks are not allowed")])
    begun, ended = event.start_mark, event.end_mark
    if event.style not in _QUOTED and not (begun and ended and begun.line == ended.line):
        raise Problems([Problem(line, column, _JOINED)])
    return str(event.value)


def _collection(start: yaml.Event, children: list[Node]) -> Node:
    line, column = _place(start)
    if isinstance(start, yaml.SequenceStartEvent):
        return Node(line, column, tuple(children))
    pairs = tuple(zip(children[::2], children[1::2], strict=True))
    seen: set[str] = set()
    for key, _ in pairs:
        if not isinstance(key.value, str):
            raise Problems([Problem(key.line, key.column, "expected a single value as key")])
        if key.value in seen:
            raise Problems([Problem(key.line, key.column, f"duplicate key {key.value!r}")])
        seen.add(key.value)
    return Node(line, column, (), pairs)
