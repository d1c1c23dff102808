"""What `explain` prints of a policy where no request is named.

The sentences are for people; `offer` is what the server is told when it says hello, by the gate's own judge.
"""

import os
from dataclasses import dataclass
from typing import Any

from borgctl import policyfile
from borgctl.cli.sentences import paragraphs
from borgctl.cli.verdict import Explanation, refused
from borgctl.errors import BorgctlError
from borgctl.judge import Facts, judge
from borgctl.launch import Greeting
from borgctl.prose import width, wrapped
from borgctl.request import Hello, Request
from borgctl.text import printable


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
        policy = policyfile.read(os.path.abspath(file))
        greeting = judge(policy, Request(Hello()), facts)
    except BorgctlError as error:
        return refused(error)
    assert isinstance(greeting, Greeting)
    return Description(paragraphs(policy, facts.names), greeting.offer)
