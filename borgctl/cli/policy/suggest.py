"""`borgctl suggest`: the lines that refused requests would have needed in the policy, from the audit log.

It trusts nothing in the log, which has what peers sent. It parses each request again as the gate does, and suggests
only our own words and checked values (`suggest_policy`). It judges each suggestion: with it, that request is allowed.

    suggest("/var/log/borgctl/audit.jsonl", facts).lines
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from borgctl.cli.policy.refusals import Collection, Refusal, collect
from borgctl.cli.policy.suggest_policy import Added, Unwise, allow, entry, merge, stand_in
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.reasons import REASONS
from borgctl.text import printable
from borgctl.wire import request_parser
from borgctl.wire.request import Request

_MOST_SHOWN = 20
_SECTIONS = ("repositories", "jobs", "commands", "transports")
# refused because of the machine or the server: no policy can change that
_NOT_BY_POLICY = frozenset(("repository-known", "repository-replaced", "socket-refused", "source-refused"))


@dataclass(slots=True)
class Suggestion:
    """One entry of a policy and the refusals that need it; `whole`: it replaces an entry of that name."""

    policy: str
    section: str
    name: str
    text: str = ""
    whole: bool = False
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(slots=True)
class Suggestions:
    """The refusals of a log, and the suggestions for them."""

    log: Collection
    suggestions: list[Suggestion] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        """Return them for JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """Return the text; a line that begins with '# ' is a line for the policy without that."""
        return [printable(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        count = sum(refusal.count for refusal in self.log.refusals) + self.log.beyond
        yield f"## {self.log.records} records: {count} refused requests, and {self.log.malformed} malformed ones"
        if self.log.unreadable:
            yield f"## {self.log.unreadable} lines are no records of the gate, and were skipped"
        if self.log.counted:
            yield f"## {self.log.counted} refusals of a flood were only counted"
        if self.log.beyond:
            yield f"## {self.log.beyond} refusals were not read: there are too many different ones"
        section = None
        for suggestion in self.suggestions:
            if (suggestion.policy, suggestion.section) != section:
                yield from _heading(suggestion, section and section[0])
                section = (suggestion.policy, suggestion.section)
            yield from (f"##   {refusal}" for refusal in suggestion.refusals[:_MOST_SHOWN])
            yield f"#   {suggestion.text}" if suggestion.name else f"# {suggestion.section}: {suggestion.text}"
        yield from _unsuggested([refusal for refusal in self.log.refusals if refusal.why])


def _heading(suggestion: Suggestion, above: str | None) -> Iterator[str]:
    if suggestion.policy != above:
        unread = "together with an entry of that name (the policy could not be read)"
        place = "in place of an entry of that name" if suggestion.whole else unread
        yield "##"
        yield f"## {suggestion.policy}: take what you want to allow, {place}"
    if suggestion.section == "repositories":
        yield "##   with more than one repository, each request has to name one"
    if suggestion.section == "transports" and "socket" in suggestion.text:
        yield "##   the socket transport needs settings of sshd: see 'borgctl authorize --transport socket'"
    if suggestion.name:
        yield f"# {suggestion.section}:"


def _unsuggested(refusals: list[Refusal]) -> Iterator[str]:
    if refusals:
        yield "##"
        yield "## not suggested:"
    for refusal in refusals[:_MOST_SHOWN]:
        yield f"##   {refusal}"
        yield f"##     {refusal.why}"
    if len(refusals) > _MOST_SHOWN:
        yield f"##   and {len(refusals) - _MOST_SHOWN} other requests"


class _Entries:
    """Turns refusals into entries, one by one; reads each policy once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.entries: dict[tuple[str, Added], Suggestion] = {}
        self._read: dict[str, Policy | None] = {}  # as it is now
        self._grown: dict[str, Policy] = {}  # with all suggestions

    def add(self, refusal: Refusal) -> None:
        """Add what this refusal needs; raise Unwise where nothing is suggested."""
        wanted = _parse(refusal)
        facts = dataclasses.replace(self.facts, local=refusal.local)
        path = refusal.policy
        if path not in self._read:
            self._read[path] = _policy(path)
        policy = self._read[path]
        allowing, added = allow(policy or stand_in(path, wanted, facts, refusal.reason), wanted, facts)
        if not added:
            raise Unwise("the policy allows it by now" if policy else REASONS[refusal.reason].advice)
        if any(self._full(path, key) for key in added):
            raise Unwise(f"there are {_MOST_SHOWN} entries of this kind already: look at those first")
        grown = merge(self._grown.get(path, policy), allowing, added)
        self._grown[path] = grown
        for key in added:
            suggestion = self.entries.setdefault((path, key), Suggestion(path, *key, whole=policy is not None))
            suggestion.text = entry(grown, *key)
            suggestion.refusals.append(refusal)

    def _full(self, path: str, added: Added) -> bool:
        """Tell whether so many names are suggested that a peer may be flooding the log."""
        alike = [key for key in self.entries if key[0] == path and key[1][0] == added[0]]
        return len(alike) >= _MOST_SHOWN and (path, added) not in self.entries


def suggest(log: str, facts: Facts) -> Suggestions:
    """Read a log; raise BadValue where it cannot be read."""
    try:
        with open(log, "rb") as file:
            suggestions = Suggestions(collect(file))
    except OSError as error:
        raise BadValue(f"cannot read {log!r}: {error.strerror}") from None
    entries = _Entries(facts)
    for refusal in suggestions.log.refusals:
        try:
            entries.add(refusal)
        except Unwise as unwise:
            refusal.why = str(unwise)
    suggestions.suggestions = sorted(
        entries.entries.values(), key=lambda each: (each.policy, _SECTIONS.index(each.section))
    )
    return suggestions


def _parse(refusal: Refusal) -> Request:
    """Parse a request again; raise Unwise where it was cut, or where no entry of a policy would allow it."""
    if REASONS[refusal.reason].status != 77 or refusal.reason in _NOT_BY_POLICY:
        raise Unwise(REASONS[refusal.reason].advice)
    try:
        command = refusal.request.encode("ascii")
        return request_parser.parse(command, None if command.strip() else {})  # empty, and not malformed: published
    except (UnicodeEncodeError, BorgctlError):
        raise Unwise("the recorded request is cut, or cannot be parsed again") from None


def _policy(path: str) -> Policy | None:
    """Return the policy as it is now, None where it cannot be read here."""
    try:
        return load.read(path)
    except BorgctlError:
        return None
