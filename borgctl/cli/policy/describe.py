"""`borgctl explain POLICY`, without a request: what this policy lets a server do.

The sentences are for people (`policy_sentences`). `offer` is the gate's own answer to the server's `hello`.

    describe("/etc/borgctl/web1.yaml", facts).sentences
"""

import os
from dataclasses import dataclass
from typing import Any

from borgctl.borg.command import HelloReply
from borgctl.cli.policy.explanation import Explanation, refused
from borgctl.cli.policy.policy_sentences import paragraphs
from borgctl.console.text import width, wrapped
from borgctl.errors import BorgctlError
from borgctl.policy import load
from borgctl.policy.judge import Facts, judge
from borgctl.text import printable
from borgctl.wire.request import Hello, Request


@dataclass(frozen=True, slots=True)
class Description:
    """What a policy offers, for people and as the answer to `hello`."""

    paragraphs: dict[str, list[str]]
    offer: dict[str, object]
    status: int = 0

    @property
    def sentences(self) -> list[str]:
        """Return whole sentences."""
        return [f"{beginning} {end}." for beginning, ends in self.paragraphs.items() for end in ends]

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"decision": "allow", "sentences": self.sentences, "offer": self.offer}

    @property
    def lines(self) -> list[str]:
        """Return it for people: each beginning once, its ends below it, as wide as their terminal."""
        lines, columns = [], width()
        for beginning, ends in self.paragraphs.items():
            lines.append(beginning)
            for end in ends:
                lines += wrapped("  - ", printable(end), columns)
        return lines


def describe(file: str, facts: Facts) -> Description | Explanation:
    """Describe a policy; for one that cannot be used, return the gate's refusal."""
    try:
        policy = load.read(os.path.abspath(file))
        reply = judge(policy, Request(Hello()), facts)
    except BorgctlError as error:
        return refused(error)
    assert isinstance(reply, HelloReply)
    return Description(paragraphs(policy, facts.names), reply.offer)
