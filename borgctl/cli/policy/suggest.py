"""What refused requests would have needed in the policy, read from the audit log.

The log holds what a peer sent, so nothing in it is believed: a request is parsed again as the gate parses it, and what
is suggested (`needs`) is our own vocabulary, checked values and fixed words. Each suggestion has been judged: with it,
that very request is allowed.

    suggested("/var/log/borgctl/audit.jsonl", facts).lines
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from borgctl.cli.policy.refusals import Collection, Refusal, collected
from borgctl.cli.policy.suggest_policy import Added, Unwise, entry, gathered, met, without
from borgctl.errors import REASONS, BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.text import printable
from borgctl.wire import request_parser
from borgctl.wire.request import Request

_MOST_SHOWN = 20
_SECTIONS = ("repositories", "jobs", "commands", "transports")
# refused for what was found on the machine or at the server: whatever a policy says, and however it is changed
_FOUND = frozenset(("repository-known", "repository-replaced", "socket-refused", "source-refused"))


@dataclass(slots=True)
class Suggestion:
    """One entry of a policy and the refusals that want it; `whole`: it stands in place of an entry that is there."""

    policy: str
    section: str
    name: str
    text: str = ""
    whole: bool = False
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(slots=True)
class Findings:
    """A log's refusals and what is suggested for them."""

    log: Collection
    suggestions: list[Suggestion] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        """Return them for JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """Return the text: a line that begins with '# ' is a policy's, once that is taken away."""
        return [printable(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        count = sum(refusal.count for refusal in self.log.refusals) + self.log.beyond
        yield f"## {self.log.records} records: {count} refused requests, and {self.log.malformed} malformed ones"
        if self.log.unreadable:
            yield f"## {self.log.unreadable} lines are no record of the gate's, and were skipped"
        if self.log.counted:
            yield f"## {self.log.counted} refusals of a flood were only counted"
        if self.log.beyond:
            yield f"## {self.log.beyond} refusals were not looked at: too many different ones"
        section = None
        for one in self.suggestions:
            if (one.policy, one.section) != section:
                yield from _heading(one, section and section[0])
                section = (one.policy, one.section)
            yield from (f"##   {refusal}" for refusal in one.refusals[:_MOST_SHOWN])
            yield f"#   {one.text}" if one.name else f"# {one.section}: {one.text}"
        yield from _unsuggested([refusal for refusal in self.log.refusals if refusal.why])


def _heading(one: Suggestion, above: str | None) -> Iterator[str]:
    if one.policy != above:
        place = (
            "in place of an entry of that name"
            if one.whole
            else "together with an entry of that name (it could not \
be read)"
        )
        yield "##"
        yield f"## {one.policy}: take what you want to allow, {place}"
    if one.section == "repositories":
        yield "##   with more than one repository, each request has to name one"
    if one.section == "transports" and "socket" in one.text:
        yield "##   the socket transport needs more of sshd: see 'borgctl authorize --transport socket'"
    if one.name:
        yield f"# {one.section}:"


def _unsuggested(refusals: list[Refusal]) -> Iterator[str]:
    if refusals:
        yield "##"
        yield "## not suggested:"
    for refusal in refusals[:_MOST_SHOWN]:
        yield f"##   {refusal}"
        yield f"##     {refusal.why}"
    if len(refusals) > _MOST_SHOWN:
        yield f"##   and {len(refusals) - _MOST_SHOWN} other requests"


class _Work:
    """Refusals turned into entries, one after the other; a policy is read once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.entries: dict[tuple[str, Added], Suggestion] = {}
        self._read: dict[str, Policy | None] = {}  # as it is now
        self._grown: dict[str, Policy] = {}  # with all that is suggested

    def add(self, refusal: Refusal) -> None:
        """Add what this refusal wants; raise Unwise where nothing is suggested."""
        asked = _asked(refusal)
        facts = dataclasses.replace(self.facts, local=refusal.local)
        path = refusal.policy
        if path not in self._read:
            self._read[path] = _policy(path)
        policy = self._read[path]
        met_by, added = met(policy or without(path, asked, facts, refusal.reason), asked, facts)
        if not added:
            raise Unwise("the policy allows it by now" if policy else REASONS[refusal.reason].advice)
        if any(self._full(path, one) for one in added):
            raise Unwise(f"there are {_MOST_SHOWN} entries of this kind already: look at those first")
        grown = gathered(self._grown.get(path, policy), met_by, added)
        self._grown[path] = grown
        for one in added:
            entries = self.entries.setdefault((path, one), Suggestion(path, *one, whole=policy is not None))
            entries.text = entry(grown, *one)
            entries.refusals.append(refusal)

    def _full(self, path: str, added: Added) -> bool:
        """Tell whether so many names are suggested that somebody may be flooding the log."""
        alike = [key for key in self.entries if key[0] == path and key[1][0] == added[0]]
        return len(alike) >= _MOST_SHOWN and (path, added) not in self.entries


def suggested(log: str, facts: Facts) -> Findings:
    """Read a log; raise BadValue where it cannot be read."""
    try:
        with open(log, "rb") as file:
            findings = Findings(collected(file))
    except OSError as error:
        raise BadValue(f"cannot read {log!r}: {error.strerror}") from None
    work = _Work(facts)
    for refusal in findings.log.refusals:
        try:
            work.add(refusal)
        except Unwise as unwise:
            refusal.why = str(unwise)
    findings.suggestions = sorted(work.entries.values(), key=lambda one: (one.policy, _SECTIONS.index(one.section)))
    return findings


def _asked(refusal: Refusal) -> Request:
    """Parse a request again; raise Unwise where it was cut, or where no entry of a policy is what it wants."""
    if REASONS[refusal.reason].status != 77 or refusal.reason in _FOUND:
        raise Unwise(REASONS[refusal.reason].advice)
    try:
        command = refusal.request.encode("ascii")
        return request_parser.parse(command, None if command.strip() else {})  # empty and yet understood: published
    except (UnicodeEncodeError, BorgctlError):
        raise Unwise("as it was recorded, the request is cut or cannot be read again") from None


def _policy(path: str) -> Policy | None:
    """Return the policy as it is now, None where it cannot be read here."""
    try:
        return load.read(path)
    except BorgctlError:
        return None
