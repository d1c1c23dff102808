"""Selection: the targets that a command line means: names, tags (`@web`), or all.

chosen = select(folders, ["web1", "@db"])       chosen.texts == ["db1", "db2", "web1"]      chosen.named == {"web1"}
"""

from collections.abc import Collection

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.tags import TagName, tags_of
from borgctl.pull.targets.targets import load_defaults, names, tree
from borgctl.spelling import suggestion

MARK = "@"  # before a tag; no target's name begins with it


@dataclass(frozen=True, slots=True)
class Selection:
    """Names in their order, each once, perhaps of no target; `named` are those that were named one by one."""

    texts: tuple[str, ...]
    named: frozenset[str]


def every(folders: Folders) -> Selection:
    """Return all targets; raise PullError where the defaults of all cannot be read."""
    load_defaults(folders)
    return Selection(names(folders), frozenset())


def select(folders: Folders, words: Collection[str]) -> Selection:
    """Return the targets that `words` name, as typed; with a tag among them, in the order of all targets' names.

    A target whose tags cannot be read has every tag, so that whoever asks for it is told. Raise PullError for a tag
    that no target has, and where the defaults of all cannot be read.
    """
    load_defaults(folders)
    named = tuple(dict.fromkeys(word for word in words if not word.startswith(MARK)))
    wanted = {str(TagName(word.removeprefix(MARK))) for word in words if word.startswith(MARK)}
    if not wanted:
        return Selection(named, frozenset(named))
    tags = tags_of_all(folders)
    known = {tag for of_one in tags.values() if of_one is not None for tag in of_one}
    for tag in sorted(wanted - known):
        raise _unknown(tag, known)
    texts = {text for text, of_one in tags.items() if of_one is None or wanted & of_one} | set(named)
    return Selection(tuple(sorted(texts)), frozenset(named))


def tags_of_all(folders: Folders) -> dict[str, frozenset[str] | None]:
    """Return the tags of each target, with those that the defaults give it; None where they cannot be read."""
    return {text: _tags(folders, text) for text in names(folders)}


def _tags(folders: Folders, text: str) -> frozenset[str] | None:
    try:
        tags = tags_of(tree(folders, TargetName(text)))
    except (PullError, BadValue):
        return None
    return None if tags is None else frozenset(map(str, tags))


def _unknown(tag: str, known: Collection[str]) -> PullError:
    if not known:
        return PullError(f"no target has the tag {tag!r}, or any other", "write into a target file: tags: [TAG]")
    there = ", ".join(f"{MARK}{one}" for one in sorted(known))
    return PullError(f"no target has the tag {tag!r}{suggestion(tag, known)}", f"these tags are there: {there}")
