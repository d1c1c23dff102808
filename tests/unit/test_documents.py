"""What the documents say is what the program does."""

import functools
import json
import os
import re
import sys
from dataclasses import replace

import jsonschema
import pytest
from stage import TOP

from borgctl.errors import REASONS
from borgctl.policy import load
from borgctl.pull.targets import targets
from borgctl.strict_yaml import Problems, parse

DOCS = TOP / "docs"
sys.path.insert(0, str(TOP / "policy"))

import generate  # noqa: E402 - it lies beside the files it makes


@pytest.mark.parametrize("name", generate.pages())
def test_a_generated_file_is_what_the_tables_say(name):
    assert (TOP / name).read_text() == generate.pages()[name], "run: make documents"


def test_the_documented_keys_are_the_keys_that_are_read():
    assert sorted(key.name for key in generate.POLICY) == sorted(load.KEYS)
    assert sorted(key.name for key in generate.TARGET) == sorted(targets.KEYS)


def test_every_example_and_every_default_of_a_key_is_read_and_the_default_means_the_same(tmp_path):
    four = ("version", "repositories", "jobs", "passphrase")
    required = "\n".join(key.example for key in generate.POLICY if key.name in four)
    path = tmp_path / "NAME.yaml"

    def read(*lines):
        path.write_text("\n".join([required, *lines, ""]))
        path.chmod(0o600)
        return replace(load.read(str(path)), digest="")

    plain = read()
    for key in generate.POLICY:
        if key.name in four:
            continue
        read(key.example)
        if os.geteuid() == 0:  # an ordinary user's defaults are said in words
            assert read(f"{key.name}: {key.default}") == plain, key.name


def tree(node):
    """Return a node of ours as the plain values that jsonschema takes; every scalar is text."""
    if isinstance(node.value, str):
        return node.value
    if node.pairs is not None:
        return {key.value: tree(value) for key, value in node.pairs}
    return [tree(item) for item in node.value]


@functools.cache
def validator(schema):
    return jsonschema.Draft202012Validator(json.loads((TOP / "policy" / schema).read_text()))


def verdict(schema, text):
    try:
        return validator(schema).is_valid(tree(parse(text)))
    except Problems:
        return False


def test_the_schema_takes_every_policy_that_we_deliver_and_the_examples():
    for path in (TOP / "policy").glob("*.yaml"):
        assert verdict("policy.schema.json", path.read_text()), path.name


# What a schema cannot know: bounds after a template, words that exclude each other, a file's form and its owner.
BEYOND = re.compile(
    r"template|placeholder|normal|dot|encryption|passphrase|exclusive|path|name|duration|unit|proc|directory|braces|"
    r"nice|sessions|memory|hook|before|after|program|long|archive|glob|first|keep|paths|duplicate|control|printable|init|repositor"
)


def test_the_schema_refuses_what_the_reader_refuses_but_for_what_it_cannot_know():
    files = sorted((TOP / "tests/corpora/policies/invalid").glob("*.yaml"))
    texts = {path.stem: path.read_text(errors="replace") for path in files}
    passed = {stem: text for stem, text in texts.items() if verdict("policy.schema.json", text)}
    assert [stem for stem, text in passed.items() if not BEYOND.search(f"{stem} {text.splitlines()[0]}")] == []
    assert len(passed) < len(texts) / 3


def test_the_schema_of_targets_agrees_with_their_reader():
    for path in (TOP / "tests/corpora/targets/valid").glob("*.yaml"):
        assert verdict("target.schema.json", path.read_text()), path.name


def test_the_wire_page_names_every_outcome():
    page = (DOCS / "wire.md").read_text()
    said = re.search(r"`outcome`: ([a-z, -]+)\.", page)[1].split(", ")
    assert set(said) == {reason.outcome for reason in REASONS.values()} | {"ok", "warning", "failed"}


def test_every_link_of_the_documents_leads_somewhere():
    top = DOCS.parent
    for page in [*top.glob("*.md"), *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
