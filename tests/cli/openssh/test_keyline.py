"""Lines of authorized_keys, as sshd reads them."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work import calls

from borgctl.cli.openssh import key_options
from borgctl.cli.openssh.key_options import KeyOptions, parse_options
from borgctl.cli.openssh.keyline import parse
from borgctl.errors import BadValue

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
CLOSED = KeyOptions(
    restricted=True, port_forwarding=False, agent_forwarding=False, x11_forwarding=False, pty=False, user_rc=False
)


def options(text):
    return parse(f"{text} {KEY}" if text else KEY, "/k", 1).options


def test_a_key_alone_permits_everything():
    assert options("") == KeyOptions()


def test_restrict_takes_back_what_stood_before_it_and_not_what_follows():
    assert options("port-forwarding,pty,restrict") == CLOSED
    assert options("restrict,port-forwarding").port_forwarding
    assert options("RESTRICT,Pty").pty
    assert options(",,restrict,") == CLOSED


def test_a_quoted_value_may_hold_commas_blanks_quotes_and_hashes():
    line = parse(f'restrict,command="a, \\"b\\" # c" {KEY} the comment', "/k", 7)
    assert line.options.command == 'a, "b" # c'
    assert (line.comment, line.place) == ("the comment", "/k:7")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no-such", "unknown key option"),
        ("no-restrict", "unknown key option"),
        ("ptyx", "unknown key option"),
        ("command=x", "missing start or end quote"),
        ('command="a",command="b"', "multiple 'command' clauses"),
        ('from="a",from="b"', "multiple 'from' clauses"),
        ('permitopen="localhost"', "invalid permission"),
        ('permitopen="localhost:0"', "invalid permission"),
        ('permitopen="/run/x.sock:*"', "invalid permission"),
        ('permitopen="localhost:65536"', "invalid permission"),
        ('permitopen="[::1:22"', "invalid permission"),
    ],
)
def test_a_line_with_such_options_counts_for_nothing(text, problem):
    line = parse(f"{text} {KEY}", "/k", 1)
    assert (line.options, line.problem) == (None, problem)


def test_a_bare_port_to_listen_on_means_every_host():
    assert options('permitlisten="8080",permitlisten="[::1]:9"').permitlisten == ("*:8080", "[::1]:9")


@pytest.mark.parametrize("text", ["", "# ssh-ed25519 AAAA", "restrict", 'command="ssh-ed25519 AAAA', "ssh-ed25519"])
def test_what_holds_no_key_is_no_line(text):
    assert parse(text, "/k", 1) is None


def test_the_name_of_a_key_type_in_a_command_is_no_key():
    assert parse(f'command="{KEY}" {KEY}', "/k", 1).options.command == KEY


def test_a_key_is_its_bytes_however_its_base64_ends():
    one, other = (parse(f"ssh-ed25519 AAAA{end}", "/k", 1).blob for end in ("QQ==", "QR=="))
    assert one == other


@pytest.mark.parametrize(
    "line",
    [
        f"{KEY}\0 what sshd does not see",
        f"{KEY[:30]}\v{KEY[30:]}",
        f"{KEY[:30]}\f\r{KEY[30:]} me",
        f"{KEY}\f",
        KEY.replace("ssh-ed25519", "rsa-sha2-512"),
    ],
)
def test_a_key_that_sshd_finds_in_an_odd_line_is_found(line):
    found = parse(line, "/k", 1)
    assert (found.options, found.blob) == (KeyOptions(), parse(KEY, "/k", 1).blob)
    assert not found.certain


@pytest.mark.parametrize("more", [b"x", b"\0\0\0\1x", None])
def test_no_key_that_is_cut_or_goes_on_surely_counts(more):
    """ssh-keygen refuses it, as sshd does."""
    kind, blob = KEY.split()[:2]
    inside = base64.b64decode(blob)
    other = base64.b64encode(inside[:-1] if more is None else inside + more).decode()
    assert parse(f"{kind} {blob}", "/k", 1).certain
    assert not parse(f"{kind} {other}", "/k", 1).certain


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x/22", "x:22"), ("x:022", "x:22"), ("x:+22", "x:22"), ("x:ssh", "x:*"), ("[::1]/22", "[::1]:22"), (":1", ":1")],
)
def test_a_permission_is_read_as_sshd_reads_it(text, expected):
    found = options(f'permitopen="{text}"')
    assert found.permitopen == (expected,)
    assert found.certain is (text == expected)


@given(st.text(alphabet='restrict,pty="\\ no-command:*#@\n\t\x00', max_size=60))
def test_reading_is_total(text):
    parse(f"{text} {KEY}", "/k", 1)
    with contextlib.suppress(BadValue):
        parse_options(text)


class CountedText(str):
    """A text that counts the characters of its pieces, which are such texts, too."""

    __slots__ = ()
    copied = 0

    def __getitem__(self, which):
        piece = CountedText(super().__getitem__(which))
        CountedText.copied += len(piece)
        return piece


@pytest.mark.parametrize("option", ['environment="A=B"', 'permitopen="a:1"', "restrict", "no-pty"])
def test_twice_the_options_are_twice_the_work(option, monkeypatch):
    """Root runs doctor, and every user writes their own file: 1.7 MB took 284 s, as each step copied what was left."""
    held, replace = 0, key_options.replace

    def watched(options, **changes):
        nonlocal held
        made = replace(options, **changes)
        held += len(made.environment) + len(made.permitopen) + len(made.permitlisten)
        return made

    def work(number):
        nonlocal held
        CountedText.copied = held = 0
        text = CountedText(",".join([option] * number))
        found = parse_options(text)
        assert len(found.environment) + len(found.permitopen) in (0, number)
        return CountedText.copied, held, calls(lambda: parse_options(text))

    monkeypatch.setattr(key_options, "replace", watched)
    for once, twice in zip(work(1000), work(2000), strict=True):
        assert twice <= 2 * once + 1000


def test_of_a_key_of_megabytes_of_nothing_a_few_fields_are_read():
    """Root runs doctor, and every user writes their own file: it took a minute with 4 MB."""
    few, many = (base64.b64encode(bytes(4 * number)).decode() for number in (10, 10_000))
    assert not parse(f"ssh-ed25519 {many}", "/k", 1).certain
    assert calls(lambda: parse(f"ssh-ed25519 {many}", "/k", 1)) == calls(lambda: parse(f"ssh-ed25519 {few}", "/k", 1))
