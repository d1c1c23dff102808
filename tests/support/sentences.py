"""Takes the sentences out of a page of Markdown, to count their words.

    [words(sentence) for sentence in sentences("Try it. Then type `borgpull status web1`, please.")] == [2, 4]

Prose is what stands in paragraphs and list items: no heading, table, comment, or block of code. A sentence ends at '.',
'!' or '?' before a blank (quotes and brackets may close it first), and at the end of its paragraph or item; a
colon or a semicolon ends none. A word is what stands between blanks and has a letter or a digit in it; a code span is
one word, however much it quotes; of a link only its text counts.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

_END = re.compile(r"(?<=[.!?])[)\"'”]*\s+")


def sentences(page: str) -> list[str]:
    """Return the sentences of a page; CODE stands for each code span."""
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(page))
    texts = ("".join(map(_text, node.children)) for node in tree.walk() if node.type == "paragraph")
    return [sentence for text in texts for sentence in _END.split(text) if sentence.strip()]


def words(sentence: str) -> int:
    """Return how many words a sentence has."""
    return sum(any(map(str.isalnum, word)) for word in sentence.split())


def _text(node: SyntaxTreeNode) -> str:
    match node.type:
        case "code_inline":
            return "CODE"
        case "softbreak" | "hardbreak":
            return " "
        case _:
            return "".join(map(_text, node.children)) if node.children else node.content
