"""What `explain` prints of a policy where no request is named.

The sentences are for people; `offer` is what the server is told when it says hello, by the gate's own judge.
"""

import os
from dataclasses import dataclass
from typing import Any

from borgctl.borg.command import HelloReply
from borgctl.cli.policy.describe import paragraphs
from borgctl.cli.policy.explanation import Explanation, refused
from borgctl.console.text import width, wrapped
from borgctl.errors import BorgctlError
from borgctl.policy import load
from borgctl.policy.judge import Facts, judge
from borgctl.text import printable
from borgctl.wire.request import Hello, Request


@dataclass(frozen=True, slots=True)
class Description:
    """What a policy offers: for people, and as the server is told when it says hello."""

    paragraphs: dict[str, list[str]]
    offer: dict[str, object]
    status: int = 0

    @property
    def sentences(self) -> list[str]:
        """Return whole sentences."""
        return [f"{beginning} {rest}." for beginning, found in self.paragraphs.items() for rest in found]

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"decision": "allow", "sentences": self.sentences, "offer": self.offer}

    @property
    def lines(self) -> list[str]:
        """Return it for people: each beginning once, and below it how it goes on, as wide as their terminal."""
        lines, columns = [], width()
        for beginning, found in self.paragraphs.items():
            lines.append(beginning)
            for rest in found:
                lines += wrapped("  - ", printable(rest), columns)
        return lines


def described(file: str, facts: Facts) -> Description | Explanation:
    """Describe a policy; one that cannot be used gives the gate's refusal."""
    try:
        policy = load.read(os.path.abspath(file))
        greeting = judge(policy, Request(Hello()), facts)
    except BorgctlError as error:
        return refused(error)
    assert isinstance(greeting, HelloReply)
    return Description(paragraphs(policy, facts.names), greeting.offer)
