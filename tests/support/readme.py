"""Reads a set-up out of the README, or of a page like it: what is to be typed, on which machine, in which order.

It knows how they are written: a numbered step a list item, `backup` and `web1` or `laptop` for the machines, what is
typed in code spans or in indented lines. It knows nothing of what the commands do.
"""

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_PIECE = re.compile(
    r"^(?P<step>\d+)\. |\b[Oo]n\s+(?P<both>both)\b|\b[Oo]n\s+`(?P<machine>backup|web1|laptop)`|`(?P<span>[^`]+)`",
    re.MULTILINE,
)
_LINE = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """Something in code: in which step (0: before or after them), for which machine, the words."""

    step: int
    machine: str  # 'both', or a machine's name
    words: str


def chapters(page: Path, titles: tuple[str, ...]) -> str:
    """Return the text of some chapters, each from its title to the next."""
    texts = []
    for wanted in titles:
        _, title, rest = page.read_text().partition(f"\n{wanted}\n")
        assert title, f"no {wanted!r} in {page}"
        texts.append(rest.partition("\n## ")[0])
    return "\n".join(texts)


def said(text: str) -> list[Said]:
    """Return all that stands in code there, in order."""
    last = [match.start() for match in re.finditer(r"^\d+\. ", text, re.MULTILINE)][-1]
    end = text.index("\n\n", last)  # an item's further lines are indented too
    text = text[:end] + _LINE.sub(r"`\1`", text[end:])
    found, step, machine = [], 0, "both"
    for match in _PIECE.finditer(text):
        step = 0 if match.start() > end else step
        if match["step"]:
            step, machine = int(match["step"]), "both"
        elif match["span"]:
            found.append(Said(step, machine, " ".join(match["span"].split())))
        else:
            machine = match["both"] or match["machine"]
    return found


def numbers(text: str) -> list[int]:
    """Return the steps' numbers."""
    return [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
