r"""How many steps a backtracking matcher takes with a regular expression: counted, so the same on any machine.

It reads the expression with Python's own parser, and tries in Python's order. That it finds what `re` finds is checked.

    steps(re.compile(r"a*b"), "aaaa") > steps(re.compile(r"a*b"), "aa")
"""

import re
import sys
from re import _constants as op
from re import _parser

_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}
_SINGLE = (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN)


def steps(pattern, text):
    """Return the steps of finding every match in a text; fail where `re` finds others."""
    matcher, before = _Matcher(pattern, text), sys.getrecursionlimit()
    sys.setrecursionlimit(50 * len(text) + 10_000)
    try:
        found = matcher.spans()
    finally:
        sys.setrecursionlimit(before)
    assert found == [match.span() for match in pattern.finditer(text)]
    return matcher.steps


class _Matcher:
    def __init__(self, pattern, text):
        self.text, self.steps, self.groups = text, 0, {}
        self.nodes = list(_parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
        self.flags = pattern.flags | _parser.parse(pattern.pattern).state.flags

    def spans(self):
        found, start = [], 0
        while start <= len(self.text):
            self.groups = {}
            end = self.match(self.nodes, 0, start, lambda at: at)
            if end is None:
                start += 1
            else:
                found.append((start, end))
                start = max(end, start + 1)
        return found

    def match(self, nodes, index, at, then):
        """Match the nodes from an index on, then what `then` matches; return the end, or None."""
        self.steps += 1
        if index == len(nodes):
            return then(at)
        kind, value = nodes[index]

        def rest(end):
            return self.match(nodes, index + 1, end, then)

        if kind in _SINGLE:
            return rest(at + 1) if self.single(nodes[index], at) else None
        return getattr(self, f"_{str(kind).lower()}")(value, at, rest)

    def single(self, node, at):
        self.steps += 1
        return at < len(self.text) and self.among(*node, self.text[at])

    def among(self, kind, value, character):
        if kind == op.ANY:
            return bool(self.flags & re.DOTALL) or character != "\n"
        if kind == op.IN:
            negated = value[0][0] == op.NEGATE
            return negated != any(self.among(*item, character) for item in value[negated:])
        if kind == op.CATEGORY:
            return re.fullmatch(_CATEGORIES[value], character) is not None
        forms = {character, character.lower(), character.upper()} if self.flags & re.IGNORECASE else {character}
        if kind == op.RANGE:
            return any(value[0] <= ord(form) <= value[1] for form in forms)
        return (kind == op.LITERAL) == any(ord(form) == value for form in forms)

    def _branch(self, value, at, rest):
        ends = (self.match(list(nodes), 0, at, rest) for nodes in value[1])
        return next((end for end in ends if end is not None), None)

    def _subpattern(self, value, at, rest):
        number, nodes = value[0], list(value[3])

        def closed(end):
            before = self.groups.get(number)
            self.groups[number] = (at, end)
            result = rest(end)
            if result is None:
                self.groups[number] = before
            return result

        return self.match(nodes, 0, at, closed)

    def _max_repeat(self, value, at, rest):
        least, most, nodes = value[0], value[1], list(value[2])
        if len(nodes) == 1 and nodes[0][0] in _SINGLE:
            end = at
            while (most == op.MAXREPEAT or end - at < most) and self.single(nodes[0], end):
                end += 1
            ends = (rest(one) for one in range(end, at + least - 1, -1))
            return next((one for one in ends if one is not None), None)
        return self.again(nodes, least, most, at, rest)

    def again(self, nodes, least, most, at, rest):
        def more(end):
            if end == at and least <= 0:
                return None
            return self.again(nodes, least - 1, most if most == op.MAXREPEAT else most - 1, end, rest)

        end = self.match(nodes, 0, at, more) if most == op.MAXREPEAT or most > 0 else None
        return rest(at) if end is None and least <= 0 else end

    def _min_repeat(self, value, at, rest):
        (node,), least = value[2], value[0]
        assert value[1] == op.MAXREPEAT and node[0] in _SINGLE
        end = at
        while True:
            if end - at >= least and (found := rest(end)) is not None:
                return found
            if not self.single(node, end):
                return None
            end += 1

    def _at(self, value, at, rest):
        before, after = self.text[at - 1 : at] if at else "", self.text[at : at + 1]
        there = {
            op.AT_END_STRING: not after,
            op.AT_BEGINNING_STRING: at == 0,
            op.AT_BOUNDARY: bool(re.match(r"\w", before)) != bool(re.match(r"\w", after)),
        }[value]
        return rest(at) if there else None

    def holds(self, value, at):
        direction, nodes = value[0], list(value[1])
        start = at if direction > 0 else at - value[1].getwidth()[0]
        return start >= 0 and self.match(nodes, 0, start, lambda end: end) is not None

    def _assert(self, value, at, rest):
        return rest(at) if self.holds(value, at) else None

    def _assert_not(self, value, at, rest):
        return None if self.holds(value, at) else rest(at)

    def _groupref(self, value, at, rest):
        start, end = self.groups[value]
        piece = self.text[start:end]
        self.steps += len(piece)
        return rest(at + len(piece)) if self.text.startswith(piece, at) else None
