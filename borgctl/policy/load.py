"""A policy's file: its keys, their types and defaults, read strictly and checked whole.

The file is opened by the rule of `secure_path`, so that only root or the gate's user can have written it, and checked
on the descriptor. Every mistake is reported at once, as `file:line:column: text`.

    policy = read("/etc/borgctl/web1.yaml")
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from borgctl.borg.options import ACCEPTABLE, SETTABLE
from borgctl.errors import BadValue, BorgctlError, Code
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy import jobs as policy_jobs
from borgctl.policy import locations
from borgctl.policy.model import Audit, Environment, Limits, Passphrase, Policy, Repository
from borgctl.policy.placeholders import SAMPLE, Template
from borgctl.strict_yaml import LARGEST, Node, NodeReader, Problem, Problems, parse
from borgctl.values import RepositoryPath, boolean, choice, duration, integer, memory

KEYS = (
    *("version", "repositories", "passphrase", "jobs", "borg", "base", "user", "commands", "environment", "transports"),
    *("socket", "published", "disclose", "window", "limits", "sandbox", "audit"),
)
_REQUIRED = ("version", "repositories", "jobs")


class InvalidPolicy(BorgctlError):  # noqa: N818 - named for what it is
    """The policy cannot be used; `log` is the audit log that it names, where at least that much is clear."""

    def __init__(self, code: Code, detail: str, problems: Iterable[Problem] = (), log: str | None = None) -> None:
        super().__init__(code, detail)
        self.problems = tuple(problems)
        self.log = log


def read(path: str) -> Policy:
    """Read, check and return the policy at this absolute path."""
    try:
        with SecurePath.at(path) as pinned:
            content = pinned.require(stat.S_IFREG).read(LARGEST)
    except InsecurePath as error:
        raise InvalidPolicy("policy-unsafe", str(error)) from None
    except OSError as error:
        raise InvalidPolicy("policy-unreadable", f"{path!r}: {error.strerror}") from None
    try:
        root = parse(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise _invalid(path, [Problem(1, 1, "not UTF-8")]) from None
    except Problems as problems:
        raise _invalid(path, problems.found) from None
    notes = NodeReader()
    policy = _policy(notes, root, path, hashlib.sha256(content).hexdigest())
    try:
        notes.finish()
    except Problems as problems:
        raise _invalid(path, problems.found, policy.audit.file) from None
    return policy


def _invalid(path: str, problems: Sequence[Problem], log: str | None = None) -> InvalidPolicy:
    """Return (to be raised) an error that tells all the problems as `file:line:column: text`."""
    return InvalidPolicy("policy-invalid", "; ".join(f"{path}:{problem}" for problem in problems), problems, log)


def _policy(notes: NodeReader, root: Node, path: str, digest: str) -> Policy:
    fields = notes.fields(root, KEYS, _REQUIRED)
    if "version" in fields:
        notes.scalar(fields["version"], lambda text: choice(text, ("1",)), "1")
    repositories = _repositories(notes, fields["repositories"]) if "repositories" in fields else ()
    if "passphrase" not in fields and any(repository.encrypted for repository in repositories):
        notes.add(root, "missing key 'passphrase'")
    jobs = policy_jobs.jobs(notes, fields["jobs"]) if "jobs" in fields else {}
    policy_jobs.check_encryption(notes, jobs, repositories)
    name = os.path.basename(path).removesuffix(".yaml").removesuffix(".yml")
    socket = notes.fields(fields["socket"], ("directory",)) if "socket" in fields else {}
    runtime = "/run/borgctl" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}/borgctl"
    return Policy(
        file=path,
        digest=digest,
        repositories=repositories,
        passphrase=_passphrase(notes, fields["passphrase"]) if "passphrase" in fields else Passphrase(),
        jobs=jobs,
        base=_file(notes, fields, "base", f"{locations.state_directory()}/{name}"),
        audit=_audit(notes, fields.get("audit")),
        socket_directory=_file(notes, socket, "directory", runtime),
        borg=_file(notes, fields, "borg", "/usr/bin/borg"),
        user=notes.scalar(fields["user"], _user, "") if "user" in fields else "_borgctl",
        commands=policy_jobs.commands(notes, fields["commands"]) if "commands" in fields else {},
        environment=_environment(notes, fields["environment"]) if "environment" in fields else Environment(),
        transports=_transports(notes, fields.get("transports")),
        published=notes.scalar(fields.get("published", Node(1, 1, "no")), boolean, False),
        names_disclosed=_choice(notes, fields, "disclose", ("counts", "names")) == "names",
        limits=_limits(notes, fields["limits"]) if "limits" in fields else Limits(),
        sandbox=_choice(notes, fields, "sandbox", ("require", "prefer", "off")),
        window=notes.scalar(fields["window"], longest_window, 0) if "window" in fields else 0,
    )


def _user(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}|[1-9][0-9]{0,8}", text) or text == "root":
        raise BadValue(f"bad user {text!r}: expected the name or number of a user other than root")
    return text


def _absolute(text: str) -> str:
    if len(text) > 4000 or not re.fullmatch(r"/[^\x00-\x1f\x7f]+", text) or os.path.normpath(text) != text:
        raise BadValue(f"bad path {text!r}: expected an absolute path without '.', '..' and '//'")
    return text


def _file(notes: NodeReader, fields: Mapping[str, Node], key: str, default: str) -> str:
    return notes.scalar(fields[key], _absolute, default) if key in fields else default


def _choice(notes: NodeReader, fields: Mapping[str, Node], key: str, choices: tuple[str, ...]) -> str:
    """Read one of the choices; the first is the default."""
    return notes.scalar(fields.get(key, Node(1, 1, choices[0])), lambda text: choice(text, choices), choices[0])


def longest_window(text: str) -> int:
    """Read 'no' as 0, or the longest time of a window in seconds: a day at most, as somebody is to be there."""
    seconds = 0 if text in ("no", "false") else duration(text)
    if seconds > 86400:
        raise BadValue(f"bad time {text!r}: a window is open for a day (24h) at most")
    return seconds


def _repositories(notes: NodeReader, node: Node) -> tuple[Repository, ...]:
    found = []
    for key, value in notes.entries(node):
        fields = notes.fields(value, ("encryption",), ("encryption",))
        encryption = _choice(notes, fields, "encryption", ("required", "none"))
        template = notes.scalar(key, repository_template, Template(""))
        found.append(Repository(template, encryption == "required", key.line))
    if node.pairs == ():
        notes.add(node, "no repository")
    return tuple(found)


def repository_template(text: str) -> Template:
    """Read a repository's path, in which {hostname} may stand."""
    RepositoryPath(Template(text).expand(SAMPLE))
    if re.search(r"\{(?:job|now)", text):
        raise BadValue(f"bad repository path {text!r}: only {{hostname}} may stand in it")
    return Template(text)


