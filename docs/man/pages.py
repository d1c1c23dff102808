"""The manual pages: their Markdown here, made whole, and the roff that man(1) reads.

A page of section 5 takes in the page below docs/ that it names in a comment, which is made from the program's tables
(docs/generate.py); so both say the same. Used by the build, which puts the roff into the wheel, and by `make man`.
"""

import re
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[1]
# What is about files that only the repository has.
_LEFT_OUT = (r"\nEditors that know .*?(?=\n\n)", r" Schema: \S+\.", r"This page is made [^\n]*\n\n")
_TAKES_IN = re.compile(r"<!-- (docs/\w+\.md) -->\n")


def names() -> list[str]:
    """Return the pages' names: borgctl.1 and its like."""
    return sorted(path.name.removesuffix(".md") for path in HERE.glob("*.[15].md"))


def markdown(name: str) -> str:
    """Return a page's whole Markdown."""
    return _TAKES_IN.sub(lambda found: body((TOP / found[1]).read_text()), (HERE / f"{name}.md").read_text())


def body(document: str) -> str:
    """Return a document as a part of a manual page: its headings as such a page has them, and no title."""
    _, _, text = document.partition("\n\n")
    for left_out in _LEFT_OUT:
        text, times = re.subn(left_out, "", text, flags=re.DOTALL)
        assert times <= 1, left_out
    text = re.sub(r"^## ([A-Z].*)$", lambda heading: f"## {heading[1].upper()}", text, flags=re.MULTILINE)
    text, keys = re.subn(r"^## ([a-z_]+)$", r"### \1", text, flags=re.MULTILINE)
    return re.sub(r"^### ", "## KEYS\n\n### ", text, count=1, flags=re.MULTILINE) if keys else text


def page(name: str) -> str:
    """Return a page as roff."""
    roff = runpy.run_path(str(HERE / "roff.py"))["roff"]
    version = re.search(r'__version__ = "(.+)"', (TOP / "borgctl/__init__.py").read_text())
    assert version
    text: str = roff(markdown(name), f"borgctl {version[1]}")
    return text


def write(directory: Path) -> dict[str, str]:
    """Write all pages below a directory; return where in share/ each file belongs."""
    placed = {}
    for name in names():
        place = f"man/man{name[-1]}/{name}"
        file = directory / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page(name))
        placed[str(file)] = f"share/{place}"
    return placed


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
