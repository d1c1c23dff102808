"""The table of guards: what each line of SECURITY.md stands on, and the test that fails where that is taken out.

`guards.yaml` is the table, one row a guard. A row's patch is a short piece of code and what takes its place, so that
code that has moved on makes the row fail with "does not apply" and no row proves something else in silence. The links
in SECURITY.md and the page docs/guards.md are made from it (`make documents`).

    for row in rows(): patched(row, (TOP / row.file).read_text())
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TOP = HERE.parents[1]
TABLE = HERE / "guards.yaml"
PAGE = "docs/guards.md"
SECURITY = "SECURITY.md"
_KEYS = ("id", "guard", "holds", "file", "old", "new", "test")
_CAN, _HELD = "## What each side can still do when the other is hostile", "## How each line is held"


class BadRow(Exception):  # noqa: N818 - reads as what it says
    """A row that says nothing, or whose patch does not apply; the message says which row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One guard: `holds` are lines of SECURITY.md that stand on it; `old` becomes `new` in `file` to take it out."""

    id: str
    guard: str
    holds: tuple[str, ...]
    file: str
    old: str
    new: str
    test: str


def table() -> dict[str, Any]:
    """Return the file as it is: `lines` by their names here, `guards`."""
    return yaml.load(TABLE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def rows() -> tuple[Row, ...]:
    """Return the table; raise BadRow for a row that is not whole or holds no line, or whose id stands twice."""
    told, seen = table(), set()
    found = tuple(_row(row) for row in told["guards"])
    for row in found:
        if row.id in seen or not re.fullmatch(r"[a-z0-9-]{1,40}", row.id):
            raise BadRow(f"{row.id}: this id stands twice, or is none")
        if unknown := set(row.holds) - set(told["lines"]):
            raise BadRow(f"{row.id}: {min(unknown)!r} is not among the 'lines'")
        seen.add(row.id)
    return found


def _row(told: dict[str, Any]) -> Row:
    if not isinstance(told, dict) or tuple(told) != _KEYS or not all(told[key] for key in _KEYS if key != "new"):
        raise BadRow(f"{told!r:.60}: expected {', '.join(_KEYS)}, in this order, and none empty but 'new'")
    return Row(**{**told, "holds": tuple(told["holds"]), "new": told["new"] or ""})


def patched(row: Row, text: str) -> str:
    """Return a file's text without the guard; raise BadRow where `old` is not there exactly once."""
    count = text.count(row.old)
    if count != 1:
        raise BadRow(f"{row.id}: the patch does not apply: {row.old!r:.80} stands {count} times in {row.file}")
    return text.replace(row.old, row.new)


def attackers(security: str) -> tuple[str, ...]:
    """Return who stands in the table of SECURITY.md."""
    return tuple(re.findall(r"(?m)^\| ([^|]+?) \|", _section(security, _CAN))[1:])  # the first is the table's head


def leads(security: str) -> tuple[str, ...]:
    """Return the first words, in bold, of each paragraph of SECURITY.md that says how a line is held."""
    paragraphs = re.split(r"\n{2,}", _section(security, _HELD).strip("\n"))
    return tuple(lead for paragraph in paragraphs if (lead := _lead(paragraph)))


def linked(security: str) -> str:
    """Return SECURITY.md with links to the tests of each row below the table, and one at the end of each paragraph."""
    can, held = _section(security, _CAN), _section(security, _HELD)
    told = "\n".join(f"- [{name}]({PAGE}#{anchor(_heading(name))})" for name in attackers(security))
    bare = re.sub(r"\n\nTests of each row:\s.*", "", can, flags=re.DOTALL).rstrip("\n")
    paragraphs = "".join(map(_with_link, re.split(r"(\n{2,})", held.rstrip("\n"))))
    return security.replace(can, f"{bare}\n\nTests of each row:\n\n{told}\n\n").replace(held, f"{paragraphs}\n\n")


def _with_link(paragraph: str) -> str:
    """Add the line with the link, in the place of an older one; what begins with no bold words stays as it is."""
    lead = _lead(paragraph)
    if not lead:
        return paragraph
    text = re.sub(r"\n\[Tests\]\([^)]*\)\.", "", paragraph)
    return f"{text}\n[Tests]({PAGE}#{anchor(lead)})."


def _lead(paragraph: str) -> str:
    match = re.match(r"\n?\*\*([^*]+?)\.?\*\*", paragraph)
    return match[1].replace("\n", " ") if match else ""


def anchor(title: str) -> str:
    """Return what a heading is linked to by, where pages are shown (GitHub's rule)."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _heading(attacker: str) -> str:
    return f"Attacker: {attacker}"


def _section(text: str, heading: str) -> str:
    """Return what stands between a heading and the next one."""
    begin = text.index(f"{heading}\n") + len(heading) + 1
    end = text.find("\n## ", begin)
    return text[begin : end + 1 if end >= 0 else None]


def page() -> str:
    """Return docs/guards.md."""
    security, told, found = (TOP / SECURITY).read_text("utf-8"), table(), rows()
    parts = [
        *("# Guards and their tests", ""),
        "Each line of [SECURITY.md](../SECURITY.md) stands on guards in the code, and each guard has a test that fails",
        "without it. `make prove-guards` takes the guards out of a copy of the tree, one at a time, and runs the test",
        "beside it: that has to fail, and to pass with the guard in its place. `make documents` makes this page from",
        "`tests/proofs/guards.yaml`, where the patches are.",
        "",
    ]
    for name in (*attackers(security), *leads(security)):
        names = {short for short, line in told["lines"].items() if line == name}
        parts += [
            f"## {_heading(name) if name in attackers(security) else name}",
            "",
            "| guard | code | test |",
            "|---|---|---|",
        ]
        parts += [*(_cells(row) for row in found if names & set(row.holds)), ""]
    return "\n".join(parts)


def _cells(row: Row) -> str:
    file, _, test = row.test.partition("::")
    words = test.removeprefix("test_").replace("_", " ").replace("::test ", ": ").partition("[")[0]
    return f"| {row.guard} | [{row.file}](../{row.file}) | [{words}](../{file}) |"
