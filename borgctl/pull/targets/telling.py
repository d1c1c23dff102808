"""Telling: whom a target's file asks to tell of its runs. It sends nothing.

    notify: [ntfys://ntfy.example.org/backup, {url: "mailtos://…", on: [suspect, digest]}]
    ping: https://hc-ping.com/KEY/web1
    on_failure: [/usr/local/bin/page, --urgent]

Such a URL holds secrets. So no mistake in a file repeats it, and an `Address` prints as what may be seen of it.

    >>> service("tgram://123:secret/456")
    tgram://…
    >>> ping("https://hc-ping.com/secret").shown
    'https://hc-ping.com/…'
"""

import re
from collections.abc import Mapping

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.pull.targets.values import plain_path
from borgctl.secret_urls import shown
from borgctl.strict_yaml import Node

KEYS = ("notify", "ping", "on_failure")
KINDS = ("failed", "recovered", "overdue", "suspect", "digest")
USUAL = KINDS[:-1]  # what is told where a file names no kinds
HOOK = "on_failure"
_FIELDS = ("url", "on")
_LONGEST = 2000  # characters of a URL, or of a word of a command
_MOST = 50  # URLs, or words of a command
_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://\S+")
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,45}\]"
_PING = re.compile(rf"(https?://(?:{_HOST})(?::[0-9]{{1,5}})?)(?:[/?][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


class Address:
    """A URL with secrets in it: only `reveal` gives it whole, `shown` is what may be printed and kept."""

    __slots__ = ("_text", "shown")

    def __init__(self, text: str, shown: str) -> None:
        self._text, self.shown = text, shown

    def reveal(self) -> str:
        """Return the URL, for who sends to it."""
        return self._text

    def __repr__(self) -> str:
        return self.shown

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Service:
    """One URL of `notify`, the `number`th of its list, and which kinds of events it is told."""

    number: int
    address: Address
    kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return its name where it is printed and kept: services on one host differ by their numbers."""
        return f"notify {self.number} ({self.address.shown})"


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told of a target."""

    notify: tuple[Service, ...] = ()
    ping: Address | None = None
    on_failure: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all who are told, as they are printed and kept."""
        pinged = () if self.ping is None else (ping_name(self.ping),)
        return (*(one.name for one in self.notify), *pinged, *((HOOK,) if self.on_failure else ()))


def ping_name(address: Address) -> str:
    """Return the name of a ping where it is printed and kept."""
    return f"ping ({address.shown})"


def read(notes: NodeReader, fields: Mapping[str, Node]) -> Telling:
    """Read the three keys from those of a file; note every mistake in `notes`."""
    services: list[Service] = []
    if "notify" in fields:
        nodes = notes.nodes(fields["notify"])
        services = [_service(notes, number, node) for number, node in enumerate(nodes, 1)]
        if len(nodes) > _MOST:
            notes.add(fields["notify"], f"more than {_MOST} URLs")
    pinged = notes.scalar(fields["ping"], _ping_or_none, None) if "ping" in fields else None
    hook = notes.items(fields[HOOK], _word) if HOOK in fields else ()
    if hook:
        notes.scalar(fields[HOOK].value[0], _program, "")  # type: ignore[arg-type]
    if len(hook) > _MOST:
        notes.add(fields[HOOK], f"more than {_MOST} words")
    return Telling(tuple(services), pinged, hook)


def _service(notes: NodeReader, number: int, node: Node) -> Service:
    """Read a URL, or a mapping with one. A key of it that is not ours may be a URL, and is not repeated."""
    nobody = Address("", "")
    if node.pairs is None:
        return Service(number, notes.scalar(node, service, nobody), USUAL)
    if any(key.value not in _FIELDS for key, _ in node.pairs):
        notes.add(node, f"unknown key (expected one of: {', '.join(_FIELDS)})")
        return Service(number, nobody, USUAL)
    fields = notes.fields(node, _FIELDS, required=("url",))
    address = notes.scalar(fields["url"], service, nobody) if "url" in fields else nobody
    kinds = notes.items(fields["on"], _kind) if "on" in fields else USUAL
    if "on" in fields and not fields["on"].value:
        notes.add(fields["on"], "no event named: leave 'on' out for the usual ones")
    return Service(number, address, tuple(kind for kind in KINDS if kind in kinds))


def _kind(text: str) -> str:
    if text not in KINDS:
        raise BadValue(f"unknown event: expected some of: {', '.join(KINDS)}")  # it may be a URL
    return text


def service(text: str) -> Address:
    """Return a URL of Apprise's. What stands in the place of the host is a secret with many of them."""
    if not _SERVICE.fullmatch(text) or len(text) > _LONGEST:
        raise BadValue(f"bad URL: expected one of Apprise's, like ntfys://HOST/TOPIC, of at most {_LONGEST} characters")
    return Address(text, shown(text))


def ping(text: str) -> Address:
    """Return a URL to ping; it has a host and no password, so that its host can be shown."""
    match = _PING.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise BadValue(f"bad URL: expected http://HOST/… or https://HOST/…, of at most {_LONGEST} characters")
    return Address(text, f"{match[1]}/…")


def _ping_or_none(text: str) -> Address | None:
    return ping(text)


def _word(text: str) -> str:
    if len(text) > _LONGEST:
        raise BadValue(f"a word of {len(text)} characters is too long (at most {_LONGEST})")
    return text


def _program(text: str) -> str:
    try:
        return plain_path(text)
    except BadValue:
        raise BadValue("bad program: expected its absolute path") from None  # the word may be a URL
