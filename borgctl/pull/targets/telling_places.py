"""Telling places: where the keys about telling stand: in which files, and with their secrets taken out of a tree.

masked(root)        files(root) == ("/etc/borgpull/defaults.yaml",)        mentioned(folders, ["web1"])
"""

import os
from collections.abc import Iterable

from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.telling import HOOK, ping, service
from borgctl.secret_urls import shown
from borgctl.strict_yaml import LARGEST, Node


def files(root: Node) -> tuple[str, ...]:
    """Return the files in which the URLs of a good target's tree stand."""
    found = {
        value.file for key, value in root.pairs or () if key.value == "ping" or (key.value == "notify" and value.value)
    }
    return tuple(sorted(found))


def masked(root: Node) -> Node:
    """Return a good target's tree with what may be printed in the place of each URL."""
    if root.pairs is None:
        return root
    return root._replace(pairs=tuple((key, _masked(str(key.value), value)) for key, value in root.pairs))


def _masked(key: str, node: Node) -> Node:
    if key == "ping" and isinstance(node.value, str):
        return node._replace(value=ping(node.value).shown)
    if key == HOOK and not isinstance(node.value, str):
        return node._replace(value=tuple(word._replace(value=shown(str(word.value))) for word in node.value))
    if key != "notify" or isinstance(node.value, str):
        return node
    return node._replace(value=tuple(map(_masked_service, node.value)))


def _masked_service(node: Node) -> Node:
    if isinstance(node.value, str):
        return node._replace(value=service(node.value).shown)
    pairs = ((key, _masked_service(value) if key.value == "url" else value) for key, value in node.pairs or ())
    return node if node.pairs is None else node._replace(pairs=tuple(pairs))


def mentioned(folders: Folders, texts: Iterable[str]) -> bool:
    """Tell whether the defaults, or the file of one of these targets, may have one of the keys; quickly.

    It reads no YAML: a key that is not spelled out needs a backslash. Names of no target have no file.
    """
    paths = (folders.defaults, *(f"{folders.targets}/{text}.yaml" for text in texts if "/" not in text))
    return any(_mentions(path) for path in paths)


def _mentions(path: str) -> bool:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # it may be a FIFO
            text = file.read(LARGEST) or b""
    except (OSError, ValueError):
        return False
    return any(word in text for word in (b"notify", b"ping", b"on_failure", b"\\"))
