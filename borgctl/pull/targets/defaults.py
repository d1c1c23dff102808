"""Defaults: what `defaults.yaml` says for all targets, and how a target's own file goes over it. It reads no file.

Mappings are merged key by key; of all else the target's own word stands alone. Each node keeps its file and line.

    jobs: {default: {every: 24h}, prune: {every: 7d, deletes: 5000}}      defaults.yaml
    jobs: {prune: {deletes: 100}}                                         a target: `default`, and `prune` with 100
    jobs: [default]                                                       a target: `default` alone, each 24h
"""

from borgctl.errors import BadValue
from borgctl.pull.targets import telling
from borgctl.strict_yaml import Node
from borgctl.values import RepositoryPath

KEYS = (
    *("port", "repository", "jobs", "tags", "expect", "accept_warnings", "quota", "timeout", "transport"),
    *("socket_directory", "borg", *telling.KEYS),
)
TARGET = "{target}"  # in `repository` and `ping`: the target's name


def merge(defaults: Node, own: Node) -> Node:
    """Return a tree with all keys of both. Where both have one, it is the target's own, in the place of the default."""
    if defaults.pairs is None or own.pairs is None:
        return own
    ours = {key.value: (key, value) for key, value in own.pairs}
    pairs = []
    for key, value in defaults.pairs:
        if key.value not in ours:
            pairs.append((key, value))
            continue
        own_key, own_value = ours.pop(key.value)
        pairs.append((own_key, merge(value, own_value)))
    return own._replace(pairs=(*pairs, *ours.values()))


def for_target(defaults: Node, own: Node, name: str) -> Node:
    """Return a target's whole tree: its own over the defaults. A list of jobs takes what the defaults say of each."""
    below, above = _fields(with_name(defaults, name)), _fields(own)
    if "jobs" in below and "jobs" in above and above["jobs"][1].pairs is None:
        above["jobs"] = above["jobs"][0], _described(below.pop("jobs")[1], above["jobs"][1])
    if own.pairs is None:
        return own
    return merge(defaults._replace(pairs=tuple(below.values())), own._replace(pairs=tuple(above.values())))


def with_name(defaults: Node, name: str) -> Node:
    """Return the defaults with a target's name where it belongs."""
    keys = [key for key, _ in WITH_NAME]
    pairs = ((key, _filled(value, name) if key.value in keys else value) for key, value in defaults.pairs or ())
    return defaults if defaults.pairs is None else defaults._replace(pairs=tuple(pairs))


def _fields(node: Node) -> dict[str, tuple[Node, Node]]:
    return {str(key.value): (key, value) for key, value in node.pairs or ()}


def _filled(node: Node, name: str) -> Node:
    return node._replace(value=node.value.replace(TARGET, name)) if isinstance(node.value, str) else node


def _described(defaults: Node, jobs: Node) -> Node:
    """Return a list of jobs as a mapping, with the defaults' words for each; a list with a mistake stays as it is."""
    items = () if isinstance(jobs.value, str) else jobs.value
    names = {item.value for item in items if isinstance(item.value, str)}
    if defaults.pairs is None or not items or len(names) != len(items):
        return jobs
    known = _fields(defaults)
    pairs = ((item, known[str(item.value)][1]) if item.value in known else (item, _bare(item)) for item in items)
    return jobs._replace(value=(), pairs=tuple(pairs))


def _bare(item: Node) -> Node:
    return item._replace(value=(), pairs=())


def repository(text: str) -> str:
    """Return the repository of all targets as the defaults write it; each must come to have its own."""
    if TARGET not in text:
        raise BadValue(f"bad repository {text[:200]!r}: expected {TARGET!r} in it, or all targets would share it")
    RepositoryPath(text.replace(TARGET, "web1"))
    return text


def ping(text: str) -> str:
    """Return the URL that all targets ping, as the defaults write it; each must come to have its own."""
    if TARGET not in text.partition("://")[2].partition("/")[2]:
        raise BadValue(f"bad URL: expected {TARGET!r} in it, or all targets would share one check")
    telling.ping(text.replace(TARGET, "web1"))
    return text


WITH_NAME = (("repository", repository), ("ping", ping))  # the keys in which the name stands, and their readers
