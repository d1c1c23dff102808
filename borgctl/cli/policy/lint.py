"""`borgctl lint`: all errors and warnings of a policy at once, each with its line.

Errors are what the gate refuses: the policy itself (`policy.load`, its owner and mode included), or what it names. The
latter, and the warnings, come from `lint_rules`. It writes nothing, and reads no secret.

    lint("/etc/borgctl/web1.yaml") == LintReport("/etc/borgctl/web1.yaml", errors=(), warnings=(Problem(4, 3, "…"),))
"""

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from borgctl.cli.policy.lint_rules import advise
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy import load, locations
from borgctl.policy.load import InvalidPolicy
from borgctl.policy.model import Policy
from borgctl.reasons import REASONS
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.strict_yaml import LARGEST, Node, Problem, Problems, parse
from borgctl.text import printable

UNUSABLE = 78  # sysexits(3) EX_CONFIG, as in `errors`


@dataclass(frozen=True, slots=True)
class LintReport:
    """The errors and warnings of one file; `file` is its name as it was given."""

    file: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Return one line for each error or warning, in the order of the file."""
        problems = [(problem, "error") for problem in self.errors] + [(problem, "warning") for problem in self.warnings]
        return [
            printable(f"{self.file}:{problem.line}:{problem.column}: {kind}: {problem.text}")
            for problem, kind in sorted(problems)
        ]

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "file": self.file,
            "ok": not self.errors,
            "errors": [_plain(problem) for problem in self.errors],
            "warnings": [_plain(problem) for problem in self.warnings],
        }


def _plain(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "column": problem.column, "text": problem.text}


def lint(file: str, candidate: str | None = None) -> LintReport:
    """Check one policy, or a candidate as if it stood in its place; what is not about a line has the place 1:1."""
    path = os.path.abspath(file)
    try:
        policy, root = _installed(path) if candidate is None else _candidate(candidate, path)
        advice = advise(policy, root)
    except InvalidPolicy as error:
        hint = f": {error.hint}" if error.reason.code == "policy-unsafe" else ""
        return LintReport(file, errors=error.problems or (Problem(1, 1, f"{error.detail}{hint}"),))
    except (Problems, OSError, InsecurePath):  # the file was read twice
        return LintReport(file, errors=(Problem(1, 1, "it was changed while borgctl read it: check again"),))
    return LintReport(file, (*advice.errors, *_second_bases(policy)), advice.warnings)


def _second_bases(policy: Policy) -> Iterator[Problem]:
    """Yield a problem for each repository that another base knows, too, as far as we may read."""
    files = glob.glob(f"{glob.escape(os.path.dirname(policy.file))}/*.yaml")
    others = []
    for path in sorted(files):
        with contextlib.suppress(BorgctlError):
            others.append(load.read(path).base)
    base = StateDir.known(policy.base)
    if base is None:
        return
    try:
        for identity in sorted(pins.identities(base)):
            if other := pins.other_base(base, identity, others):
                hint = REASONS["repository-elsewhere"].advice
                yield Problem(1, 1, f"the repository {identity} also has the base {other!r}: {hint}")
    except BorgctlError as error:
        yield Problem(1, 1, error.detail)
    finally:
        os.close(base.fd)


def _installed(path: str) -> tuple[Policy, Node]:
    """Return a policy, and its tree for its positions."""
    policy = load.read(path)
    with SecurePath.at(path) as pinned:
        return policy, parse(pinned.read(LARGEST).decode("utf-8", "replace"))


def _candidate(file: str, path: str) -> tuple[Policy, Node]:
    """Return the policy that a file would be at `path`. Who may write that file now does not matter then."""
    try:
        with open(file, "rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise InvalidPolicy("policy-unreadable", f"{file!r}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise InvalidPolicy("policy-invalid", f"{file!r} is longer than {LARGEST} bytes")
    return load.from_bytes(content, path), parse(content.decode("utf-8"))


def usual_policies() -> list[str]:
    """Return the policies in the usual directory; raise BadValue where there is none."""
    directory = locations.policy_directory()
    files = sorted(glob.glob(f"{glob.escape(directory)}/*.yaml"))
    if not files:
        raise BadValue(f"no policy in {directory}: name one, or make one with 'borgctl sample'")
    return files


def status(reports: Sequence[LintReport]) -> int:
    """Return the exit status; warnings do not count."""
    return UNUSABLE if any(report.errors for report in reports) else 0
