"""The table of guards: the code that each line of SECURITY.md relies on, and the test that fails without it.

`guards.yaml` is the table, one row for each guard. A row's patch is a short piece of code and its replacement. If the
code has changed, the row fails with "does not apply", and never proves something else in silence. The links in
SECURITY.md and the page docs/guards.md are made from it (`make documents`).

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
    """A row is not complete, or its patch does not apply; the message says which row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One guard: `holds` are lines of SECURITY.md that rely on it; `old` becomes `new` in `file` to remove it."""

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
    """Return the table; raise BadRow for a row that is not complete or holds no line, or whose id is there twice."""
    whole, ids = table(), set()
    guards = tuple(_row(row) for row in whole["guards"])
    for row in guards:
        if row.id in ids or not re.fullmatch(r"[a-z0-9-]{1,40}", row.id):
            raise BadRow(f"{row.id}: this id is there twice, or is none")
        if unknown := set(row.holds) - set(whole["lines"]):
            raise BadRow(f"{row.id}: {min(unknown)!r} is not among the 'lines'")
        ids.add(row.id)
    return guards


def _row(fields: dict[str, Any]) -> Row:
    if not isinstance(fields, dict) or tuple(fields) != _KEYS or not all(fields[key] for key in _KEYS if key != "new"):
        raise BadRow(f"{fields!r:.60}: expected {', '.join(_KEYS)}, in this order, and none empty but 'new'")
    return Row(**{**fields, "holds": tuple(fields["holds"]), "new": fields["new"] or ""})


def patched(row: Row, text: str) -> str:
    """Return a file's text without the guard; raise BadRow unless `old` is there exactly once."""
    count = text.count(row.old)
    if count != 1:
        raise BadRow(f"{row.id}: the patch does not apply: {row.old!r:.80} is {count} times in {row.file}")
    return text.replace(row.old, row.new)


def attackers(security: str) -> tuple[str, ...]:
    """Return the attackers in the table of SECURITY.md."""
    return tuple(re.findall(r"(?m)^\| ([^|]+?) \|", _section(security, _CAN))[1:])  # the first is the table's head


def leads(security: str) -> tuple[str, ...]:
    """Return the first words, in bold, of each paragraph of SECURITY.md that says how a line is held."""
    paragraphs = re.split(r"\n{2,}", _section(security, _HELD).strip("\n"))
    return tuple(lead for paragraph in paragraphs if (lead := _lead(paragraph)))


def linked(security: str) -> str:
    """Return SECURITY.md with links to the tests of each row below the table, and one at the end of each paragraph."""
    can, held = _section(security, _CAN), _section(security, _HELD)
    links = "\n".join(f"- [{name}]({PAGE}#{anchor(_heading(name))})" for name in attackers(security))
    bare = re.sub(r"\n\nTests of each row:\s.*", "", can, flags=re.DOTALL).rstrip("\n")
    paragraphs = "".join(map(_with_link, re.split(r"(\n{2,})", held.rstrip("\n"))))
    return security.replace(can, f"{bare}\n\nTests of each row:\n\n{links}\n\n").replace(held, f"{paragraphs}\n\n")


def _with_link(paragraph: str) -> str:
    """Add the line with the link, or replace it; a paragraph that begins without bold words stays as it is."""
    lead = _lead(paragraph)
    if not lead:
        return paragraph
    text = re.sub(r"\n\[Tests\]\([^)]*\)\.", "", paragraph)
    return f"{text}\n[Tests]({PAGE}#{anchor(lead)})."


def _lead(paragraph: str) -> str:
    match = re.match(r"\n?\*\*([^*]+?)\.?\*\*", paragraph)
    return match[1].replace("\n", " ") if match else ""


def anchor(title: str) -> str:
    """Return the fragment of a link to a heading (GitHub's rule)."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _heading(attacker: str) -> str:
    return f"Attacker: {attacker}"


def _section(text: str, heading: str) -> str:
    """Return the text between a heading and the next one."""
    begin = text.index(f"{heading}\n") + len(heading) + 1
    end = text.find("\n## ", begin)
    return text[begin : end + 1 if end >= 0 else None]


def page() -> str:
    """Return docs/guards.md."""
    security, lines, guards = (TOP / SECURITY).read_text("utf-8"), table()["lines"], rows()
    parts = [
        *("# Guards and their tests", ""),
        "Each line of [SECURITY.md](../SECURITY.md) relies on guards in the code. Each guard has a test that fails",
        "without it. `make prove-guards` removes the guards from a copy of the tree, one at a time, and runs the",
        "test of each. The test must fail then, and pass with the guard in its place. This tries one guard:",
        "",
        '    make prove-guards G="judge-path"',
        "",
        "`make documents` makes this page from `tests/proofs/guards.yaml`, which has the patches.",
        "",
    ]
    for name in (*attackers(security), *leads(security)):
        names = {short for short, line in lines.items() if line == name}
        parts += [
            f"## {_heading(name) if name in attackers(security) else name}",
            "",
            "| guard | code | test |",
            "|---|---|---|",
        ]
        parts += [*(_cells(row) for row in guards if names & set(row.holds)), ""]
    return "\n".join(parts)


def _cells(row: Row) -> str:
    file, _, test = row.test.partition("::")
    words = test.removeprefix("test_").replace("_", " ").replace("::test ", ": ").partition("[")[0]
    return f"| {row.guard} | [{row.file}](../{row.file}) | [{words}](../{file}) |"
