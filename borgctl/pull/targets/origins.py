"""Origins: a target's whole content, its own and the defaults', with the file and line that each value comes from.

    lines(tree(folders, name), target) → "quota: 500G              # /etc/borgpull/defaults.yaml:3", …

The lines are YAML: without their comments they are the one file that means the same, but for the
URLs that have secrets: of those they show no more than a log does.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from borgctl.pull.targets import telling_places
from borgctl.pull.targets.targets import KEYS, Target
from borgctl.strict_yaml import Node

BUILT_IN = {"expect": "26h", "timeout": "12h", "borg": "/usr/bin/borg"}  # for every target
_WIDEST = 60  # characters before a comment that stands in its column
_PLAIN = re.compile(r"[A-Za-z0-9/_.](?:[A-Za-z0-9_./+@= -]*[A-Za-z0-9_./+@=-])?")


def lines(root: Node, target: Target) -> list[str]:
    """Return the lines for people."""
    root = telling_places.masked(root)
    built_in, said = _built_in(root, target), {str(key.value): (key, value) for key, value in root.pairs or ()}
    rows: list[tuple[str, str]] = []
    for key in KEYS:
        rows += _rows((said[key],), "") if key in said else ()
        rows += [(f"{key}: {_scalar(built_in[key])}", "built in")] if key in built_in else ()
    column = max((len(text) for text, _ in rows if len(text) <= _WIDEST), default=0)
    return [f"{text:{column}}  # {origin}" if origin else text for text, origin in rows]


def plain(root: Node, target: Target) -> list[dict[str, Any]]:
    """Return each value for JSON; `key` are the keys that lead to it, `file` is None for what is built in."""
    root = telling_places.masked(root)
    found = [
        {"key": key, "value": _value(node), "file": node.file, "line": node.line} for key, node in _leaves(root, ())
    ]
    built_in = _built_in(root, target).items()
    return [*found, *({"key": [key], "value": value, "file": None, "line": None} for key, value in built_in)]


def _built_in(root: Node, target: Target) -> dict[str, str]:
    """Return what holds for the target though no file says it, by key."""
    values = {"transport": target.transport, **BUILT_IN}
    if target.transport != "local":
        values["identity"] = target.identity
    if target.transport == "socket":
        values["socket_directory"] = target.socket_directory
    said = {key.value for key, _ in root.pairs or ()}
    return {key: value for key, value in values.items() if key not in said}


def _rows(pairs: Iterable[tuple[Node, Node]], indent: str) -> Iterator[tuple[str, str]]:
    for key, value in pairs:
        head = f"{indent}{_scalar(str(key.value))}:"
        if value.pairs:
            yield head, ""
            yield from _rows(value.pairs, f"{indent}  ")
        else:
            yield f"{head} {_written(value)}", f"{value.file}:{value.line}"


def _leaves(node: Node, keys: tuple[str, ...]) -> Iterator[tuple[list[str], Node]]:
    for key, value in node.pairs or ():
        path = (*keys, str(key.value))
        if value.pairs:
            yield from _leaves(value, path)
        else:
            yield [*path], value


def _value(node: Node) -> Any:  # noqa: ANN401 - what JSON can hold
    if node.pairs is not None:
        return {str(key.value): _value(value) for key, value in node.pairs}
    return node.value if isinstance(node.value, str) else [_value(item) for item in node.value]


def _written(node: Node) -> str:
    if node.pairs is not None:
        return "{{{}}}".format(", ".join(f"{_scalar(str(key.value))}: {_written(value)}" for key, value in node.pairs))
    if isinstance(node.value, str):
        return _scalar(node.value)
    return f"[{', '.join(map(_written, node.value))}]"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "'{}'".format(text.replace("'", "''"))
