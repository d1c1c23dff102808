"""Strict YAML: a small tree of strings with positions, and nothing that a reader could misjudge.

Every scalar is a string until a caller gives it a type (so `no` is not False and `22:30` not 1350). These are errors:

- anchors, aliases, tags, duplicate keys, control characters, a second document;
- text over several lines without quotes (where a line is lost, YAML joins what stood around it);
- more than 64 KiB, and more than 8 levels.

This module does not know what a policy is. `NodeReader` gives types to the nodes of its tree.

    >>> node = parse("[yes]").value[0]
    >>> node.line, node.column, node.value
    (1, 2, 'yes')
"""

from collections.abc import Iterable
from typing import NamedTuple

import yaml

from borgctl.data_class import dataclass, replace
from borgctl.secret_urls import shown

LARGEST = 64 * 1024
DEEPEST = 8

_PLACED_AT_BEGIN = (
    "while scanning a simple key",
    "while scanning an alias",
    "while scanning a quoted scalar",
)
_QUOTE = ": a value that begins with one of *&!@%` must be in quotes"
_QUOTED = ("'", '"')
_JOINED = "goes on over several lines: is a line missing below it? Text of several lines must be in quotes"

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file; line and column count from 1. `file` is empty where the caller knows which it is."""

    line: int
    column: int
    text: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: {self.text}"
        return f"{self.file}:{place}" if self.file else place

    def __lt__(self, other: "Problem") -> bool:
        return (self.file, self.line, self.column, self.text) < (other.file, other.line, other.column, other.text)


class Problems(Exception):  # noqa: N818 - a collection, raised as one
    """All the mistakes of one file, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.all = tuple(sorted(set(problems)))
        super().__init__("; ".join(map(str, self.all)))


class Node(NamedTuple):
    """A scalar (`value` is a str), a list (a tuple of nodes) or a mapping (`pairs` set), with its position."""

    line: int
    column: int
    value: "str | tuple[Node, ...]" = ()
    pairs: "tuple[tuple[Node, Node], ...] | None" = None
    file: str = ""


def parse(text: str, file: str = "") -> Node:
    """Parse one document; raise `Problems` with its first syntax error. Nodes and problems carry the `file`'s name."""
    try:
        return _parse(text, file)
    except Problems as problems:
        raise Problems(replace(problem, file=file) for problem in problems.all) from None


def _parse(text: str, file: str) -> Node:
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise Problems([Problem(1, 1, f"longer than {LARGEST} bytes")])
    try:
        return _tree(text, file)
    except yaml.MarkedYAMLError as error:
        raise Problems([_syntax_error(text, error)]) from None
    except (yaml.YAMLError, UnicodeError):
        raise Problems([Problem(1, 1, "not YAML: a character that YAML does not admit")]) from None


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Return the error, placed where it begins and not where the parser gave up, with what to do if we know it."""
    begin, end = error.context_mark, error.problem_mark
    mark = begin if error.context in _PLACED_AT_BEGIN or end is None else end
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = f"not YAML: {error.problem or error.context}"
    if error.context == "while scanning an alias":
        message += _QUOTE
    elif "cannot start any token" in message:
        message += ": a tab: indent with spaces" if mark and text[mark.index : mark.index + 1] == "\t" else _QUOTE
    elif begin and error.context and error.context.startswith("while parsing a flow"):
        message += f" of what begins at {begin.line + 1}:{begin.column + 1}"
    return Problem(*place, message)


def _tree(text: str, file: str) -> Node:
    """Build the tree from the stream of events, so that nothing forbidden ever gets into it."""
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
            node = Node(line, column, _one_line(event, line, column), None, file)
        else:
            start, children = open_nodes.pop()
            node = _collection(start, children, file)
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
    begin, end = event.start_mark, event.end_mark
    if event.style not in _QUOTED and not (begin and end and begin.line == end.line):
        raise Problems([Problem(line, column, _JOINED)])
    return str(event.value)


def _collection(start: yaml.Event, children: list[Node], file: str) -> Node:
    line, column = _place(start)
    if isinstance(start, yaml.SequenceStartEvent):
        return Node(line, column, tuple(children), None, file)
    pairs = tuple(zip(children[::2], children[1::2], strict=True))
    seen: set[str] = set()
    for key, _ in pairs:
        if not isinstance(key.value, str):
            raise Problems([Problem(key.line, key.column, "expected a single value as key")])
        if key.value in seen:
            raise Problems([Problem(key.line, key.column, f"duplicate key {shown(key.value)!r}")])
        seen.add(key.value)
    return Node(line, column, (), pairs, file)
