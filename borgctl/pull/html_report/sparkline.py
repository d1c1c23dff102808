"""Sparkline: the geometry of a small chart of a job's last runs, for the attributes of SVG; the newest is at the right.

It knows numbers only. What they mean is in `charts`, the tags around them are in the page's template. Both kinds begin
at 0, so that half as much looks like half as much. A run without a value is a cross at the bottom.

    >>> line([1.0, None, 2.0, 4.0])
    Shape(path='M134 22h0M144 16L149 4', last=('149', '4'), crosses='M137 26l4 4m0 -4l-4 4')
    >>> bars([0, 4]).path
    'M144 28V27M149 28V4'
"""

from collections.abc import Sequence
from typing import NamedTuple

RUNS = 30  # places; fewer runs leave the left ones empty, so that the charts of two jobs can be compared
_STEP, _MARGIN = 5, 4
WIDTH, HEIGHT = (RUNS - 1) * _STEP + 2 * _MARGIN, 32
_TOP, _BOTTOM = _MARGIN, HEIGHT - _MARGIN
_LEAST_BAR = 1  # what a 0 has, so that it is seen


class Shape(NamedTuple):
    """Path data of a line or of bars, where the last value is, and path data of the crosses."""

    path: str
    last: tuple[str, str] | None
    crosses: str


class _Point(NamedTuple):
    x: str
    y: float | None


def line(values: Sequence[float | None]) -> Shape:
    """Join values that follow each other; one that stands alone is a dot, where lines have round ends."""
    points, path = _points(values), ""
    known = [point.y is not None for point in points]
    for place, (x, y) in enumerate(points):
        if y is None:
            continue
        joined, alone = place > 0 and known[place - 1], not any(known[place + 1 : place + 2])
        path += f"L{x} {_number(y)}" if joined else f"M{x} {_number(y)}{'h0' if alone else ''}"
    return _shape(points, path)


def bars(values: Sequence[float | None]) -> Shape:
    """Draw a bar for each value."""
    points = _points(values)
    tops = [(x, min(y, _BOTTOM - _LEAST_BAR)) for x, y in points if y is not None]
    return _shape(points, "".join(f"M{x} {_BOTTOM}V{_number(y)}" for x, y in tops))


def _points(values: Sequence[float | None]) -> list[_Point]:
    shown = values[-RUNS:]
    most = max((value for value in shown if value is not None), default=0) or 1
    heights = [None if value is None else _BOTTOM - (_BOTTOM - _TOP) * (value / most) for value in shown]
    right = WIDTH - _MARGIN
    return [_Point(f"{right - _STEP * back}", y) for back, y in zip(range(len(shown))[::-1], heights, strict=True)]


def _shape(points: Sequence[_Point], path: str) -> Shape:
    known = [(x, _number(y)) for x, y in points if y is not None]
    unknown = "".join(f"M{int(x) - 2} {_BOTTOM - 2}l4 4m0 -4l-4 4" for x, y in points if y is None)
    return Shape(path, known[-1] if known else None, unknown)


def _number(value: float) -> str:
    return f"{round(value, 1):g}"