def _passphrase(notes: NodeReader, node: Node) -> Passphrase:
    fields = notes.fields(node, ("file", "program"))
    if len(fields) != 1:
        notes.add(node, "expected either {file: PATH} or {program: [PROGRAM, ARGUMENT…]}")
    file = _file(notes, fields, "file", "") or None
    return Passphrase(file, policy_jobs.program(notes, fields["program"]) if "program" in fields else ())


def _environment(notes: NodeReader, node: Node) -> Environment:
    fields = notes.fields(node, ("set", "accept"))
    chosen = []
    for key, value in notes.entries(fields["set"]) if "set" in fields else ():
        name = notes.scalar(key, lambda text: choice(text, tuple(SETTABLE)), None)
        if name:
            chosen.append((name, notes.scalar(value, SETTABLE[name].check, "")))
    accept = notes.items(fields["accept"], lambda text: choice(text, tuple(ACCEPTABLE))) if "accept" in fields else ()
    return Environment(tuple(chosen), frozenset(accept))


def _transports(notes: NodeReader, node: Node | None) -> frozenset[str]:
    if node is None:
        return frozenset(("stdio",))
    found = notes.items(node, lambda text: choice(text, ("stdio", "socket", "local")))
    if isinstance(node.value, tuple) and node.pairs is None and "stdio" not in found:
        # the default, so a line that is lost would add it; and it gives a server nothing besides
        notes.add(node, "expected a list with 'stdio' in it, like [stdio, socket]")
    return frozenset(found)


def _limits(notes: NodeReader, node: Node) -> Limits:
    fields = notes.fields(node, ("runtime", "hook", "sessions", "nice", "ionice", "memory"))
    default = Limits()

    def number(key: str, low: int, high: int, standard: int) -> int:
        return notes.scalar(fields.get(key, Node(1, 1, str(standard))), lambda text: integer(text, low, high), standard)

    return Limits(
        runtime=notes.scalar(fields["runtime"], duration, 1) if "runtime" in fields else default.runtime,
        hook=notes.scalar(fields["hook"], duration, 1) if "hook" in fields else default.hook,
        sessions=number("sessions", 1, 100, default.sessions),
        nice=number("nice", 0, 19, default.nice),
        ionice=_choice(notes, fields, "ionice", ("idle", "best-effort", "none")),
        memory=notes.scalar(fields["memory"], memory, default.memory) if "memory" in fields else default.memory,
    )


def _audit(notes: NodeReader, node: Node | None) -> Audit:
    fields = notes.fields(node, ("file", "syslog")) if node else {}
    syslog = notes.scalar(fields.get("syslog", Node(1, 1, "yes")), boolean, True)
    return Audit(_file(notes, fields, "file", locations.default_log()), syslog)
