"""Transports: how borg's protocol can travel, and which keys of a target file each has no use for.

check(notes, root, fields, "local")      notes "missing key 'policy' (transport is 'local')"
"""

from borgctl.node_reader import NodeReader
from borgctl.strict_yaml import Node

NAMES = ("stdio", "socket", "local")
_FOREIGN = {
    "stdio": ("policy", "socket_directory"),
    "socket": ("policy",),
    "local": ("host", "port", "identity", "host_key", "socket_directory"),
}


def check(notes: NodeReader, root: Node, fields: dict[str, Node], transport: str) -> None:
    """Note each missing key that the transport needs, and each of the target's own that means nothing to it."""
    needed = "policy" if transport == "local" else "host"
    if needed not in fields and root.pairs is not None:
        notes.add(root, f"missing key {needed!r} (transport is {transport!r})")
    for key in _FOREIGN[transport]:
        if key in fields and fields[key].file == root.file:
            notes.add(fields[key], f"key {key!r} means nothing with transport {transport!r}")
