"""Tags: words that a target file gives its target, by which commands choose several (`borgpull run @web`).

tags: [web, berlin]        tags_of(node) == (TagName("web"), TagName("berlin"))
"""

import re

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.pull.targets.paths import ALPHABET
from borgctl.strict_yaml import Node, Problems


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag's name, without '@': 1 to 64 of a-z A-Z 0-9 _ . -, beginning with a letter or digit."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.text):
            raise BadValue(f"bad tag {self.text[:80]!r}: expected up to 64 of {ALPHABET}, in a file without '@'")

    def __str__(self) -> str:
        return self.text


def read(notes: NodeReader, node: Node) -> tuple[TagName, ...]:
    """Read a list of tags; note every mistake in `notes`."""
    tags = notes.items(node, TagName)
    if len(set(tags)) != len(tags):
        notes.add(node, "a tag is named twice")
    return tags


def tags_of(root: Node) -> tuple[TagName, ...] | None:
    """Return the tags of a target's tree, whatever else is wrong in it; None where they cannot be told."""
    if root.pairs is None:
        return None
    notes = NodeReader()
    tags = next((read(notes, value) for key, value in root.pairs if key.value == "tags"), ())
    try:
        notes.finish()
    except Problems:
        return None
    return tags
