"""Turns a manual page's Markdown into roff for man(1).

It knows Markdown, by markdown-it, and the macros of man(7); it knows neither programs nor tables of ours. What has no
form here is an error, so that nothing is silently left out. A list item or a table's row is a tagged paragraph:

    - `--json`: Print JSON.
    | `port` | 1 to 65535 | ssh's own | ssh's port. |
"""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

TAGGED = ".TP 7"
_PLAIN = {"\\": "\\e", '"': "\\(dq", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def roff(markdown: str, source: str) -> str:
    """Return the page; its first heading is name and section, `# borgctl(1)`. `source` is the release it is of."""
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(markdown))
    title, *rest = tree.children
    name = re.fullmatch(r"([\w-]+)\((\d)\)", title.children[0].content)
    if title.tag != "h1" or name is None:
        raise ValueError("a page begins with '# NAME(SECTION)'")
    head = [f'.TH {name[1].upper()} {name[2]} "" "{source}"', ".nh", ".ad l"]  # no hyphens in names and options
    lines = [*head, *(line for node in rest for line in block(node))]
    return "".join(
        f"{line}\n"
        for before, line in zip(["", *lines], lines, strict=False)
        if line != ".PP" or not before.startswith((".SH", ".SS"))  # a heading begins a paragraph itself
    )


def block(node: SyntaxTreeNode) -> Iterator[str]:
    """Yield the lines of one block."""
    match node.type:
        case "heading":
            yield f'.{"SH" if node.tag == "h2" else "SS"} "{escaped(node.children[0].content.replace("`", ""))}"'
        case "paragraph":
            yield ".PP"
            yield line(node.children[0])
        case "fence" | "code_block":
            yield from (".PP", ".RS 4", ".nf", *verbatim(node.content), ".fi", ".RE")
        case "bullet_list":
            for item in node.children:
                yield from tagged(item)
        case "table":
            head, body = node.children
            names = [cell.children[0].content for cell in head.children[0].children]
            for row in body.children:
                yield from described(names, [cell.children[0] for cell in row.children])
        case "html_block":  # a comment
            return
        case other:
            raise ValueError(f"no form for {other!r} in a manual page")


def tagged(item: SyntaxTreeNode) -> Iterator[str]:
    """Yield a list item: what stands before the first ': ' is the tag, where it begins with code or emphasis."""
    first, *rest = item.children
    inline = first.children[0]
    parts = inline.children
    split = next((at for at, one in enumerate(parts) if one.content.startswith(": ")), 0)
    if split and all(one.type != "text" or re.fullmatch(r"[|, ]+", one.content) for one in parts[:split]):
        yield TAGGED
        yield "".join(map(span, parts[:split]))
        yield guarded("".join([escaped(parts[split].content[2:]), *map(span, parts[split + 1 :])]))
    else:
        yield ".IP \\(bu 2"
        yield line(inline)
    if rest:
        yield ".RS"
        for node in rest:
            yield from block(node)
        yield ".RE"


def described(names: list[str], cells: list[SyntaxTreeNode]) -> Iterator[str]:
    """Yield a table's row: its first cell is the tag; 'what it is' is the text after the others, which it explains."""
    tag, what, *more = map(line, cells)
    facts = [what, *(named(escaped(name), cell) for name, cell in zip(names[2:], more, strict=True))]
    meaning = more[-1] if names[-1] == "what it is" else ""
    facts = facts[:-1] if meaning else facts
    yield TAGGED
    yield tag
    said = "; ".join(facts)
    yield guarded(f"{said if said.endswith(('.', '?')) else f'{said}.'} {meaning}".rstrip())


def named(column: str, cell: str) -> str:
    """Return a cell that says what it is about."""
    return cell if cell == "required" else f"{column}: {cell}"


def verbatim(content: str) -> list[str]:
    """Return lines that are to stay as they are."""
    return [guarded(escaped(one)) for one in content.rstrip("\n").split("\n")]


def line(inline: SyntaxTreeNode) -> str:
    """Return inline text as one line of roff."""
    return guarded("".join(map(span, inline.children)))


def span(node: SyntaxTreeNode) -> str:
    """Return a piece of inline text; of a link its words alone."""
    match node.type:
        case "text" | "text_special":
            return escaped(node.content)
        case "softbreak":
            return " "
        case "code_inline":
            return f"\\fB{escaped(node.content)}\\fR"
        case "strong":
            return f"\\fB{''.join(map(span, node.children))}\\fR"
        case "em":
            return f"\\fI{''.join(map(span, node.children))}\\fR"
        case "link":
            words = "".join(map(span, node.children))
            return words.upper() if str(node.attrs["href"]).startswith("#") else words  # as its heading is written
        case other:
            raise ValueError(f"no form for {other!r} in a manual page")


def escaped(words: str) -> str:
    """Return words that roff takes for nothing but words."""
    return "".join(_PLAIN.get(one, one) for one in words)


def guarded(words: str) -> str:
    """Return a line that does not begin like a request of roff's; an escaped apostrophe begins with a backslash."""
    return f"\\&{words}" if words.startswith(".") else words
