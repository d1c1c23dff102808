"""The manual pages say what the programs take, all of it and nothing else."""

import importlib.metadata
import re
import sys

import pytest
from stage import TOP
from typer.main import get_command

from borgctl.cli.app import app as client_app
from borgctl.policy import keys
from borgctl.pull.command_line import app as server_app
from borgctl.pull.targets import targets

sys.path.insert(0, str(TOP / "docs/man"))

import pages
from roff import roff

PROGRAMS = {"borgctl": client_app, "borgpull": server_app}


def sections(name):
    """Return a page's sections by their titles: 'OPTIONS', 'borgctl audit show [LOG]'."""
    parts = re.split(r"^##+ (.*)$", pages.markdown(f"{name}.1"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def items(section):
    """Return the text of each tagged item by its tag."""
    whole = re.sub(r"\n  (?=\S)", " ", section)
    return dict(re.findall(r"^- (.+?): (.*)$", whole, flags=re.MULTILINE))


def options(tags):
    return {option for tag in tags for option in re.findall(r"--?[a-z][a-z-]*", tag)}


def argument_name(param):
    """Return an argument's name as help writes it."""
    return re.sub(r"^\[|\](?:\.\.\.)?$", "", param.metavar or param.name.upper())


def arguments(command):
    """Return a command's arguments as help writes them, and whether one may be left out."""
    found = [param for param in command.params if param.param_type_name == "argument"]
    return [(argument_name(param), not param.required) for param in found]


def described():
    """Yield each command that does something: its program, its words, itself."""
    for name, app in PROGRAMS.items():
        for word, command in get_command(app).commands.items():
            for sub, below in getattr(command, "commands", {"": command}).items():
                yield name, " ".join(filter(None, (name, word, sub))), below


COMMANDS = list(described())
each_command = pytest.mark.parametrize(("name", "words", "command"), COMMANDS, ids=[words for _, words, _ in COMMANDS])


def section_of(name, words):
    found = [title for title in sections(name) if re.fullmatch(rf"{words}(?: [\[A-Z].*)?", title)]
    assert len(found) == 1, f"{name}.1.md has {found} for {words!r}"
    return found[0], sections(name)[found[0]]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_page_has_every_command_and_no_other(name):
    said = {title for title in sections(name) if title.startswith(f"{name} ")}
    known = [words for program, words, _ in COMMANDS if program == name]
    assert {title for title in said if not any(re.match(rf"{words}(?:$| [\[A-Z])", title) for words in known)} == set()
    assert len(said) == len(known)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_page_has_every_option_of_the_program_itself_and_no_other(name):
    known = {option for param in get_command(PROGRAMS[name]).params for option in param.opts}
    assert options(items(sections(name)["OPTIONS"])) == known | {"-h", "--help"}


@each_command
def test_a_page_has_every_option_of_a_command_and_no_other(name, words, command):
    known = {option for param in command.params if param.param_type_name == "option" for option in param.opts}
    said = options(tag for tag in items(section_of(name, words)[1]) if not tag.startswith("*"))
    assert said == known - {"-h", "--help"}


@each_command
def test_a_page_has_every_argument_of_a_command_and_no_other(name, words, command):
    title, text = section_of(name, words)
    said = {tag.strip("*") for tag in items(text) if tag.startswith("*")}
    known = arguments(command)
    assert said == {argument for argument, _ in known}
    for argument, optional in known:
        assert (f"[{argument}]" in title) == optional, title


@each_command
def test_a_page_says_the_defaults_that_are_so(name, words, command):
    said = items(section_of(name, words)[1])
    for param in command.params:
        if param.param_type_name == "argument" or param.default in (None, False):
            continue
        default = f"{param.default:g}" if isinstance(param.default, int | float) else str(param.default)
        (item,) = [f"{tag} {text}" for tag, text in said.items() if param.opts[0] in options([tag])]
        assert default in item, f"{param.opts[0]}: {default}"


def plain(text):
    """Return the words of a text without marks, as a page and a terminal have them alike."""
    return re.sub(r"['`*]", "", " ".join(text.split()))


@each_command
def test_help_and_page_begin_with_the_same_sentence(name, words, command):
    firsts = [plain(text).partition(". ")[0].rstrip(".") for text in (command.help, section_of(name, words)[1])]
    assert firsts[0] == firsts[1]


@each_command
def test_help_and_page_describe_a_command_in_the_same_words(name, words, command):
    page = plain(re.split(r"^(?:- |```)", section_of(name, words)[1], flags=re.MULTILINE)[0])
    assert plain(command.help.partition("Example:")[0]) == page


@each_command
def test_help_and_page_describe_an_option_in_the_same_words(name, words, command):
    compare(command.params, items(section_of(name, words)[1]))


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_and_page_describe_an_option_of_the_program_itself_in_the_same_words(name):
    compare(get_command(PROGRAMS[name]).params, items(sections(name)["OPTIONS"]))


def compare(params, texts):
    """Compare the help of options and arguments, and a default that is a sentence, with the page's `texts`."""
    for param in params:
        name = param.opts[0] if param.param_type_name == "option" else f"*{argument_name(param)}*"
        (text,) = [text for tag, text in texts.items() if name in (options([tag]) or {tag})]
        words, _, default = plain(text).partition(" The default is ")
        assert words == plain(param.help), name
        if isinstance(param.show_default, str):
            assert default.rstrip(".") == param.show_default, name


@each_command
def test_a_page_shows_an_example_of_every_command(name, words, command):
    examples = re.findall(r"```\n(.*?)```", section_of(name, words)[1], flags=re.DOTALL)
    for line in "".join(examples).splitlines():
        assert line.startswith(words), line
        assert line in command.help, "the help has another one"
    assert examples


@pytest.mark.parametrize(
    ("name", "keys", "macro"),
    [("borgctl-policy.5", keys.KEYS, '.SS "{}"\n'), ("borgpull-targets.5", targets.KEYS, ".TP 7\n\\fB{}\\fR\n")],
)
def test_a_page_of_a_file_has_every_key(name, keys, macro):
    page = pages.page(name)
    assert [key for key in keys if macro.format(key) not in page] == []


def test_an_installed_package_has_the_pages():
    installed = {path.name for path in importlib.metadata.files("borgctl-gatekeeper") if "share/man/man" in str(path)}
    assert installed == set(pages.names()) == {"borgctl.1", "borgpull.1", "borgctl-policy.5", "borgpull-targets.5"}


# ---- roff


def rendered(markdown):
    return roff(f"# x(1)\n\n{markdown}", "x").splitlines()[3:]


def test_words_are_never_taken_for_requests_or_escapes():
    assert rendered(".so /etc/passwd") == [".PP", "\\&.so /etc/passwd"]
    assert rendered("'so x") == [".PP", "\\(aqso x"]
    assert rendered("```\n.ds x\n'a\\n\n```") == [".PP", ".RS 4", ".nf", "\\&.ds x", "\\(aqa\\en", ".fi", ".RE"]
    assert rendered("- `.x`: .y") == [".TP 7", "\\fB.x\\fR", "\\&.y"]
    assert rendered("a --b") == [".PP", "a \\-\\-b"]


def test_a_list_without_tags_has_bullets():
    assert rendered("- one: two") == [".IP \\(bu 2", "one: two"]


@pytest.mark.parametrize("markdown", ["> quoted", "1. numbered", "![a picture](x.png)", "---"])
def test_what_has_no_form_is_an_error(markdown):
    with pytest.raises(ValueError, match="no form"):
        rendered(markdown)


def test_a_page_without_a_name_is_an_error():
    with pytest.raises(ValueError, match="begins with"):
        roff("## NAME", "x")
