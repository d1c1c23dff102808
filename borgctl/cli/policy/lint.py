"""All that is wrong with a policy, and all that is valid and unwise, at once, with where it stands.

Errors are what the gate refuses: the policy itself (`policyfile.read`, hands and modes too), or what it names. Those,
and the warnings, come from `lint_rules`. Nothing is written, and no secret is read.

    lint("/etc/borgctl/web1.yaml") == Report("/etc/borgctl/web1.yaml", errors=(), warnings=(Problem(4, 3, "…"),))
"""

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from borgctl.cli.policy.lint_rules import advise
from borgctl.errors import REASONS, BadValue, BorgctlError
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy import load, locations
from borgctl.policy.load import InvalidPolicy
from borgctl.policy.model import Policy
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.strict_yaml import LARGEST, Node, Problem, Problems, parse
from borgctl.text import printable

UNUSABLE = 78  # sysexits(3) EX_CONFIG, as in `errors`


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file; `file` is its name as it was given."""

    file: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Return one line for each finding, in the order of the file."""
        found = [(problem, "error") for problem in self.errors] + [(problem, "warning") for problem in self.warnings]
        return [
            printable(f"{self.file}:{problem.line}:{problem.column}: {kind}: {problem.text}")
            for problem, kind in sorted(found)
        ]

    @property
    def plain(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "file": self.file,
            "ok": not self.errors,
            "errors": [_plain(problem) for problem in self.errors],
            "warnings": [_plain(problem) for problem in self.warnings],
        }


def _plain(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "column": problem.column, "text": problem.text}


def lint(file: str) -> Report:
    """Report on one policy; what is not about a line stands at 1:1."""
    path = os.path.abspath(file)
    try:
        policy = load.read(path)
        advice = advise(policy, _root(path))
    except InvalidPolicy as error:
        hint = f": {error.hint}" if error.reason.code == "policy-unsafe" else ""
        return Report(file, errors=error.problems or (Problem(1, 1, f"{error.detail}{hint}"),))
    except (Problems, OSError, InsecurePath):  # between the two looks
        return Report(file, errors=(Problem(1, 1, "it was changed while it was read: look again"),))
    return Report(file, (*advice.errors, *_second_bases(policy)), advice.warnings)


def _second_bases(policy: Policy) -> Iterator[Problem]:
    """Yield a problem for each repository that is known in another base, too, as far as we may look."""
    beside = glob.glob(f"{glob.escape(os.path.dirname(policy.file))}/*.yaml")
    others = []
    for path in sorted(beside):
        with contextlib.suppress(BorgctlError):
            others.append(load.read(path).base)
    base = StateDir.known(policy.base)
    if base is None:
        return
    try:
        for identity in sorted(pins.identities(base)):
            if other := pins.other_base(base, identity, others):
                hint = REASONS["repository-elsewhere"].advice
                yield Problem(1, 1, f"the repository {identity} has another base, too, {other!r}: {hint}")
    except BorgctlError as error:
        yield Problem(1, 1, error.detail)
    finally:
        os.close(base.fd)


def _root(path: str) -> Node:
    """Return the tree of a policy that has just been read, for its positions."""
    with SecurePath.at(path) as pinned:
        return parse(pinned.read(LARGEST).decode("utf-8", "replace"))


def usual_policies() -> list[str]:
    """Return the policies that lie where they are usually kept; raise BadValue where there is none."""
    directory = locations.policy_directory()
    found = sorted(glob.glob(f"{glob.escape(directory)}/*.yaml"))
    if not found:
        raise BadValue(f"no policy in {directory}: name one, or make one with 'borgctl sample'")
    return found


def status(reports: Sequence[Report]) -> int:
    """Return the exit status: warnings are allowed."""
    return UNUSABLE if any(report.errors for report in reports) else 0
