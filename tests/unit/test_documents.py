"""What the documents say is what the program does."""

import re
from pathlib import Path

from borgctl.errors import REASONS

DOCS = Path(__file__).parents[2] / "docs"


def reasons_page():
    rows = [
        f"| `{r.code}` | {r.status} | {r.outcome} | {'yes' if r.retry else 'no'} | {r.advice} |" for r in REASONS.values()
    ]
    head = [
        "# Reasons",
        "",
        "Why a request ended other than well: the code in the gate's `exit` line and record, the exit status, the outcome,",
        "whether the very same request may succeed later, and what to do. Made from the table in `borgctl/errors.py`.",
        "",
        "| reason | status | outcome | retry | what to do |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def test_the_page_of_reasons_is_the_table():
    assert (DOCS / "reasons.md").read_text() == reasons_page()


def test_the_wire_page_names_every_outcome():
    page = (DOCS / "wire.md").read_text()
    said = re.search(r"`outcome`: ([a-z, -]+)\.", page)[1].split(", ")
    assert set(said) == {reason.outcome for reason in REASONS.values()} | {"ok", "warning", "failed"}


def test_every_link_of_the_documents_leads_somewhere():
    top = DOCS.parent
    for page in [*top.glob("*.md"), *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
