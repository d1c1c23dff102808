"""Every word that either borg knows is classified: a new release's words fail here until somebody looks at them."""

import json

import pytest
import stage

from borgctl.borg.subcommands import COMMANDS

RISK = json.loads((stage.CORPORA / "risk.json").read_text())
LACKING = json.loads((stage.CORPORA / "words/borg-1.2.json").read_text())
HELP = {"-h", "--help"}


@pytest.fixture(scope="module")
def words(parsers):
    """(subcommand, spelling) of everything that each borg knows, by series; a subcommand alone has no spelling."""
    found = {}
    for series, parser in parsers.items():
        pairs = parser.ask({"words": True})["words"]
        found[series] = {(command, text) for command, spellings in pairs for text in (spellings or [""])}
    return found


def classified(command):
    """Return the spellings that the facts know for a subcommand, "" for itself."""
    own = RISK["subcommands"][command]["options"] if command else {}
    return {"", *HELP, *(text for option in (RISK["common"] | own).values() for text in option["spellings"])}


@pytest.mark.parametrize("series", ["1.4", "1.2"])
def test_every_word_that_borg_knows_is_classified(words, series):
    known = {command: classified(command) for command in ("", *RISK["subcommands"])}
    strange = {(command, text) for command, text in words[series] if text not in known.get(command, ())}
    assert {word for word in strange if word[0]} == set()
    assert strange <= {("", "-V"), ("", "--version")}


def test_the_older_borg_lacks_what_is_written_down_and_knows_nothing_besides(words, borg_12):
    assert words["1.2"] <= words["1.4"]
    lacking = words["1.4"] - words["1.2"]
    assert sorted(command for command, text in lacking if not text) == LACKING["subcommands"]
    options = {}
    for command, text in sorted(lacking):
        if text.startswith("--") and command not in LACKING["subcommands"]:
            options.setdefault(command, []).append(text)
    known = LACKING["known_to_1.2.9"] if borg_12.release >= 9 else {}
    assert options == {command: found for command, found in LACKING["options"].items() if command not in known}


def test_the_vocabulary_says_since_when_each_of_its_words_is_known(words):
    for command in COMMANDS.values():
        for name, option in command.options.items():
            assert ((command.name, f"--{name}") in words["1.2"]) == (option.since == "1.2"), name
            assert (command.name, f"--{name}") in words["1.4"]
