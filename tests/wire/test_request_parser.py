"""Each valid request parses to its value, and nothing else parses."""

import contextlib
import os
import shlex

import draws
import pytest
import stage
from hypothesis import example, given
from hypothesis import strategies as st
from work import calls

from borgctl.errors import BorgctlError
from borgctl.values import ArchiveName, Head, JobName, RepositoryPath, SocketPath, SourcePath
from borgctl.wire.request import Borg, Hello, Request, Run, RunOptions, render
from borgctl.wire.request_parser import LARGEST, announced_socket, parse, split

ANYTHING = st.binary(max_size=300) | st.text("runbog helo-=/:'\"\\{}~$;\n\0", max_size=80).map(str.encode)
CARRIERS = st.none() | st.dictionaries(st.sampled_from(("BORG_SOCKET", "BORG_REPOPATH")), st.text(max_size=40))


def refusal(command, carriers=None):
    with pytest.raises(BorgctlError) as caught:
        parse(command, carriers)
    return caught.value.reason


@given(ANYTHING, CARRIERS)
@example(b"borg create --exclude", None)
@example(b"\xff" * 20000, None)
def test_any_bytes_give_a_request_or_a_reason_of_status_76(command, carriers):
    found = stage.outcome(BorgctlError, parse, command, carriers)
    assert isinstance(found, Request) or found.reason.status == 76


@given(ANYTHING, CARRIERS)
def test_looking_for_an_announced_socket_never_raises(command, carriers):
    found = announced_socket(command, carriers)
    assert found is None or isinstance(found, SocketPath)


@given(st.lists(st.text("".join(map(chr, range(32, 127))), max_size=20), max_size=20))
def test_words_are_split_as_shlex_joins_them(words):
    assert split(shlex.join(words).encode()) == words


@given(st.text("".join(map(chr, range(32, 127))), max_size=60))
def test_where_we_split_at_all_a_posix_shell_reads_the_same_words(text):
    try:
        words = split(text.encode())
    except BorgctlError:
        return
    assert words == shlex.split(text)


def test_a_value_may_follow_its_option_or_be_attached():
    attached = parse(b"borg create --compression=lz4 ::a /etc")
    assert attached == parse(b"borg create --compression lz4 ::a /etc")
    assert attached.order == Borg("create", (("compression", "lz4"),), ArchiveName("a"), (SourcePath("/etc"),))


def test_options_of_the_run_are_typed():
    head = "0123456789abcdef" * 4
    asked = parse(f"run default --repository=/srv/a --socket=/run/b --log=json --seen=7:{head}".encode())
    assert asked == Request(
        Run(JobName("default")), RunOptions(RepositoryPath("/srv/a"), SocketPath("/run/b"), "json", Head(7, head))
    )


@pytest.mark.parametrize("command", [None, b"", b"   "])
def test_an_empty_request_is_no_request_unless_the_published_scripts_are_spoken(command):
    assert refusal(command).code == "empty-request"
    assert parse(command, {}) == Request(Run(JobName("default")))


def test_the_published_carriers_mean_the_same_as_the_options():
    carriers = {"BORG_SOCKET": "/run/borgctl/x", "BORG_REPOPATH": "/srv/borg/web1"}
    asked = parse(None, carriers)
    assert asked == parse(b"run default --repository=/srv/borg/web1 --socket=/run/borgctl/x")
    assert parse(b"run default --socket=/run/borgctl/x", carriers) == asked


@pytest.mark.parametrize("option", ["--socket=/run/borgctl/y", "--repository=/srv/borg/web2"])
def test_carriers_with_another_value_than_the_options_are_malformed(option):
    carriers = {"BORG_SOCKET": "/run/borgctl/x", "BORG_REPOPATH": "/srv/borg/web1"}
    assert refusal(f"run default {option}".encode(), carriers).code == "conflicting-values"


@pytest.mark.parametrize("text", ["relative", "/a/../b", "/x\n", "/" + "a" * 200, "\\xff", "/a --log=json"])
def test_a_bad_carrier_is_malformed(text):
    assert refusal(b"hello", {"BORG_SOCKET": text}).status == 76


def test_an_empty_carrier_is_none():
    assert parse(b"hello", {"BORG_SOCKET": "", "BORG_REPOPATH": ""}) == Request(Hello())


def test_the_longest_request_is_taken_and_one_byte_more_is_not():
    path = "/".join(["", *["a" * 200] * 15])
    words = " ".join([path] * 5)
    line = f"borg create ::a {words}"
    line += " " * (LARGEST - len(line))
    assert len(parse(line.encode()).order.paths) == 5
    assert refusal(line.encode() + b" ").code == "request-too-long"


def test_128_words_are_taken_and_one_more_is_not():
    line = b"borg create ::a" + b" /a" * 125
    assert len(parse(line).order.paths) == 125
    assert refusal(line + b" /a").code == "request-too-long"


@pytest.mark.parametrize(
    "line",
    [
        b"a " * 8192,
        b"'" * 16383,
        b"''" * 8192,
        b'"\'"' * 5461,
        b"a" * 16384,
        b"borg create --exclude=" + b"/" * 16000 + b"x ::a /etc",
        b"borg create --exclude=" + b"a*" * 8000 + b" ::a /etc",
        b"borg create --exclude=" + b" " * 900 + b"x ::a /etc",
        b"borg create --comment=" + b"=" * 16000 + b" ::a /etc",
        b"run " + b"-" * 16000,
    ],
    ids=lambda line: line[:30].decode(),
)
def test_no_line_is_more_work_than_its_length(line):
    def read():
        with contextlib.suppress(BorgctlError):
            parse(line)

    assert calls(read) <= 20 * len(line)


def test_of_a_line_that_is_too_long_nothing_but_its_length_is_read():
    def work(number):
        with pytest.raises(BorgctlError):
            parse(b"a " * number)

    assert calls(lambda: work(10_000)) == calls(lambda: work(20_000))


def test_a_socket_is_found_where_the_rest_is_nonsense():
    assert announced_socket(b"run --socket=/run/borgctl/x --nonsense ''") == SocketPath("/run/borgctl/x")
    assert announced_socket(None, {"BORG_SOCKET": "/run/borgctl/x"}) == SocketPath("/run/borgctl/x")
    assert announced_socket(b"nonsense", None) is None
    assert announced_socket(b"run x --socket=../x") is None


@draws.FEWER
@given(draws.asked())
def test_the_announced_socket_is_the_one_that_the_request_names(request):
    assert announced_socket(render(request).encode()) == request.options.socket


def test_non_ascii_paths_cannot_be_asked_for():
    assert refusal("borg create ::a /home/jörg".encode()).code == "not-printable"


def test_a_request_is_parsed_the_same_in_any_environment(monkeypatch):
    before = parse(b"run default --log=json")
    for name in list(os.environ):
        monkeypatch.delenv(name)
    assert parse(b"run default --log=json") == before


def test_the_corpora_are_as_large_as_they_were_meant_to_be():
    assert len(stage.requests("allowed.txt")) >= 60
    assert len(stage.requests("denied.txt")) >= 120


@pytest.mark.parametrize("command", [command for command in draws.COMMANDS.values() if command.exclusive])
def test_what_borg_does_not_take_together_is_malformed(command):
    for group in command.exclusive:
        if all(command.options[name].request for name in group):
            own = [
                f"--{n}={draws.known(command.options[n].request)[-1]}" if command.options[n].takes_value else f"--{n}"
                for n in sorted(group)
            ]
            assert refusal(shlex.join(["borg", command.name, *own]).encode()).code == "bad-words"
