"""What the documents say is what the program does."""

import functools
import json
import os
import re
import sys
from dataclasses import replace

import jsonschema
import pytest
from sentences import sentences, words
from stage import TOP

from borgctl.policy import keys, load
from borgctl.pull.targets import defaults, targets
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.reasons import REASONS
from borgctl.strict_yaml import Problems, parse

DOCS = TOP / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402 - it stands among the pages that it makes


@pytest.mark.parametrize("name", generate.pages())
def test_a_generated_file_is_what_the_tables_say(name):
    assert (TOP / name).read_text() == generate.pages()[name], "run: make documents"


def test_the_documented_keys_are_the_keys_that_are_read():
    assert sorted(key.name for key in generate.POLICY) == sorted(keys.KEYS)
    assert sorted(key.name for key in generate.TARGET) == sorted(targets.KEYS)
    assert sorted(key.name for key in generate.DEFAULTS) == sorted(defaults.KEYS)


def test_the_first_example_of_the_policy_page_is_a_policy(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", (DOCS / "policy.md").read_text(), re.DOTALL)[1]
    path = tmp_path / "web1.yaml"
    path.write_text(example)
    path.chmod(0o600)
    assert sorted(load.read(str(path)).jobs) == ["default", "init"]


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
    for path in (TOP / "tests/corpora/targets/defaults/valid").glob("*.yaml"):
        assert verdict("defaults.schema.json", path.read_text()), path.name


# What a schema cannot know of targets: what is in a key or above a path, and what belongs together.
BEYOND_TARGETS = {
    *("foreign-transport-keys", "host-key-kind", "host-key-of-another-kind", "local-with-host", "no-host"),
    *("repository-outside", "small-quota"),
}


def test_the_schemas_of_targets_refuse_what_their_reader_refuses_but_for_what_they_cannot_know():
    for schema, folder in (("target", "targets/invalid"), ("defaults", "targets/defaults/invalid")):
        for path in (TOP / "tests/corpora" / folder).glob("*.yaml"):
            taken = verdict(f"{schema}.schema.json", path.read_text())
            assert taken == (path.stem in BEYOND_TARGETS), path.name


def test_the_example_of_many_clients_is_two_files_that_make_a_target():
    for page in (TOP / "README.md", DOCS / "targets.md"):
        below, own = re.findall(r"```yaml\n(.*?)```", page.read_text().partition("## Many clients")[2], re.DOTALL)[:2]
        for schema, text in (("defaults", below), ("target", own)):
            assert verdict(f"{schema}.schema.json", text), page.name
        name = TargetName("web1")
        text = own.replace("AAAA...", "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
        target = targets.read(text, name, Folders("/etc/borgpull", "/var/lib/borgpull"), parse(below, "defaults.yaml"))
        assert str(target.repository) == "/srv/borg/web1" and str(target.described[1].name) == "prune"


def test_the_wire_page_names_every_outcome():
    page = (DOCS / "wire.md").read_text()
    said = re.search(r"`outcome`: ([a-z, -]+)\.", page)[1].split(", ")
    assert set(said) == {reason.outcome for reason in REASONS.values()} | {"ok", "warning", "failed"}


PAGES = sorted(
    str(path.relative_to(TOP))
    for pages in (TOP.glob("*.md"), DOCS.glob("*.md"), DOCS.glob("man/*.md"), TOP.glob("contrib/*/*.md"))
    for path in pages
)
LONGEST = 25  # words of a sentence


@pytest.mark.parametrize("name", PAGES)
def test_the_sentences_of_a_page_are_short(name):
    assert [sentence for sentence in sentences((TOP / name).read_text()) if words(sentence) > LONGEST] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_uses_our_words(name):
    """It says "fix" and not "mend", "they" for a person, and "restore window" where a window first occurs."""
    page = sentences((TOP / name).read_text())
    assert [sentence for sentence in page if re.search(r"\b(?:mend(?:ed|ing)?|he|him|his|she|her)\b", sentence)] == []
    windows = [sentence for sentence in page if re.search(r"\bwindows?\b", sentence, re.IGNORECASE)]
    assert not windows or "restore window" in windows[0]


def test_a_sentence_ends_where_a_reader_sees_its_end():
    page = "# A title. No\n\nOne `a. b` is [two](x.md). **Three.** (Four.) five: six;\nseven\n\n    code. code\n\n"
    page += "- eight\n- nine\n\n| ten. | eleven |\n|---|---|\n| a | b |\n"
    found = ["One CODE is two.", "Three.", "(Four.", "five: six; seven", "eight", "nine"]
    assert sentences(page) == found
    assert [*map(words, found)] == [4, 1, 1, 3, 1, 1]
    assert words("- and – are `=`, no words") == 4


def test_every_file_of_ours_that_a_page_names_exists():
    for name in PAGES:
        for path in re.findall(r"`((?:bench|borgctl|docs|policy|tests)/[\w./-]+)`", (TOP / name).read_text()):
            assert (TOP / path).exists(), f"{name}: {path}"


def test_every_target_of_make_that_a_page_names_is_there():
    rules = set(re.findall(r"(?m)^([a-z-]+):", (TOP / "Makefile").read_text()))
    for name in PAGES:
        named = set(re.findall(r"(?m)(?:`|^    )make ([a-z-]+)", (TOP / name).read_text()))
        assert named <= rules, f"{name}: {named - rules}"


def test_every_link_of_the_documents_leads_somewhere():
    for page in [*TOP.glob("*.md"), *DOCS.glob("*.md"), *TOP.glob("contrib/*/*.md")]:
        for target, fragment in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            aim = page.parent / target if target else page
            assert aim.exists(), f"{page.name}: {target}"
            if fragment:
                anchors = set(map(generate.guards.anchor, re.findall(r"(?m)^#+ (.*)$", aim.read_text())))
                assert fragment in anchors, f"{page.name}: {target}#{fragment}"


@pytest.mark.parametrize("path", [TOP / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_no_page_has_root_work_in_a_repository_of_another_user(path):
    """borg writes there also where it only reads, and both borg and cp go where a link leads."""
    words = "list|extract|config|info|check|compact|delete|prune|key|mount|create|recreate|rename|upgrade"
    borg = re.compile(rf"^.*\bborg (?:{words})\b[^`:\n]* /srv/borg.*$|^.*\bcp\b[^`\n]* /srv/borg.*$", re.MULTILINE)
    assert [line for line in borg.findall(path.read_text()) if "runuser -u borgpull -- " not in line] == []


def test_no_page_restores_into_a_directory_that_another_user_may_have_made():
    pages = [TOP / "README.md", *DOCS.glob("*.md"), TOP / "borgctl/cli/window/recovery_page.py"]
    restored = [line for path in pages for line in re.findall(r".*\bcd .*", path.read_text()) if "/tmp" in line]
    assert restored == []
