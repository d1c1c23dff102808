"""Reads of an expression of Prometheus which metrics and labels it names. It is no parser: promtool(1) is.

    read('sum by (target) (rate(x{code=~"a|b"}[5m])) > 0')      Named({("x", "code", "a|b")}, {"x"}, {"target"})

A word that is neither a function, an operator nor a label's place is a metric, so a mistyped function is found as one.
"""

import re
from typing import NamedTuple

_FUNCTIONS = {"absent", "count", "max", "min", "sum", "time", "vector", "avg_over_time", "max_over_time"}
_OPERATORS = {"and", "or", "unless", "bool", "offset"}
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_TOKEN = re.compile(
    r"""\s+|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>[0-9][0-9a-z.]*)"""
    r"""|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],])"""
)


class Named(NamedTuple):
    """What an expression names: matchers as (metric, label, text), metrics, and labels that it groups by."""

    matchers: frozenset[tuple[str, str, str]]
    metrics: frozenset[str]
    labels: frozenset[str]


def read(expression: str) -> Named:
    """Return what an expression names; raise ValueError where it has what no expression has."""
    tokens = _tokens(expression)
    matchers, metrics, labels, metric = set(), set(), set(), ""
    while tokens:
        token = tokens.pop(0)
        if token in _GROUPING:
            labels.update(_list(tokens))
        elif token == "{":
            matchers.update((metric, label, text) for label, text in _matchers(tokens))
        else:
            calls = tokens[:1] in (["("], ["by"], ["without"]) and token in _FUNCTIONS
            metric = token if re.match(r"[A-Za-z_:]", token) and token not in _OPERATORS and not calls else ""
            metrics |= {metric} - {""}
    return Named(frozenset(matchers), frozenset(metrics), frozenset(labels))


def _tokens(expression: str) -> list[str]:
    found, place, open_signs = [], 0, []
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"{expression[place:]!r} in {expression!r}")
        place = match.end()
        if match[0] in ("(", "{", "["):
            open_signs.append({"(": ")", "{": "}", "[": "]"}[match[0]])
        elif match[0] in (")", "}", "]") and (not open_signs or open_signs.pop() != match[0]):
            raise ValueError(f"unbalanced {match[0]!r} in {expression!r}")
        if match[0].strip():
            found.append(match[0])
    if open_signs:
        raise ValueError(f"no {open_signs[-1]!r} in {expression!r}")
    return found


def _list(tokens: list[str]) -> list[str]:
    """Take '(' LABEL, … ')'."""
    end = tokens.index(")")
    words = tokens[:end]
    del tokens[: end + 1]
    if words[:1] != ["("]:
        raise ValueError(f"{words} is no list of labels")
    return [word for word in words[1:] if word != ","]


def _matchers(tokens: list[str]) -> list[tuple[str, str]]:
    """Take LABEL OPERATOR TEXT, … '}'."""
    found = []
    while tokens[0] != "}":
        label, sign, text = tokens[:3]
        del tokens[:3]
        if sign not in ("=", "!=", "=~", "!~") or text[0] not in "\"'":
            raise ValueError(f"{label} {sign} {text} is no matcher")
        found.append((label, text[1:-1]))
        if tokens[0] == ",":
            del tokens[0]
    del tokens[0]
    return found
