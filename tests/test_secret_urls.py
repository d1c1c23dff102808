"""No mistake in a file repeats a URL that stands in the wrong place, wherever in the file that is.

Each key and each value of files that are good takes the form of a URL in turn.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import CORPORA, TOP

from borgctl.policy import keys, load
from borgctl.pull.targets import defaults, targets
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.secret_urls import shown, without
from borgctl.strict_yaml import Node, Problems, parse

SECRET = "s3cret"
URLS = (f"https://hc-ping.com/{SECRET}", f"x tgram://1:{SECRET} '\": expected {SECRET}", f"ntfys://{'h' * 90}/{SECRET}")
HERE = CORPORA / "targets"
FOLDERS = Folders("/c", "/s")


def written(node: Node, marked: Node | None, url: str) -> str:
    """Write a tree as YAML in one line, with the URL in the place of one of its nodes."""
    if node is marked:
        return json.dumps(url)
    if node.pairs is not None:
        pairs = (f"{written(key, marked, url)}: {written(value, marked, url)}" for key, value in node.pairs)
        return f"{{{', '.join(pairs)}}}"
    if isinstance(node.value, str):
        return json.dumps(node.value)
    return f"[{', '.join(written(item, marked, url) for item in node.value)}]"


def nodes(node: Node) -> Iterator[Node]:
    """Yield all nodes of a tree."""
    yield node
    below = node.value if node.pairs is None and not isinstance(node.value, str) else ()
    for one in (*below, *(one for pair in node.pairs or () for one in pair)):
        yield from nodes(one)


def wrong(text: str) -> str:
    """Read a target; return its mistakes."""
    try:
        targets.read(text, TargetName("web1"), FOLDERS, parse("quota: 1T"))
    except Problems as problems:
        return str(problems)
    return ""


def wrong_defaults(text: str) -> str:
    try:
        targets.read_defaults(text, FOLDERS)
    except Problems as problems:
        return str(problems)
    return ""


def wrong_policy(text: str) -> str:
    try:
        load.from_bytes(text.encode(), "/etc/borgctl/web1.yaml")
    except load.InvalidPolicy as error:
        return f"{error.detail} {error.hint} {error.problems}"
    return ""


FILES = (
    *((path, wrong, targets.KEYS) for path in sorted((HERE / "valid").glob("*.yaml"))),
    *((path, wrong_defaults, defaults.KEYS) for path in sorted((HERE / "defaults/valid").glob("*.yaml"))),
    *((path, wrong_policy, keys.KEYS) for path in sorted((TOP / "policy").glob("*.yaml"))),
)


@pytest.mark.parametrize(("path", "read", "known"), FILES, ids=[str(path.relative_to(TOP)) for path, *_ in FILES])
def test_a_url_in_the_place_of_any_key_or_value_is_not_repeated(
    path: Path, read: Callable[[str], str], known: tuple[str, ...]
) -> None:
    root = parse(path.read_text())
    told = [read(written(root, node, url)) for node in nodes(root) for url in URLS]
    assert len(list(filter(None, told))) > len(root.pairs or ()), "each key is one mistake at least"
    for text in told:
        assert SECRET not in text, text


@pytest.mark.parametrize(("read", "known"), [(read, known) for _, read, known in (FILES[0], FILES[-1])])
def test_a_url_as_the_value_of_each_key_there_is_not_repeated(
    read: Callable[[str], str], known: tuple[str, ...]
) -> None:
    for key in known:
        for url in map(json.dumps, URLS):
            for value in (
                url,
                f"[{url}]",
                f"[[{url}]]",
                f"{{{url}: {url}}}",
                f"{{a: {url}}}",
                f"{{{key}: {{a: {url}}}}}",
            ):
                assert SECRET not in read(f"{key}: {value}"), (key, value)


@pytest.mark.parametrize("read", [wrong, wrong_defaults, wrong_policy])
@pytest.mark.parametrize(
    "text",
    [
        *(f"quota: !{URLS[0]} 1", f"quota: !<{URLS[0]}> 1", f"quota: &{URLS[0]} 1", f"quota: *{URLS[0]}"),
        *(
            f"{URLS[0]}: 1\n{URLS[0]}: 2",
            f"{URLS[0]}",
            f"? [{URLS[0]}]\n: 1",
            f"ping: {URLS[0]}\n  more",
            f"%TAG ! {URLS[0]}",
        ),
        *(
            f"ping: '{URLS[0]}",
            f"ping: @{URLS[0]}",
            f"a: b: {URLS[0]}",
            f"\t{URLS[0]}",
            f"[{URLS[0]}",
            f"--- {URLS[0]}\n--- 1",
        ),
    ],
)
def test_what_is_no_yaml_of_ours_is_not_repeated(read: Callable[[str], str], text: str) -> None:
    assert re.search(r"\d+:\d+", read(text)) and SECRET not in read(text)


def test_what_was_expected_is_still_told() -> None:
    told = wrong(f"host: web1\nrepository: /srv/x\nquota: {URLS[0]}\nexpects: 1h\n{URLS[0]}: 1\n")
    assert "3:8: bad quota 'https://…': expected a number and a unit, like 500G or 1.5T" in told
    assert "unknown key 'https://…' (expected one of: host, port, " in told
    assert "unknown key 'expects': did you mean 'expect'? (expected" in told


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 60))
def test_no_part_of_a_value_with_a_url_is_left_of_an_error_that_quotes_it(
    before: str, after: str, longest: int
) -> None:
    value = f"{before}://{SECRET}{after}{SECRET}"
    expected = "" if "expected" in value else ": expected a thing"
    assert SECRET not in shown(value)
    assert without(f"bad thing {value!r}: expected a thing", value) == f"bad thing {shown(value)!r}{expected}"
    assert without(f"bad thing {value[:longest]!r}, it is", value) == f"bad thing {shown(value)!r}"
